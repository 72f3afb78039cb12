import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { onTestFinished } from 'vitest';

/** A registry of Debian's docker-registry, which goes with the test that started it. */
export interface TestRegistry {
  /** Host and port, as references have it. */
  readonly host: string;
  readonly port: number;
  /** Its storage. */
  readonly folder: string;
  /** Certificate of a registry with TLS. */
  readonly caFile: string;
}

/** The user of a registry with `hasLogin`. */
export const registryUser = { name: 'ada', password: 'open sesame' } as const;

/** bcrypt of the password above. */
const passwordLine = `${registryUser.name}:$2b$05$1Goj/h6LDF5MpCy9M3aXUOSa9N9EkJSA1zHQ0p2CXJzKTBbrTOo7S\n`;

/** Starts a registry on a free port of 127.0.0.1 and waits until it answers. */
export async function startRegistry(
  o: { hasLogin?: boolean; hasTls?: boolean; auth?: object } = {},
): Promise<TestRegistry> {
  const folder = mkdtempSync(join(tmpdir(), 'registry-'));
  const port = await freePort();
  const storage = join(folder, 'storage');
  mkdirSync(storage);
  writeFileSync(join(folder, 'htpasswd'), passwordLine);
  if (o.hasTls === true) makeCertificate(folder);
  const config = {
    version: 0.1,
    log: { level: 'error', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: storage }, delete: { enabled: true } },
    http: {
      addr: `127.0.0.1:${port}`,
      ...(o.hasTls === true
        ? { tls: { certificate: join(folder, 'tls.crt'), key: join(folder, 'tls.key') } }
        : {}),
    },
    ...(o.hasLogin === true ? { auth: { htpasswd: { realm: 'test', path: join(folder, 'htpasswd') } } } : {}),
    ...(o.auth === undefined ? {} : { auth: o.auth }),
  };
  writeFileSync(join(folder, 'config.yml'), JSON.stringify(config)); // JSON is YAML
  const child = spawn('docker-registry', ['serve', join(folder, 'config.yml')], { stdio: 'ignore' });
  onTestFinished(async () => {
    await ended(child);
    rmSync(folder, { recursive: true, force: true });
  });
  await listening(port, child);
  return { host: `127.0.0.1:${port}`, port, folder: storage, caFile: join(folder, 'tls.crt') };
}

/**
 * A way to a port that breaks: each connection is cut after this many bytes have gone to the server, or come from it,
 * as long as `cuts` last.
 */
export async function startBreakingProxy(
  port: number,
  o: { bytes: number; direction: 'up' | 'down'; cuts: number },
): Promise<{ readonly host: string; readonly cutCount: () => number }> {
  let cuts = 0;
  const server: Server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1');
    let count = 0;
    const watched = o.direction === 'up' ? client : upstream;
    watched.on('data', (chunk: Buffer) => {
      count += chunk.length;
      if (count < o.bytes || cuts >= o.cuts) return;
      cuts += 1;
      client.destroy();
      upstream.end();
    });
    for (const socket of [client, upstream]) socket.on('error', () => undefined);
    client.pipe(upstream).pipe(client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, cutCount: () => cuts };
}

/** Writes `tls.crt` and `tls.key`, for this machine. */
export function makeCertificate(folder: string): void {
  const args =
    'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=registry'.split(' ');
  const files = [
    '-addext',
    'subjectAltName=IP:127.0.0.1,DNS:localhost',
    '-keyout',
    'tls.key',
    '-out',
    'tls.crt',
  ];
  execFileSync('openssl', [...args, ...files], { cwd: folder, stdio: 'ignore' });
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function listening(port: number, child: ChildProcess): Promise<void> {
  const startMaxMs = 20_000;
  for (const deadline = Date.now() + startMaxMs; Date.now() < deadline; await sleep(50)) {
    if (child.exitCode !== null) throw new Error(`docker-registry ended with ${child.exitCode}`);
    const socket = connect(port, '127.0.0.1');
    const isOpen = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (isOpen) return;
  }
  throw new Error('docker-registry does not listen');
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}
