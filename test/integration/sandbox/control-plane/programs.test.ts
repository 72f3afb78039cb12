import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startExternalApiServer } from '#sandbox/control-plane/external/external-api-server.js';
import { ChildProgram } from '#sandbox/control-plane/external/program.js';
import { createLogger, setLogOutput } from '#base/telemetry/log.js';
import { eventually } from '../../../harness/cluster.js';
import { temporaryFolder } from '../../../harness/temporary-folder.js';

setLogOutput(() => undefined);
const logger = createLogger('test');

function script(path: string, body: string): string {
  writeFileSync(path, `#!/bin/sh\n${body}\n`, { mode: 0o755 });
  return path;
}

/** Starts a control plane whose etcd says something and ends. */
async function startWithEtcdSaying(line: string): Promise<unknown> {
  const folder = await temporaryFolder('meshctl-programs-');
  const assets = {
    kubeApiserver: script(join(folder, 'kube-apiserver'), 'exec sleep 60'),
    etcd: script(join(folder, 'etcd'), `echo '${line}' >&2; exit 1`),
    version: 'v1.32.0',
    etcdVersion: '3.5.0',
  };
  return startExternalApiServer({
    assets,
    listeners: [{ kind: 'address', host: '127.0.0.1', port: 0 }],
    advertise: { host: '192.0.2.1' },
    folder: join(folder, 'data'),
    logger,
  });
}

test('a program that ends at once is named, with its own reason', async () => {
  const fatal = '{"level":"fatal","msg":"failed to start","error":"database is damaged"}';
  await expect(startWithEtcdSaying(fatal)).rejects.toMatchObject({
    code: 'MESH0810',
    message: 'etcd ended while it was starting: failed to start: database is damaged',
    hint: expect.stringContaining('etcd.log') as string,
  });
});

test('a full disk is called a full disk', async () => {
  const fatal = '{"level":"fatal","msg":"cannot save","error":"write db: no space left on device"}';
  await expect(startWithEtcdSaying(fatal)).rejects.toMatchObject({
    code: 'MESH0814',
    message: expect.stringContaining('the disk is full') as string,
  });
});

test('a program that keeps ending is trouble, and is started again', async () => {
  const folder = await temporaryFolder('meshctl-programs-');
  const gone = join(folder, 'gone');
  const program = new ChildProgram({
    name: 'etcd',
    file: script(join(folder, 'etcd'), `test -e ${gone} && exec sleep 60; echo 'Error: no luck'; exit 3`),
    args: [],
    folder,
    logPath: join(folder, 'etcd.log'),
    logger,
  });
  onTestFinished(() => program.stop(0));
  program.start();
  program.keep();
  expect(program.trouble()).toBeUndefined();
  await eventually(
    () => Promise.resolve(expect(program.trouble()).toMatch(/^etcd ended \d+ times .*exit code 3, no luck$/)),
    { timeoutMs: 20_000 },
  );
  writeFileSync(gone, '');
  await eventually(
    () => Promise.resolve(expect(readFileSync(`/proc/${program.pid}/cmdline`, 'utf8')).toContain('sleep')),
    { timeoutMs: 20_000 },
  );
});
