import { once } from 'node:events';
import { createServer as createHttp, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect as connectHttp2, createServer as createHttp2 } from 'node:http2';
import type { Duplex, Readable, Writable } from 'node:stream';
import { afterEach, describe, expect, it } from 'vitest';
import { AppProtocol } from '#mesh/xds/gen/istio/workload_pb.js';
import { eventually, Lab } from './lab.js';

let lab: Lab | undefined;
const vip = '10.96.5.1:80';
const chunkBytes = 64 * 1024;
const offeredBytes = 128 * 1024 * 1024;
/** HBONE's stream windows of both legs, the buffers around them and the kernel's. */
const heldMaxBytes = 40 * 1024 * 1024;

afterEach(async () => {
  await lab?.close();
  lab = undefined;
});

/** Offers bytes as fast as they are taken; `sent` is what was taken so far. */
function offer(to: Writable): { sent: number } {
  const progress = { sent: 0 };
  const chunk = Buffer.alloc(chunkBytes);
  const more = (): void => {
    while (progress.sent < offeredBytes) {
      progress.sent += chunkBytes;
      if (!to.write(chunk)) {
        to.once('drain', more);
        return;
      }
    }
    to.end();
  };
  more();
  return progress;
}

/** Resolves with a number that stayed the same for a while. */
async function settled(read: () => number): Promise<number> {
  let last = -1;
  let sameCount = 0;
  await eventually('the flow to stop', () => {
    sameCount = read() === last ? sameCount + 1 : 0;
    last = read();
    return sameCount >= 40;
  });
  return last;
}

async function drained(stream: Readable): Promise<number> {
  let count = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) count += chunk.length;
  return count;
}

async function start(serve: (request: IncomingMessage, response: ServerResponse) => void): Promise<Duplex> {
  lab = await Lab.start();
  const http = createHttp(serve);
  const port = await lab.backend('127.0.20.51', (socket) => http.emit('connection', socket));
  await lab.nodeProxy('127.0.20.51', 'app');
  lab.putService({ name: 'app', vip: '10.96.5.1' });
  lab.putWorkload({ name: 'app', ip: '127.0.20.51', isHbone: true, services: { app: port } });
  await lab.known({ services: ['app'] });
  return lab.tunnel(vip);
}

describe('a side that does not read', () => {
  it('stops a client that sends to a backend that does not read, and loses nothing', async () => {
    const requests: IncomingMessage[] = [];
    const tunnel = await start((request, response) => {
      requests.push(request);
      request.once('end', () => response.end('got it'));
    });
    tunnel.write(`POST / HTTP/1.1\r\nhost: app\r\ncontent-length: ${offeredBytes}\r\n\r\n`);
    const progress = offer(tunnel);
    const request = await eventually('the request', () => requests[0]);
    expect(await settled(() => progress.sent)).toBeLessThan(heldMaxBytes);
    if (request === undefined) throw new Error('no request');
    expect(await drained(request)).toBe(offeredBytes);
    let answer = '';
    for await (const chunk of tunnel as AsyncIterable<Buffer>) answer += chunk.toString('latin1');
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK[^]*got it$/);
  });

  it('stops a backend that sends to a client that does not read, and loses nothing', async () => {
    let progress = { sent: 0 };
    const tunnel = await start((_request, response) => {
      response.writeHead(200, { 'content-length': offeredBytes });
      progress = offer(response);
    });
    tunnel.end('GET / HTTP/1.1\r\nhost: app\r\n\r\n');
    await eventually('the response to begin', () => progress.sent > 0);
    expect(await settled(() => progress.sent)).toBeLessThan(heldMaxBytes);
    expect(await drained(tunnel)).toBeGreaterThan(offeredBytes);
  });
});

describe('many requests at once on a port declared as HTTP/2', () => {
  it('share connections to the backend', async () => {
    lab = await Lab.start();
    let connectionCount = 0;
    const http2 = createHttp2((_request, response) => response.end('ok'));
    const port = await lab.backend('127.0.20.52', (socket) => {
      connectionCount++;
      http2.emit('connection', socket);
    });
    lab.putService({ name: 'multi', vip: '10.96.5.2', protocol: AppProtocol.HTTP2 });
    lab.putWorkload({ name: 'multi', ip: '127.0.20.52', services: { multi: port } });
    await lab.known({ services: ['multi'] });
    const tunnel = await lab.tunnel('10.96.5.2:80');
    const session = connectHttp2('http://multi', { createConnection: () => tunnel });
    const statuses = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const stream = session.request({ ':path': '/' });
        const [headers] = (await once(stream, 'response')) as [{ ':status'?: number }];
        stream.resume();
        return headers[':status'];
      }),
    );
    session.destroy();
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect(connectionCount).toBe(1);
  });
});

describe('without a certificate', () => {
  it('is not ready and listens to nobody, until there is one', async () => {
    const waiting = await Lab.start({ isSynced: false });
    lab = waiting;
    waiting.plane.signsCertificates = false;
    waiting.plane.isReady = true;
    const pending = await eventually('the configuration', async () => {
      const { body } = await waiting.readiness();
      return body !== '' && !body.includes('configuration') ? body : undefined;
    });
    expect(pending).toMatch(/^not ready, pending: certificate, listener\n/);
    await expect(waiting.tunnel(vip)).rejects.toThrow(/ECONNREFUSED/);
    waiting.plane.signsCertificates = true;
    await eventually('readiness', async () => (await waiting.readiness()).status === 200, 30_000);
  });
});
