import { once } from 'node:events';
import { createServer as createHttp } from 'node:http';
import { type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AppProtocol } from '#mesh/xds/gen/istio/workload_pb.js';
import { AuthorizationPolicy_Action as Action } from '#mesh/xds/gen/meshctl/l7_pb.js';
import { exchangeRaw, fetchOver } from './http-client.js';
import { eventually, Lab } from './lab.js';

let lab: Lab;
const web = '10.96.4.1:80';
const echo = '10.96.4.2:80';
const impostor = '10.96.4.3:80';
const early = '10.96.4.4:80';
const twofold = '10.96.4.5:80';
const slowPaths: (() => void)[] = [];
const earlySockets = new Set<Socket>();

beforeAll(async () => {
  lab = await Lab.start();
  const http = createHttp((req, res) => {
    req.resume();
    if (req.url === '/slow') slowPaths.push(() => res.end('slow done'));
    else res.end(`${req.method} ${req.url}`);
  });
  const port = await lab.backend('127.0.20.41', (socket) => http.emit('connection', socket));
  await lab.nodeProxy('127.0.20.41', 'web');
  const echoPort = await lab.backend('127.0.20.42', (socket) => socket.pipe(socket));
  const earlyPort = await lab.backend('127.0.20.43', (socket) => {
    earlySockets.add(socket);
    socket.once('end', () => socket.destroy());
    socket.once('close', () => earlySockets.delete(socket));
    socket.once('data', () => socket.write('HTTP/1.1 413 Payload Too Large\r\ncontent-length: 3\r\n\r\nbig'));
  });
  // The pod's node proxy proves another identity than the workload has.
  await lab.nodeProxy('127.0.20.44', 'somebody-else');
  for (const [name, vip, protocol] of [
    ['web', '10.96.4.1', AppProtocol.HTTP11],
    ['echo', '10.96.4.2', AppProtocol.UNKNOWN],
    ['impostor', '10.96.4.3', AppProtocol.HTTP11],
    ['early', '10.96.4.4', AppProtocol.HTTP11],
    ['twofold', '10.96.4.5', AppProtocol.HTTP11],
  ] as const) {
    lab.putService({ name, vip, protocol });
  }
  lab.putWorkload({ name: 'web', ip: '127.0.20.41', isHbone: true, services: { web: port, twofold: port } });
  lab.putWorkload({ name: 'echo', ip: '127.0.20.42', services: { echo: echoPort } });
  lab.putWorkload({ name: 'early', ip: '127.0.20.43', services: { early: earlyPort } });
  lab.putWorkload({
    name: 'impostor',
    ip: '127.0.20.44',
    isHbone: true,
    services: { impostor: port, twofold: port },
  });
  lab.putPolicy({
    name: 'no-delete',
    action: Action.DENY,
    targets: [{ namespace: 'shop', hostname: 'web.shop.svc.cluster.local' }],
    rules: [{ to: [{ methods: ['DELETE', 'PUT'] }] }],
  });
  await lab.known({ services: ['web', 'echo', 'impostor', 'early', 'twofold'], policies: ['no-delete'] });
}, 60_000);

afterAll(() => lab.close());

describe('a request that leaves HTTP behind one that still runs', () => {
  // Node lets go of the connection at once; assigning it to a second response threw and ended the process.
  it.each([
    ['WebSocket', 'GET /ws HTTP/1.1\r\nhost: web\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n'],
    ['CONNECT', 'CONNECT web:80 HTTP/1.1\r\nhost: web:80\r\n\r\n'],
    ['h2c offer', 'GET / HTTP/1.1\r\nhost: web\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n'],
  ])('ends that connection and nothing else: %s', async (_name, second) => {
    const tunnel = await lab.tunnel(web);
    tunnel.on('error', () => undefined);
    tunnel.resume();
    tunnel.write(`GET /slow HTTP/1.1\r\nhost: web\r\n\r\n${second}`);
    await once(tunnel, 'close');
    expect((await fetchOver(await lab.tunnel(web), { path: '/after' })).body.toString()).toBe('GET /after');
    for (const finish of slowPaths.splice(0)) finish();
  });
});

describe('headers of this hop', () => {
  it('says nothing about keeping the connection, unless it ends', async () => {
    const tunnel = await lab.tunnel(web);
    tunnel.write('GET / HTTP/1.1\r\nhost: web\r\n\r\n');
    let kept = '';
    while (!kept.endsWith('GET /')) kept += String((await once(tunnel, 'data'))[0]);
    tunnel.destroy();
    expect(kept.toLowerCase()).not.toMatch(/^(connection|keep-alive):/m);
    const ended = await exchangeRaw(
      await lab.tunnel(web),
      'GET / HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n',
    );
    expect(ended.toLowerCase()).toMatch(/^connection: close\r$/m);
  });

  it('serves the next request on a kept connection', async () => {
    const both = await exchangeRaw(
      await lab.tunnel(web),
      'GET /1 HTTP/1.1\r\nhost: web\r\n\r\nGET /2 HTTP/1.1\r\nhost: web\r\n\r\n',
    );
    expect(both).toMatch(/GET \/1[^]*GET \/2$/);
  });
});

describe('bodies nobody wants', () => {
  it('ends the connection of a refused request whose announced body may not come', async () => {
    const tunnel = await lab.tunnel(web);
    let seen = '';
    tunnel.on('data', (chunk: Buffer) => {
      seen += chunk.toString('latin1');
    });
    tunnel.on('error', () => undefined);
    tunnel.write('PUT /x HTTP/1.1\r\nhost: web\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n');
    await once(tunnel, 'close');
    expect(seen).toMatch(/^HTTP\/1\.1 403 Forbidden\r\n/);
    expect(seen.toLowerCase()).toContain('connection: close');
    expect(seen).toMatch(/\r\n\r\nRBAC: access denied$/);
  });

  it('keeps the connection of a refused request whose body had come', async () => {
    const text = await exchangeRaw(
      await lab.tunnel(web),
      'PUT /x HTTP/1.1\r\nhost: web\r\ncontent-length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\nhost: web\r\n\r\n',
    );
    expect(text).toMatch(/RBAC: access denied[^]*GET \/2$/);
  });

  it('passes an early answer on and lets both connections go', async () => {
    const tunnel = await lab.tunnel(early);
    let seen = '';
    tunnel.on('data', (chunk: Buffer) => {
      seen += chunk.toString('latin1');
    });
    tunnel.on('error', () => undefined);
    tunnel.write('POST /x HTTP/1.1\r\nhost: early\r\ncontent-length: 100000000\r\n\r\n');
    tunnel.write(Buffer.alloc(256 * 1024));
    await once(tunnel, 'close');
    expect(seen).toMatch(/^HTTP\/1\.1 413 /);
    expect(seen).toMatch(/big$/);
    await eventually('the backend connection to close', () => earlySockets.size === 0);
  });
});

describe('a client that says little and ends its side', () => {
  it('is heard: bytes too few to tell a protocol reach the backend', async () => {
    expect(await exchangeRaw(await lab.tunnel(echo), 'hello')).toBe('hello');
    expect(await exchangeRaw(await lab.tunnel(echo), 'PRI')).toBe('PRI');
  });

  it('is let go when it said nothing', async () => {
    expect(await exchangeRaw(await lab.tunnel(echo), '')).toBe('');
  });
});

describe('a backend that is not who it should be', () => {
  it('gets no request; the client gets 503', async () => {
    const before = lab.connects.length;
    const answer = await fetchOver(await lab.tunnel(impostor));
    expect(answer.status).toBe(503);
    expect(answer.body.toString()).toMatch(
      /^upstream connect error or disconnect\/reset before headers\. retried and the latest reset reason: remote connection failure, transport failure reason: /,
    );
    expect(lab.connects.length).toBe(before);
  });

  it('is passed over for one that is', async () => {
    for (let i = 0; i < 6; i++) {
      expect((await fetchOver(await lab.tunnel(twofold), { path: `/${i}` })).status).toBe(200);
    }
  });
});

describe('policy changes', () => {
  it('take effect on the next request of a kept connection', async () => {
    const deny = {
      name: 'closed',
      action: Action.DENY,
      targets: [{ namespace: 'shop', hostname: 'twofold.shop.svc.cluster.local' }],
      rules: [{ to: [{ paths: ['/private*'] }] }],
    };
    const status = async () => (await fetchOver(await lab.tunnel(twofold), { path: '/private' })).status;
    expect(await status()).toBe(200);
    lab.putPolicy(deny);
    await eventually('the refusal', async () => (await status()) === 403);
    lab.plane.removePolicy('shop/closed');
    await eventually('the permission', async () => (await status()) === 200);
  });
});
