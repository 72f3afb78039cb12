import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { listenTcp } from '#base/system/socket.js';
import { TestAgent } from './test-agent.js';
import { TestCluster } from './test-cluster.js';
import { eventually, isRoot, joinPtp, makeNetns, type TestNetns } from './test-netns.js';
import { TestZtunnel } from './test-ztunnel.js';

const podIp = '10.9.0.2';
const peerIp = '10.9.0.3';
const hostIp = '10.9.0.1';

/** The agent of a node with one pod of the cluster and a server beside it. */
describe.runIf(isRoot)('probes of the CNI agent', () => {
  let cluster: TestCluster;
  let host: TestNetns;
  let pod: TestNetns;
  let peer: TestNetns;
  let agent: TestAgent;
  let ztunnel: TestZtunnel;
  let uid: string;
  const servers: Server[] = [];
  const accepted: Socket[] = [];

  beforeEach(async () => {
    cluster = await TestCluster.start();
    await cluster.daemonSet();
    await cluster.namespace('demo');
    host = makeNetns();
    pod = makeNetns();
    peer = makeNetns();
    joinPtp(host, pod, { podIp, hostIp });
    joinPtp(host, peer, { podIp: peerIp, hostIp });
    agent = new TestAgent(cluster, host);
    agent.mountNetns(pod);
    ztunnel = new TestZtunnel();
    const { metadata } = await cluster.pod('demo', 'app', [podIp]);
    uid = metadata.uid ?? '';
    await agent.start();
  });
  afterEach(async () => {
    for (const socket of accepted.splice(0)) socket.destroy();
    for (const server of servers.splice(0)) server.close();
    ztunnel.close();
    await agent.dispose();
    await cluster.stop();
    for (const netns of [pod, peer, host]) netns.remove();
  });

  const serve = async (at: TestNetns, port: number, onData?: (socket: Socket, text: string) => void) => {
    const server = createServer((socket) => {
      accepted.push(socket);
      socket.on('error', () => undefined);
      socket.on('data', (data) => onData?.(socket, String(data)));
    });
    servers.push(server);
    const fd = listenTcp({ netns: at.handle.fd, host: '0.0.0.0', port });
    await new Promise<void>((resolve) => server.listen({ fd }, resolve));
  };
  const ask = async (
    path: string,
    body: unknown,
  ): Promise<{ status: number; body: Record<string, unknown> }> => {
    const answer = await agent.admin('POST', path, JSON.stringify(body));
    return { status: answer.status, body: JSON.parse(answer.body) as Record<string, unknown> };
  };
  const stateOf = async (id: unknown): Promise<unknown> =>
    JSON.parse((await agent.admin('GET', `/debug/probe/state?id=${String(id)}`)).body);
  const target = (port: number) => ({ uid, host: peerIp, port, timeoutMs: 2_000 });

  it('connects from the address of the pod, holds the connection and lets go of it', async () => {
    await serve(peer, 8080);
    const { status, body } = await ask('/debug/probe', target(8080));
    expect(status).toBe(200);
    expect(body).toMatchObject({ isRedirected: false, connectMs: expect.any(Number) as number });
    expect(body['local']).toMatch(new RegExp(`^${podIp}:\\d+$`));
    await eventually(() => accepted.length === 1);
    expect(accepted[0]?.remoteAddress).toBe(podIp);
    expect(await stateOf(body['id'])).toEqual({ state: 'open' });
    let isOver = false;
    accepted[0]?.once('close', () => (isOver = true));
    expect((await ask(`/debug/probe/close?id=${String(body['id'])}`, {})).body).toEqual({ wasHeld: true });
    await eventually(() => isOver);
    expect((await agent.admin('GET', `/debug/probe/state?id=${String(body['id'])}`)).status).toBe(404);
  });

  it('tells how the other side ended a connection, and what refused one', async () => {
    await serve(peer, 8080);
    const opened = await ask('/debug/probe', target(8080));
    await eventually(() => accepted.length === 1);
    accepted[0]?.resetAndDestroy();
    await eventually(
      async () => ((await stateOf(opened.body['id'])) as { state: string }).state === 'closed',
    );
    expect(await stateOf(opened.body['id'])).toMatchObject({ state: 'closed', error: 'ECONNRESET' });
    const refused = await ask('/debug/probe', target(8081));
    expect(refused).toMatchObject({ status: 200, body: { error: 'ECONNREFUSED' } });
    expect(refused.body['id']).toBeUndefined();
  });

  it('sends one recognizable GET and shows who answered', async () => {
    let seen = '';
    await serve(peer, 8080, (socket, text) => {
      seen += text;
      if (seen.endsWith('\r\n\r\n'))
        socket.write(
          'HTTP/1.1 403 Forbidden\r\nserver: istio-envoy\r\nx-secret: 1\r\ncontent-length: 4\r\n\r\nRBAC',
        );
    });
    const { body } = await ask('/debug/probe', target(8080));
    const path = `/debug/probe/get?id=${String(body['id'])}`;
    const get = { authority: 'web.shop:8080', path: '/ok', requestId: 'r-1', timeoutMs: 2_000 };
    expect(await ask(path, { ...get, path: '/a\r\nx: y' })).toMatchObject({ status: 400 });
    const answer = await ask(path, get);
    expect(answer.body).toMatchObject({ status: 403, headers: { server: 'istio-envoy' }, body: 'RBAC' });
    expect(answer.body['headers']).not.toHaveProperty('x-secret');
    expect(seen).toContain('GET /ok HTTP/1.1\r\n');
    expect(seen).toContain('host: web.shop:8080');
    expect(seen).toContain('user-agent: meshctl-probe');
    expect(seen).toContain('x-request-id: r-1');
    // The connection is still there to be looked at.
    expect(await stateOf(body['id'])).toEqual({ state: 'open' });
  });

  it('is redirected as an application of a captured pod is, and says so', async () => {
    await ztunnel.connect(agent.zdsPath);
    await eventually(async () => (await agent.enrollment()).ztunnel.connected);
    await cluster.label('demo', 'ambient');
    await eventually(async () => (await cluster.annotation('demo', 'app')) === 'enabled');
    await serve(pod, 15001);
    const { body } = await ask('/debug/probe', target(8080));
    expect(body).toMatchObject({ isRedirected: true });
  });

  it('refuses what is not asked for well, other pods, and too many at a time', async () => {
    await serve(peer, 8080);
    const bad = [
      {},
      [],
      { ...target(8080), host: 'example.com' },
      { ...target(8080), port: 70_000 },
      { ...target(8080), timeoutMs: 10_001 },
      { ...target(8080), uid: '../x' },
    ];
    for (const body of bad)
      expect(await ask('/debug/probe', body), JSON.stringify(body)).toMatchObject({ status: 400 });
    expect(await ask('/debug/probe', { ...target(8080), uid: 'another' })).toMatchObject({ status: 404 });
    const all = await Promise.all(Array.from({ length: 20 }, () => ask('/debug/probe', target(8080))));
    expect(all.filter(({ status }) => status === 200)).toHaveLength(16);
    expect(all.filter(({ status }) => status === 429)).toHaveLength(4);
    const first = all.find(({ status }) => status === 200);
    await ask(`/debug/probe/close?id=${String(first?.body['id'])}`, {});
    expect(await ask('/debug/probe', target(8080))).toMatchObject({ status: 200 });
  });
});
