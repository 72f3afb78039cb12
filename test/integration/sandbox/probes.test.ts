import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingHttpHeaders, type RequestListener } from 'node:http';
import { createServer as createHttp2Server, type ServerHttp2Stream } from 'node:http2';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { checkGrpcHealth } from '#sandbox/node/probe/grpc-health.js';
import { httpProbe } from '#sandbox/node/probe/http-probe.js';
import { certificateFor } from './tool/certificate.js';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function listen(server: Server): Promise<number> {
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function open({ host, port }: { host: string; port: number }): Promise<Socket> {
  const socket = connect(port, host);
  await once(socket, 'connect');
  return socket;
}

function probe(port: number, get: Partial<Parameters<typeof httpProbe>[0]> = {}, timeoutMs = 2_000) {
  return httpProbe({ port, ...get }, { host: '127.0.0.1', port, timeoutMs, open });
}

describe('an HTTP probe', () => {
  const serve = (listener: RequestListener) => listen(createHttpServer(listener));

  test('introduces itself as kubelet does, and with the headers it is given', async () => {
    const seen: IncomingHttpHeaders[] = [];
    const port = await serve((request, response) => {
      seen.push(request.headers);
      response.end();
    });
    await probe(port);
    await probe(port, {
      httpHeaders: [
        { name: 'Host', value: 'other.example' },
        { name: 'Accept', value: '' },
        { name: 'X-A', value: '1' },
        { name: 'X-A', value: '2' },
      ],
    });
    expect(seen[0]).toMatchObject({
      'user-agent': 'kube-probe/1.32',
      accept: '*/*',
      host: `127.0.0.1:${port}`,
      connection: 'close',
    });
    expect(seen[1]).toMatchObject({ host: 'other.example', 'x-a': '1, 2' });
    expect(seen[1]).not.toHaveProperty('accept');
  });

  test('takes 2xx and 3xx for success and names any other status', async () => {
    const port = await serve((request, response) => {
      response.statusCode = Number(request.url?.slice(1));
      response.end();
    });
    expect(await probe(port, { path: '/204' })).toMatchObject({ isSuccess: true });
    expect(await probe(port, { path: '304' })).toMatchObject({ isSuccess: true });
    expect(await probe(port, { path: '/503' })).toEqual({
      isSuccess: false,
      message: 'HTTP probe failed with statuscode: 503',
    });
  });

  test('follows redirects on its host; one to another host is a success with a warning', async () => {
    const port = await serve((request, response) => {
      if (request.url === '/near') response.writeHead(302, { location: '/end' });
      else if (request.url === '/far') response.writeHead(302, { location: 'http://elsewhere.example/' });
      else if (request.url === '/round') response.writeHead(302, { location: '/round' });
      else response.statusCode = 500;
      response.end('body');
    });
    expect(await probe(port, { path: '/near' })).toMatchObject({ isSuccess: false });
    expect(await probe(port, { path: '/far' })).toEqual({
      isSuccess: true,
      isWarning: true,
      message: 'Probe terminated redirects, Response body: body',
    });
    await expect(probe(port, { path: '/round' })).rejects.toThrow('stopped after 10 redirects');
  });

  test('gives up in time, and asks no certificate for its name', async () => {
    const silent = await serve(() => undefined);
    await expect(probe(silent, {}, 50)).rejects.toThrow('context deadline exceeded');
    const { certPem: cert, keyPem: key } = await certificateFor('elsewhere.example');
    const port = await listen(createHttpsServer({ cert, key }, (_request, response) => response.end()));
    expect(await probe(port, { scheme: 'HTTPS' })).toMatchObject({ isSuccess: true });
  });
});

describe('a gRPC probe', () => {
  /** A health service that gives one answer: the status of the call and the message. */
  async function health(grpcStatus: string, message: number[] = []): Promise<number> {
    const server = createHttp2Server();
    server.on('stream', (stream: ServerHttp2Stream) => {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': grpcStatus }));
      stream.end(Buffer.from([0, 0, 0, 0, message.length, ...message]));
      stream.resume();
    });
    return listen(server);
  }
  const check = async (port: number) =>
    checkGrpcHealth(await open({ host: '127.0.0.1', port }), { service: 's', timeoutMs: 2_000 });

  test('wants SERVING and names anything else', async () => {
    expect(await check(await health('0', [8, 1]))).toBeUndefined();
    expect(await check(await health('0', [8, 2]))).toBe('service unhealthy (responded with "NOT_SERVING")');
    expect(await check(await health('0'))).toBe('service unhealthy (responded with "UNKNOWN")');
    expect(await check(await health('12'))).toContain('does not implement the grpc health protocol');
  });

  test('fails when the other end speaks no HTTP/2', async () => {
    const port = await listen(createServer((socket) => socket.end('hello\n')));
    await expect(check(port)).rejects.toThrow();
  });
});
