import { rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { meshctl } from '../../harness/meshctl.js';
import { makeTestFolder } from '../../harness/test-user.js';

const dir = makeTestFolder();
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function kubeconfig(server: string): string {
  const file = join(dir, `config-${Math.random()}`);
  writeFileSync(
    file,
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'c', cluster: { server } }],
      users: [{ name: 'u', user: { token: 'none' } }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    }),
  );
  return file;
}

test.each([
  [['instal'], 'install'],
  [['install', '--profle', 'ambient'], '--profile'],
  [['waypoint', 'aply'], 'apply'],
  [['sandbox', 'upp'], 'up'],
  [['describe', 'pood', 'x'], 'pod'],
  [['verify-install', '-o', 'jsn'], 'json'],
  [['ztunnel-config', 'connections', '--direction', 'sideways'], 'inbound'],
])('%j: wrong usage, exit 2, with the word that was meant', async (args, meant) => {
  const outcome = await meshctl(args, { env: { KUBECONFIG: '/nonexistent' } });
  expect(outcome.exitCode).toBe(2);
  expect(outcome.stderr).toContain(meant);
  expect(outcome.stdout).toBe('');
});

test.each([
  ['describe', 'pod', 'x'],
  ['install'],
  ['verify-install'],
  ['waypoint', 'list'],
  ['enroll', 'shop'],
])('%s %s: an unreachable cluster is exit 3, and says what was tried', async (...args) => {
  const outcome = await meshctl(args, { env: { KUBECONFIG: kubeconfig('https://127.0.0.1:9') } });
  expect(outcome.exitCode).toBe(3);
  expect(outcome.stderr).toContain('MESH0201');
  expect(outcome.stderr).toContain('127.0.0.1:9');
});

test('a server that accepts and says nothing does not hang the command', async () => {
  const server = createServer(() => undefined);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  try {
    const outcome = await meshctl(['waypoint', 'list', '--timeout', '2s'], {
      env: { KUBECONFIG: kubeconfig(`http://127.0.0.1:${port}`) },
      timeoutMs: 30_000,
    });
    expect([3, 4]).toContain(outcome.exitCode);
    expect(outcome.stderr).toMatch(/MESH\d{4}/);
  } finally {
    server.close();
  }
});

test('a missing kubeconfig and an unknown context are exit 3', async () => {
  const missing = await meshctl(['waypoint', 'list', '--kubeconfig', join(dir, 'none')]);
  expect(missing.exitCode).toBe(3);
  expect(missing.stderr).toContain('MESH0208');
  const unknown = await meshctl(['waypoint', 'list', '--context', 'nope'], {
    env: { KUBECONFIG: kubeconfig('https://127.0.0.1:9') },
  });
  expect(unknown.exitCode).toBe(3);
  expect(unknown.stderr).toContain('nope');
});

test('with -o json a failure is one document on stdout', async () => {
  const outcome = await meshctl(['verify-install', '-o', 'json'], {
    env: { KUBECONFIG: kubeconfig('https://127.0.0.1:9') },
  });
  expect(outcome.exitCode).toBe(3);
  expect(JSON.parse(outcome.stdout)).toMatchObject({ apiVersion: 'meshctl.dev/v1', kind: 'Error' });
});
