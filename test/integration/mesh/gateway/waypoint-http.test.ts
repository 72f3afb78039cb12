import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2';
import type { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AuthorizationPolicy_Action as Action } from '#mesh/xds/gen/meshctl/l7_pb.js';
import { AppProtocol } from '#mesh/xds/gen/istio/workload_pb.js';
import { exchangeRaw, fetchOver } from './http-client.js';
import { eventually, gatewayIdentity, Lab } from './lab.js';

const sleep = 'cluster.local/ns/shop/sa/sleep';
let lab: Lab;
/** What the application behind `frontend` was asked, newest last. */
const seen: { method: string; url: string; headers: IncomingMessage['headers']; rawBytes: number }[] = [];

const frontend = '10.96.0.1:80';
const plain = '10.96.0.2:80';
const grpc = '10.96.0.4:80';

async function serveApp(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = request.url ?? '';
  const body = await buffer(request).catch(() => undefined);
  // The request was broken off.
  if (body === undefined) return;
  seen.push({ method: request.method ?? '', url, headers: request.headers, rawBytes: body.length });
  if (url === '/hash') {
    response.end(createHash('sha256').update(body).digest('hex'));
  } else if (url === '/download') {
    response.end(download);
  } else if (url === '/break') {
    response.writeHead(200, { 'content-length': '100' });
    response.write('half');
    setImmediate(() => request.socket.destroy());
  } else {
    response.setHeader('server', 'app');
    response.end(`hello ${request.method} ${url}`);
  }
}

const download = randomBytes(8 * 1024 * 1024);

function app(): Server {
  const server = createServer((request, response) => void serveApp(request, response));
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    if (request.url === '/no') {
      response.writeHead(417).end();
      return;
    }
    response.writeContinue();
    void serveApp(request, response);
  });
  server.on('upgrade', (_request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n');
    if (head.length > 0) socket.write(head);
    socket.pipe(socket);
  });
  return server;
}

beforeAll(async () => {
  lab = await Lab.start();
  const http = app();
  const port = await lab.backend('127.0.20.2', (socket) => http.emit('connection', socket));
  await lab.nodeProxy('127.0.20.2', 'frontend');
  const plainPort = await lab.backend('127.0.20.3', (socket) => http.emit('connection', socket));
  const grpcServer = createHttp2Server();
  grpcServer.on('stream', (stream, headers) => {
    if (headers[':path'] === '/pkg.Svc/Fail') {
      stream.respond(
        { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '5' },
        { endStream: true },
      );
      return;
    }
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'x-trailer': 'yes' }));
    stream.pipe(stream);
  });
  const grpcPort = await lab.backend('127.0.20.4', (socket) => grpcServer.emit('connection', socket));
  lab.putService({ name: 'frontend', vip: '10.96.0.1' });
  lab.putService({ name: 'plain', vip: '10.96.0.2', protocol: AppProtocol.UNKNOWN });
  lab.putService({ name: 'empty', vip: '10.96.0.3' });
  lab.putService({ name: 'grpc', vip: '10.96.0.4', protocol: AppProtocol.GRPC });
  lab.putService({ name: 'foreign', vip: '10.96.0.5', isOurs: false });
  lab.putService({ name: 'down', vip: '10.96.0.6' });
  lab.putService({ name: 'half', vip: '10.96.0.7' });
  lab.putWorkload({ name: 'frontend', ip: '127.0.20.2', isHbone: true, services: { frontend: port } });
  lab.putWorkload({ name: 'plain', ip: '127.0.20.3', services: { plain: plainPort, half: plainPort } });
  lab.putWorkload({ name: 'grpc', ip: '127.0.20.4', services: { grpc: grpcPort } });
  // Nobody listens on these.
  lab.putWorkload({ name: 'down', ip: '127.0.20.6', services: { down: 9, half: 9 } });
  lab.putWorkload({ name: 'sick', ip: '127.0.20.7', isHealthy: false, services: { empty: 9 } });
  lab.putWorkload({ name: 'sleep', ip: '127.0.0.1' });
  lab.putPolicy({
    name: 'frontend-viewer',
    action: Action.ALLOW,
    targets: [{ namespace: 'shop', hostname: 'frontend.shop.svc.cluster.local' }],
    rules: [{ from: [{ principals: [sleep] }], to: [{ methods: ['GET', 'POST', 'HEAD'] }] }],
  });
  await lab.known({ services: ['frontend', 'plain', 'grpc', 'half'], policies: ['frontend-viewer'] });
}, 60_000);

afterAll(() => lab.close());

describe('the seed policy on the wire', () => {
  it('passes the GET of sleep, with the gateway as caller of the backend', async () => {
    const answer = await fetchOver(await lab.tunnel(frontend), {
      path: '/x?y=1',
      headers: { 'x-forwarded-client-cert': 'By=forged', 'x-forwarded-for': '1.2.3.4' },
    });
    expect(answer.status).toBe(200);
    expect(String(answer.body)).toBe('hello GET /x?y=1');
    expect(answer.headers['server']).toBe('istio-envoy');
    expect(answer.headers['x-envoy-upstream-service-time']).toMatch(/^\d+$/);
    const headers: Record<string, unknown> = seen.at(-1)?.headers ?? {};
    expect(headers['host']).toBe('frontend');
    expect(headers['x-forwarded-client-cert']).toBeUndefined();
    expect(headers['x-forwarded-for']).toBe('1.2.3.4');
    expect(headers['x-forwarded-proto']).toBe('http');
    expect(headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
    expect(lab.connects.at(-1)).toMatchObject({
      peer: gatewayIdentity,
      forwarded: 'host=frontend.shop.svc.cluster.local',
    });
  });

  it('refuses its DELETE with the exact body, without asking the backend', async () => {
    const before = seen.length;
    const answer = await fetchOver(await lab.tunnel(frontend), { method: 'DELETE' });
    expect(answer.status).toBe(403);
    expect(String(answer.body)).toBe('RBAC: access denied');
    expect(answer.headers).toMatchObject({
      'content-type': 'text/plain',
      'content-length': '19',
      server: 'istio-envoy',
    });
    expect(seen.length).toBe(before);
  });

  it('refuses the GET of another identity', async () => {
    expect((await fetchOver(await lab.tunnel(frontend, 'intruder'))).status).toBe(403);
  });

  it('counts both, with the labels dashboards use', async () => {
    const text = await eventually('both samples', async () => {
      const metrics = await lab.metrics();
      return metrics.includes('response_code="403"') && metrics;
    });
    const line = String(text)
      .split('\n')
      .find(
        (l) =>
          l.startsWith('istio_requests_total{') &&
          l.includes('response_code="200"') &&
          l.includes('destination_service_name="frontend"'),
      );
    for (const label of [
      'reporter="waypoint"',
      'source_workload="sleep"',
      'source_principal="spiffe://cluster.local/ns/shop/sa/sleep"',
      'destination_workload="frontend"',
      'destination_principal="spiffe://cluster.local/ns/shop/sa/frontend"',
      'destination_service="frontend.shop.svc.cluster.local"',
      'request_protocol="http"',
      'response_flags="-"',
      'connection_security_policy="mutual_tls"',
    ]) {
      expect(line).toContain(label);
    }
    expect(text).toContain('istio_request_duration_milliseconds_bucket');
    expect(text).toContain('istio_build{component="proxy"');
  });
});

describe('destinations', () => {
  it.each([
    ['10.96.0.99:80', 404],
    ['10.96.0.1:81', 404],
    ['10.96.0.5:80', 404],
    ['127.0.20.2:8080', 404],
    ['frontend.shop:80', 400],
    ['10.96.0.1', 400],
  ])('refuses %s with %i', async (authority, status) => {
    await expect(lab.tunnel(authority)).rejects.toMatchObject({ status });
  });

  it('reaches a backend outside the mesh in plain TCP', async () => {
    const count = lab.connects.length;
    expect((await fetchOver(await lab.tunnel(plain))).status).toBe(200);
    expect(lab.connects.length).toBe(count);
  });

  it('answers 503 when no endpoint is healthy', async () => {
    const answer = await fetchOver(await lab.tunnel('10.96.0.3:80'));
    expect([answer.status, String(answer.body)]).toEqual([503, 'no healthy upstream']);
  });

  it('answers 503 with the reason when no endpoint can be connected to', async () => {
    const answer = await fetchOver(await lab.tunnel('10.96.0.6:80'));
    expect(answer.status).toBe(503);
    expect(String(answer.body)).toContain(
      'upstream connect error or disconnect/reset before headers. retried and the latest reset reason: remote connection failure',
    );
    await eventually('the flags', async () => (await lab.metrics()).includes('response_flags="UF,URX"'));
  });

  it('tries another endpoint when one cannot be connected to, also for a request with a body', async () => {
    for (let i = 0; i < 8; i++) {
      const answer = await fetchOver(await lab.tunnel('10.96.0.7:80'), {
        method: 'POST',
        path: '/hash',
        body: Buffer.from('x'),
      });
      expect(answer.status).toBe(200);
    }
  });
});

describe('HTTP/1.1', () => {
  it('carries large bodies both ways unchanged', async () => {
    const body = randomBytes(16 * 1024 * 1024);
    const answer = await fetchOver(await lab.tunnel(frontend), { method: 'POST', path: '/hash', body });
    expect(String(answer.body)).toBe(createHash('sha256').update(body).digest('hex'));
    const down = await fetchOver(await lab.tunnel(frontend), { path: '/download' });
    expect(down.body.equals(download)).toBe(true);
  });

  it('answers pipelined requests in order on one connection', async () => {
    const requests = ['/1', '/2', '/3'].map((path) => `GET ${path} HTTP/1.1\r\nhost: frontend\r\n\r\n`);
    const text = await exchangeRaw(await lab.tunnel(frontend), requests.join(''));
    expect([...text.matchAll(/hello GET (\S\d)/g)].map(([, path]) => path)).toEqual(['/1', '/2', '/3']);
  });

  it('answers a client that ended its side after the request', async () => {
    const text = await exchangeRaw(await lab.tunnel(plain), 'GET /half HTTP/1.1\r\nhost: plain\r\n\r\n');
    expect(text).toContain('hello GET /half');
  });

  it('passes chunked bodies on', async () => {
    const text = await exchangeRaw(
      await lab.tunnel(frontend),
      'POST /hash HTTP/1.1\r\nhost: frontend\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
    );
    expect(text).toContain(createHash('sha256').update('abc').digest('hex'));
  });

  it('lets the backend decide about Expect: 100-continue', async () => {
    const head = 'POST /hash HTTP/1.1\r\nhost: frontend\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n';
    const tunnel = await lab.tunnel(frontend);
    tunnel.write(head);
    const [first] = (await once(tunnel, 'data')) as [Buffer];
    expect(String(first)).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\n/);
    tunnel.end('abc');
    const rest = await buffer(tunnel);
    expect(String(rest)).toContain(createHash('sha256').update('abc').digest('hex'));
  });

  it('answers HEAD without a body and keeps the connection', async () => {
    const text = await exchangeRaw(
      await lab.tunnel(frontend),
      'HEAD /a HTTP/1.1\r\nhost: frontend\r\n\r\nGET /b HTTP/1.1\r\nhost: frontend\r\n\r\n',
    );
    expect(text.match(/HTTP\/1\.1 200/g)).toHaveLength(2);
    expect(text).not.toContain('hello HEAD');
    expect(text).toContain('hello GET /b');
  });

  it('goes on in HTTP/1.1 with a client that offers h2c', async () => {
    const text = await exchangeRaw(
      await lab.tunnel(frontend),
      'GET /offer HTTP/1.1\r\nhost: frontend\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n',
    );
    expect(text).toContain('hello GET /offer');
  });

  it('joins a WebSocket', async () => {
    const tunnel = await lab.tunnel(frontend);
    tunnel.write(
      'GET /ws HTTP/1.1\r\nhost: frontend\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    );
    const [head] = (await once(tunnel, 'data')) as [Buffer];
    expect(String(head)).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\n/);
    expect(String(head).toLowerCase()).toContain('upgrade: websocket');
    expect(String(head).toLowerCase()).toContain('connection: upgrade');
    tunnel.write('ping');
    const [echo] = (await once(tunnel, 'data')) as [Buffer];
    expect(String(echo)).toBe('ping');
    tunnel.end();
    await once(tunnel, 'close');
  });

  it('refuses a WebSocket by policy before anything is switched', async () => {
    const text = await exchangeRaw(
      await lab.tunnel(frontend, 'intruder'),
      'GET /ws HTTP/1.1\r\nhost: frontend\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n',
    );
    expect(text).toMatch(/^HTTP\/1\.1 403 /);
    expect(text).toMatch(/RBAC: access denied$/);
  });

  it('breaks off a response whose backend broke off', async () => {
    await expect(fetchOver(await lab.tunnel(frontend), { path: '/break' })).rejects.toThrow();
  });
});

describe('what two implementations may read differently is refused', () => {
  it.each([
    [
      'length and chunks',
      'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
    ],
    ['two lengths', 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc', 400],
    ['signed length', 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +3\r\n\r\nabc', 400],
    [
      'unknown coding',
      'POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
      501,
    ],
    ['two hosts', 'GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n', 400],
    ['no host', 'GET / HTTP/1.1\r\n\r\n', 400],
    ['blank before the colon', 'GET / HTTP/1.1\r\nhost : a\r\n\r\n', 400],
    ['NUL in a header', 'GET / HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n', 400],
    ['bare line feed', 'GET / HTTP/1.1\nhost: a\n\n', 400],
    ['folded header', 'GET / HTTP/1.1\r\nhost: a\r\nx: a\r\n b\r\n\r\n', 400],
    ['escaped NUL', 'GET /a%00b HTTP/1.1\r\nhost: a\r\n\r\n', 400],
    ['fragment', 'GET /a#b HTTP/1.1\r\nhost: a\r\n\r\n', 400],
    [
      'protected header named hop-by-hop',
      'GET / HTTP/1.1\r\nhost: a\r\nconnection: authorization\r\nauthorization: x\r\n\r\n',
      400,
    ],
    ['HTTP/1.0', 'GET / HTTP/1.0\r\nhost: a\r\n\r\n', 426],
    ['HTTP/0.9', 'GET /\r\n\r\n', 505],
    ['HTTP/2.0 without its preface', 'GET / HTTP/2.0\r\nhost: a\r\n\r\n', 505],
    ['HTTP/3.0', 'GET / HTTP/3.0\r\nhost: a\r\n\r\n', 505],
    ['unknown method', 'FOO / HTTP/1.1\r\nhost: a\r\n\r\n', 501],
    [
      'a coding that only looks chunked',
      'POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n',
      501,
    ],
    [
      'chunked, but not last',
      'POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n',
      501,
    ],
    ['a target too long', `GET /${'y'.repeat(70_000)} HTTP/1.1\r\nhost: a\r\n\r\n`, 414],
    ['half a head', 'GET / HTTP/1.1\r\nhost:', 400],
    ['CONNECT', 'CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n', 404],
    ['header section too large', `GET / HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(70_000)}\r\n\r\n`, 431],
    ['too many lines', `GET / HTTP/1.1\r\nhost: a\r\n${'x: y\r\n'.repeat(120)}\r\n`, 431],
  ])('%s', async (_what, bytes, status) => {
    const before = seen.length;
    const logged = lab.lines.length;
    const text = await exchangeRaw(await lab.tunnel(frontend), bytes);
    expect(text.slice(0, 12)).toBe(`HTTP/1.1 ${status}`);
    expect(text.match(/HTTP\/1\.1 \d/g)).toHaveLength(1);
    expect(seen.length).toBe(before);
    // Why, the access log tells: status, flags, details.
    const line = await eventually('the log line', () => lab.lines[logged]);
    expect(line).toMatch(new RegExp(`" ${status} (?:-|DPE) [a-z0-9_.]+ `));
    expect(lab.lines).toHaveLength(logged + 1);
  });

  it('answers a bad request behind good ones in its turn', async () => {
    const text = await exchangeRaw(
      await lab.tunnel(frontend),
      'GET /1 HTTP/1.1\r\nhost: a\r\n\r\nGET /2 HTTP/1.1\r\nhost: a\r\n\r\nFOO / HTTP/1.1\r\nhost: a\r\n\r\n',
    );
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 501']);
  });

  it('answers a request whose body never comes whole', async () => {
    const half = 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc';
    expect(await exchangeRaw(await lab.tunnel(frontend), half)).toMatch(/^HTTP\/1\.1 400 /);
  });

  it('answers a request whose body turns out unreadable', async () => {
    const tunnel = await lab.tunnel(frontend);
    tunnel.write('POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n');
    await setTimeout(50);
    expect(await exchangeRaw(tunnel, 'zz\r\n')).toMatch(
      /^HTTP\/1\.1 400 Bad Request\r\n[^]*connection: close\r\n[^]*Bad Request$/i,
    );
    await eventually('the log line', () => lab.logged('" 400 DPE http1.codec_error '));
  });

  it('does not lose the answer of the last request to what follows it', async () => {
    const text = await exchangeRaw(
      await lab.tunnel(frontend),
      'GET /last HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\nGET /no HTTP/1.1\r\nhost: a\r\n\r\n',
    );
    expect(text).toMatch(/^HTTP\/1\.1 200 [^]*hello GET \/last$/);
  });

  it('lets policy and backend see the same normalized path', async () => {
    lab.putPolicy({
      name: 'no-admin',
      action: Action.DENY,
      targets: [{ namespace: 'shop', hostname: 'plain.shop.svc.cluster.local' }],
      rules: [{ to: [{ paths: ['/admin*'] }] }],
    });
    await lab.known({ policies: ['no-admin'] });
    for (const path of [
      '/admin',
      '/x/../admin',
      '/%61dmin',
      '/x/%2e%2e/admin',
      '\\admin',
      '/./admin/x',
      'http://plain/admin',
    ]) {
      const text = await exchangeRaw(await lab.tunnel(plain), `GET ${path} HTTP/1.1\r\nhost: plain\r\n\r\n`);
      expect([path, text.slice(9, 12)]).toEqual([path, path.startsWith('\\') ? '400' : '403']);
    }
    expect((await fetchOver(await lab.tunnel(plain), { path: '/a/../ok' })).body.toString()).toBe(
      'hello GET /ok',
    );
  });
});

describe('HTTP/2', () => {
  it('serves prior-knowledge HTTP/2 on an HTTP/1.1 port, many requests at a time', async () => {
    const tunnel = await lab.tunnel(frontend);
    const session = connectHttp2('http://frontend', { createConnection: () => tunnel });
    const bodies = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        const stream = session.request({ ':path': `/h2-${i}` });
        return String(await buffer(stream));
      }),
    );
    expect(bodies).toEqual(Array.from({ length: 20 }, (_, i) => `hello GET /h2-${i}`));
    const denied = session.request({ ':path': '/', ':method': 'DELETE' });
    const [headers] = (await once(denied, 'response')) as [Record<string, unknown>];
    expect(headers[':status']).toBe(403);
    expect(String(await buffer(denied))).toBe('RBAC: access denied');
    session.destroy();
  });

  it('carries gRPC with its trailers, and trailers-only answers as such', async () => {
    const tunnel = await lab.tunnel(grpc);
    const session = connectHttp2('http://grpc', { createConnection: () => tunnel });
    const stream = session.request({
      ':method': 'POST',
      ':path': '/pkg.Svc/Echo',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const trailers = once(stream, 'trailers');
    stream.end(Buffer.from([0, 0, 0, 0, 1, 42]));
    expect(await buffer(stream)).toEqual(Buffer.from([0, 0, 0, 0, 1, 42]));
    expect((await trailers)[0]).toMatchObject({ 'grpc-status': '0', 'x-trailer': 'yes' });
    const failed = session.request({
      ':method': 'POST',
      ':path': '/pkg.Svc/Fail',
      'content-type': 'application/grpc',
    });
    failed.end();
    const [headers, flags] = (await once(failed, 'response')) as [Record<string, unknown>, number];
    expect(headers['grpc-status']).toBe('5');
    expect(flags & 1).toBe(1);
    session.destroy();
  });

  it('tells a gRPC client about a refusal in its own terms', async () => {
    const tunnel = await lab.tunnel(frontend, 'intruder');
    const session = connectHttp2('http://frontend', { createConnection: () => tunnel });
    const stream = session.request({
      ':method': 'POST',
      ':path': '/pkg.Svc/Echo',
      'content-type': 'application/grpc',
    });
    stream.end();
    const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
    expect(headers).toMatchObject({
      ':status': 200,
      'grpc-status': '7',
      'grpc-message': 'RBAC: access denied',
    });
    session.destroy();
  });
});
