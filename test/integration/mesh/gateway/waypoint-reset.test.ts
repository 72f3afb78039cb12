import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { breakOff, isBrokenOff } from '#mesh/system/break-off.js';
import { AppProtocol } from '#mesh/xds/gen/istio/workload_pb.js';
import { eventually, Lab } from './lab.js';

let lab: Lab;
const accepted: Socket[] = [];
/** The same backend, once as a pod of the mesh and once as a plain TCP server. */
const ways = [
  ['HTTP through HBONE', '10.96.6.1:80'],
  ['HTTP in plain TCP', '10.96.6.2:80'],
  ['TCP through HBONE', '10.96.6.3:80'],
  ['TCP in plain TCP', '10.96.6.4:80'],
] as const;
const httpWays = ways.filter(([name]) => name.startsWith('HTTP'));
const tcpWays = ways.filter(([name]) => name.startsWith('TCP'));

beforeAll(async () => {
  lab = await Lab.start();
  const serve = (socket: Socket): void => void accepted.push(socket);
  const meshPort = await lab.backend('127.0.20.61', serve);
  await lab.nodeProxy('127.0.20.61', 'meshed');
  const plainPort = await lab.backend('127.0.20.62', serve);
  lab.putService({ name: 'http-meshed', vip: '10.96.6.1' });
  lab.putService({ name: 'http-plain', vip: '10.96.6.2' });
  lab.putService({ name: 'tcp-meshed', vip: '10.96.6.3', protocol: AppProtocol.TCP });
  lab.putService({ name: 'tcp-plain', vip: '10.96.6.4', protocol: AppProtocol.TCP });
  lab.putWorkload({
    name: 'meshed',
    ip: '127.0.20.61',
    isHbone: true,
    services: { 'http-meshed': meshPort, 'tcp-meshed': meshPort },
  });
  lab.putWorkload({
    name: 'plain',
    ip: '127.0.20.62',
    services: { 'http-plain': plainPort, 'tcp-plain': plainPort },
  });
  await lab.known({ services: ['http-meshed', 'http-plain', 'tcp-meshed', 'tcp-plain'] });
}, 60_000);

afterAll(() => lab.close());

/** What a side reads until its end, and what kind of end that was. */
async function readAll(stream: Duplex): Promise<{ text: string; end: 'end' | 'reset' }> {
  let text = '';
  stream.on('error', () => undefined).on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
  await Promise.race([once(stream, 'end'), once(stream, 'close')]).catch(() => undefined);
  return { text, end: isBrokenOff(stream) || !stream.readableEnded ? 'reset' : 'end' };
}

async function request(authority: string, text: string): Promise<{ client: Duplex; backend: Socket }> {
  accepted.splice(0);
  const client = await lab.tunnel(authority);
  client.write(text);
  const backend = await eventually('the connection at the backend', () => accepted[0]);
  if (backend === undefined) throw new Error('no backend');
  return { client, backend };
}

const get = 'GET / HTTP/1.1\r\nhost: a\r\n\r\n';

describe.each(httpWays)('%s: a body without a length', (_name, authority) => {
  it.each([0, 20])(
    'that is cut off by a reset %i ms behind it does not arrive as a whole one',
    async (pauseMs) => {
      const { client, backend } = await request(authority, get);
      const answer = readAll(client);
      await once(backend, 'data');
      await new Promise((resolve) => backend.write('HTTP/1.1 200 OK\r\n\r\nhalf of it', resolve));
      if (pauseMs > 0) await setTimeout(pauseMs);
      backend.resetAndDestroy();
      const { text, end } = await answer;
      expect(end).toBe('reset');
      expect(text).not.toContain('0\r\n\r\n');
      await eventually('the log line', () => lab.logged('upstream_reset_after_response_started'));
    },
  );

  it('that ended in order is whole', async () => {
    const { client, backend } = await request(authority, `${get.slice(0, -2)}connection: close\r\n\r\n`);
    const answer = readAll(client);
    await once(backend, 'data');
    backend.end('HTTP/1.1 200 OK\r\n\r\nall of it');
    const { text, end } = await answer;
    expect([end, text.endsWith('9\r\nall of it\r\n0\r\n\r\n')]).toEqual(['end', true]);
  });
});

describe.each(httpWays)('%s: a client that resets', (_name, authority) => {
  it('resets the backend of a request that is under way', async () => {
    const { client, backend } = await request(
      authority,
      'POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n',
    );
    const seen = readAll(backend);
    await setTimeout(50);
    breakOff(client);
    const { text, end } = await seen;
    expect([text.includes('abc'), end]).toEqual([true, 'reset']);
  });

  it('resets the backend of a WebSocket', async () => {
    const upgrade = 'connection: upgrade\r\nupgrade: websocket\r\n\r\n';
    const { client, backend } = await request(authority, `GET / HTTP/1.1\r\nhost: a\r\n${upgrade}`);
    const seen = readAll(backend);
    backend.write(`HTTP/1.1 101 Switching Protocols\r\n${upgrade}`);
    await once(client, 'data');
    client.write('half a fr');
    await eventually('the bytes', () => backend.bytesRead > 0);
    await setTimeout(50);
    breakOff(client);
    const { text, end } = await seen;
    expect([text.endsWith('half a fr'), end]).toEqual([true, 'reset']);
  });
});

describe.each(tcpWays)('%s', (_name, authority) => {
  it.each(['client', 'backend'] as const)('a reset by the %s reaches the other side', async (who) => {
    const { client, backend } = await request(authority, 'hello');
    const [there, back] = [readAll(backend), readAll(client)];
    backend.write('hi');
    await setTimeout(50);
    if (who === 'client') {
      breakOff(client);
      expect(await there).toEqual({ text: 'hello', end: 'reset' });
    } else {
      backend.resetAndDestroy();
      expect(await back).toEqual({ text: 'hi', end: 'reset' });
    }
  });

  it('an end is an end', async () => {
    const { client, backend } = await request(authority, 'hello');
    const [there, back] = [readAll(backend), readAll(client)];
    client.end();
    expect(await there).toEqual({ text: 'hello', end: 'end' });
    backend.end('bye');
    expect(await back).toEqual({ text: 'bye', end: 'end' });
  });
});
