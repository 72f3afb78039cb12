import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '#base/telemetry/log.js';
import { ChildProgram } from './program.js';

/** Unix sockets in etcd's working folder; etcd wants a port in every URL, and makes it part of the name. */
const sockets = { client: 'etcd.sock:0', peer: 'etcd-peer.sock:0' } as const;

/** URL of etcd for a client in the same working folder. */
export const etcdUrl = `unix://${sockets.client}`;

/**
 * Makes a one-member etcd that only processes with access to `folder` reach. Its
 * data is not synced to the disk at each write: it survives every process, not a power cut.
 */
export function makeEtcd(o: { file: string; folder: string; logger: Logger }): ChildProgram {
  const peer = `unix://${sockets.peer}`;
  mkdirSync(join(o.folder, 'etcd'), { recursive: true, mode: 0o700 });
  return new ChildProgram({
    name: 'etcd',
    file: o.file,
    args: [
      '--data-dir=etcd',
      `--listen-client-urls=${etcdUrl}`,
      `--advertise-client-urls=${etcdUrl}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=default=${peer}`,
      '--unsafe-no-fsync',
      '--log-outputs=stderr',
      '--logger=zap',
    ],
    folder: o.folder,
    logPath: join(o.folder, 'etcd.log'),
    logger: o.logger,
    // A socket that a killed etcd left behind would be in the way of the next.
    prepare: () => {
      for (const socket of Object.values(sockets)) rmSync(join(o.folder, socket), { force: true });
    },
  });
}
