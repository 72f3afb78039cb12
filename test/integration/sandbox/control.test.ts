import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import { MeshError } from '#base/errors/mesh-error.js';
import {
  actOnNode,
  addNodes,
  requestShutdown,
  supervisorMemory,
  supervisorStatus,
} from '#sandbox/launcher/control-client.js';
import type { ControlHandlers } from '#sandbox/supervisor/control/control-server.js';
import { startControlServer } from '#sandbox/supervisor/control/control-server.js';
import { sandboxMemory } from '#sandbox/supervisor/control/process-memory.js';
import { planNodes } from '#sandbox/supervisor/nodes/node-list.js';
import { sandboxPaths } from '#sandbox/supervisor/sandbox-paths.js';

const base = mkdtempSync(join(tmpdir(), 'control-'));
const paths = { ...sandboxPaths('c', base), control: join(base, 'control.sock') };
let server: Server | undefined;

afterEach(() => {
  server?.close();
  server?.closeAllConnections();
  rmSync(paths.control, { force: true });
});

afterAll(() => rmSync(base, { recursive: true }));

const status = {
  name: 'c',
  phase: 'ready' as const,
  detail: '',
  server: 'https://127.0.0.1:1',
  version: '1.2.3',
  protocol: 2,
  apiServer: { kind: 'embedded' as const, version: 'v1.32.0' },
  isPersistent: true,
  isStateKept: true,
  startedAt: '2026-01-01T00:00:00Z',
  nodes: [],
  memoryBytes: 1,
};

async function start(o: Partial<ControlHandlers> = {}): Promise<void> {
  server = await startControlServer(paths.control, {
    status: () => Promise.resolve(status),
    memory: sandboxMemory,
    shutdown: () => undefined,
    addNodes: (wanted) =>
      Promise.resolve({ nodes: planNodes([], wanted).map((node) => node.name), isChanged: true }),
    act: (node) => Promise.resolve({ nodes: [node], isChanged: false }),
    ...o,
  });
}

/** One request as any program could make it. */
function raw(method: string, path: string, body = ''): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath: paths.control, agent: false, method, path }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

test('answers reach the launcher as they were given, refusals with code, evidence and hint', async () => {
  const shutdowns: string[] = [];
  await start({
    shutdown: () => shutdowns.push('asked'),
    act: (node, action, { force }) =>
      Promise.reject(
        new MeshError('MESH0812', `${node} ${action} ${force}`, { evidence: 'a/b', hint: 'kubectl drain' }),
      ),
  });
  expect(await supervisorStatus(paths)).toEqual(status);
  expect((await supervisorMemory(paths))?.pssBytes).toBeGreaterThan(0);
  expect(await addNodes(paths, { names: ['edge'], count: 2 }, 5_000)).toEqual({
    nodes: ['edge', 'node-1', 'node-2'],
    isChanged: true,
  });
  await expect(addNodes(paths, { names: ['A'] }, 5_000)).rejects.toMatchObject({ code: 'MESH0800' });
  await expect(
    actOnNode(paths, { node: 'node-1', action: 'remove', force: true }, 5_000),
  ).rejects.toMatchObject({
    code: 'MESH0812',
    message: 'node-1 remove true',
    evidence: 'a/b',
    hint: 'kubectl drain',
  });
  expect(await requestShutdown(paths)).toBe(true);
  await expect.poll(() => shutdowns).toEqual(['asked']);
});

test.each([
  ['no JSON', 'POST', '/nodes', '{', 400],
  ['no object', 'POST', '/nodes', '[]', 400],
  ['wrong types', 'POST', '/nodes', '{"names": [1], "count": "x"}', 400],
  ['nothing to add', 'POST', '/nodes', '', 400],
  ['too much', 'POST', '/nodes', `{"names": ["${'a'.repeat(70_000)}"]}`, 400],
  ['an unknown action', 'POST', '/nodes/node-1/explode', '', 404],
  ['another path', 'GET', '/secrets', '', 404],
  ['a bad escape', 'POST', '/nodes/%ff/stop', '', 500],
])('%s is refused, and the server goes on', async (_what, method, path, body, httpStatus) => {
  await start();
  expect((await raw(method, path, body)).status).toBe(httpStatus);
  expect(await supervisorStatus(paths)).toEqual(status);
});

test('a supervisor of the first version is understood, and one that does not know a request is said to be old', async () => {
  const node = {
    name: 'node-1',
    ip: '172.18.0.2',
    podCidr: '10.244.1.0/24',
    isReady: true,
    podCount: 3,
    initPid: 7,
  };
  server = createServer((incoming, response) => {
    const isStatus = incoming.url === '/status';
    response
      .writeHead(isStatus ? 200 : 404)
      .end(JSON.stringify(isStatus ? { phase: 'ready', nodes: [node] } : {}));
  });
  await new Promise<void>((resolve) => server?.listen(paths.control, resolve));
  expect(await supervisorStatus(paths)).toMatchObject({
    phase: 'ready',
    protocol: 1,
    nodes: [{ name: 'node-1', ips: ['172.18.0.2'], podCidrs: ['10.244.1.0/24'], power: 'running' }],
  });
  await expect(addNodes(paths, { count: 1 }, 5_000)).rejects.toMatchObject({ code: 'MESH0811' });
  await expect(actOnNode(paths, { node: 'node-1', action: 'stop' }, 5_000)).rejects.toMatchObject({
    code: 'MESH0811',
  });
});

test('work that takes too long is given up by the launcher, not by the supervisor', async () => {
  await start({ addNodes: () => new Promise(() => undefined) });
  await expect(addNodes(paths, { count: 1 }, 50)).rejects.toMatchObject({ code: 'MESH0816' });
  expect(await supervisorStatus(paths)).toEqual(status);
});

test('where nobody listens the launcher says so', async () => {
  expect(await supervisorStatus(paths)).toBeUndefined();
  expect(await requestShutdown(paths)).toBe(false);
  await expect(addNodes(paths, { count: 1 }, 5_000)).rejects.toMatchObject({ code: 'MESH0815' });
});
