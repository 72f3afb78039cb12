import { request } from 'node:http';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type Handler, HttpServer, jsonAnswer, route } from '#mesh/process/http-server.js';
import { Readiness } from '#mesh/process/readiness.js';
import { temporaryFolder } from '../../../harness/temporary-folder.js';

let server: HttpServer | undefined;
afterEach(() => server?.close());

async function listen(...handlers: readonly Handler[]): Promise<string> {
  server = await HttpServer.listen({ hosts: ['127.0.0.1'], port: 0 }, ...handlers);
  return `http://127.0.0.1:${server.port}`;
}

describe('HttpServer', () => {
  it('asks its handlers in order and answers 404 when none knows the path', async () => {
    const base = await listen(
      route('GET', '/a', () => jsonAnswer(200, { from: 'first' })),
      route('GET', '/a', () => jsonAnswer(200, { from: 'second' })),
      route('POST', '/b', ({ query, body }) => ({ status: 201, body: `${query.get('q')}:${body}` })),
    );
    expect(await (await fetch(`${base}/a`)).json()).toEqual({ from: 'first' });
    expect((await fetch(`${base}/a`, { method: 'POST' })).status).toBe(405);
    const posted = await fetch(`${base}/b?q=1`, { method: 'POST', body: 'x' });
    expect([posted.status, await posted.text()]).toEqual([201, '1:x']);
    expect((await fetch(`${base}/c`)).status).toBe(404);
  });

  it('bounds bodies, and a handler that throws answers 500 with the reason', async () => {
    const base = await listen(
      route('POST', '/big', () => ({ status: 200 })),
      () => {
        throw new Error('no dump now');
      },
    );
    expect((await fetch(`${base}/big`, { method: 'POST', body: 'x'.repeat(256 * 1024) })).status).toBe(200);
    expect((await fetch(`${base}/big`, { method: 'POST', body: 'x'.repeat(256 * 1024 + 1) })).status).toBe(
      413,
    );
    const failed = await fetch(`${base}/other`);
    expect([failed.status, await failed.text()]).toEqual([500, 'no dump now\n']);
  });

  it('takes targets that are no URL for a bad request, and `//version` for a path', async () => {
    const base = await listen(route('GET', '/version', () => ({ status: 200, body: '1' })));
    const statusOf = (path: string): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        request(base, { path }, (response) => resolve(response.resume().statusCode))
          .on('error', reject)
          .end();
      });
    expect(await statusOf('//version')).toBe(200);
    expect(await statusOf('http://[')).toBe(400);
  });

  it('listens on a unix socket with the mode asked for, in the place of an old one', async () => {
    const path = join(await temporaryFolder('http-server-'), 'a.sock');
    const handler = route('GET', '/', () => ({ status: 200, body: 'here' }));
    (await HttpServer.listen({ path, mode: 0o600 }, handler)).close();
    server = await HttpServer.listen({ path, mode: 0o640 }, handler);
    expect(statSync(path).mode & 0o777).toBe(0o640);
    const status = await new Promise((resolve, reject) => {
      request({ socketPath: path, path: '/' }, (response) => resolve(response.resume().statusCode))
        .on('error', reject)
        .end();
    });
    expect(status).toBe(200);
  });

  it('rejects when an address is taken, and leaves nothing listening', async () => {
    const base = await listen(() => undefined);
    const port = Number(new URL(base).port);
    await expect(HttpServer.listen({ hosts: ['127.0.0.2', '127.0.0.1'], port })).rejects.toThrow(
      'EADDRINUSE',
    );
    await expect(fetch(`http://127.0.0.2:${port}/`)).rejects.toThrow();
  });
});

describe('Readiness', () => {
  it('names every part that is pending, with the reason', async () => {
    let why: string | undefined = 'no certificate';
    const readiness = new Readiness();
    readiness.require('certificate', () => why);
    readiness.require('listener', () => undefined);
    const base = await listen(readiness.handler('/healthz/ready', 503));
    const before = await fetch(`${base}/healthz/ready`);
    expect([before.status, await before.text()]).toEqual([
      503,
      'not ready, pending: certificate\n  certificate: no certificate\n',
    ]);
    why = undefined;
    expect((await fetch(`${base}/healthz/ready`)).status).toBe(200);
    expect((await fetch(`${base}/healthz/ready`, { method: 'POST' })).status).toBe(405);
  });
});
