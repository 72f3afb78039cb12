import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import type { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { AuthorizationPolicy_Action as Action } from '#mesh/xds/gen/meshctl/l7_pb.js';
import { AppProtocol } from '#mesh/xds/gen/istio/workload_pb.js';
import { isBrokenOff } from '#mesh/system/break-off.js';
import { localLoad } from '../../../harness/load.js';
import { answerOn, fetchOver } from './http-client.js';
import { eventually, Lab } from './lab.js';

let lab: Lab | undefined;
const vip = '10.96.2.1:80';

afterEach(async () => {
  await lab?.close();
  lab = undefined;
});

/** One service with one backend; `hold` keeps its answers until the test sends them. */
async function startApp(target: Lab, hold?: (response: ServerResponse) => void): Promise<void> {
  const http = createServer({ keepAliveTimeout: 200 }, (_request, response) => {
    if (hold === undefined) response.end('ok');
    else hold(response);
  });
  const port = await target.backend('127.0.20.21', (socket) => http.emit('connection', socket));
  target.putService({ name: 'app', vip: '10.96.2.1' });
  target.putWorkload({ name: 'app', ip: '127.0.20.21', services: { app: port } });
  await target.known({ services: ['app'] });
}

describe('readiness', () => {
  it('is not given, and nothing listens, before policies and addresses were received', async () => {
    const waiting = await Lab.start({ isSynced: false });
    lab = waiting;
    const early = await eventually('the readiness port', async () => {
      const answer = await waiting.readiness();
      return answer.body.includes('configuration') ? answer : undefined;
    });
    expect(early?.status).toBe(503);
    await expect(waiting.tunnel(vip)).rejects.toThrow();
    waiting.plane.isReady = true;
    await eventually('readiness', async () => (await waiting.readiness()).status === 200, 30_000);
  });
});

describe('the control plane going away', () => {
  it('leaves the last policies in force, and changes arrive after it is back', async () => {
    lab = await Lab.start();
    const running = lab;
    await startApp(running);
    running.putPolicy({ name: 'get-only', action: Action.DENY, rules: [{ to: [{ notMethods: ['GET'] }] }] });
    await running.known({ policies: ['get-only'] });
    running.plane.stop();
    const statusOf = async (method: string): Promise<number> =>
      (await fetchOver(await running.tunnel(vip), { method })).status;
    expect([await statusOf('GET'), await statusOf('PUT')]).toEqual([200, 403]);
    running.plane.removePolicy('shop/get-only');
    await running.plane.listen();
    await eventually('the removal', async () => (await statusOf('PUT')) === 200, 30_000);
  });
});

describe('shutdown', () => {
  it('lets a running request end and takes no new ones', async () => {
    lab = await Lab.start();
    const running = lab;
    const held: ServerResponse[] = [];
    await startApp(running, (response) => held.push(response));
    const answer = fetchOver(await running.tunnel(vip));
    await eventually('the request at the backend', () => held.length === 1);
    const ended = running.terminate();
    await eventually('the port to close', async () => {
      try {
        (await running.tunnel(vip, 'late')).destroy();
        return false;
      } catch {
        return true;
      }
    });
    held[0]?.end('late but whole');
    expect(String((await answer).body)).toBe('late but whole');
    await ended;
  });
});

describe('shutdown with kept connections', () => {
  it('costs no HTTP/1.1 client a request: the next answer ends the connection, idle ones are closed at the end', async () => {
    lab = await Lab.start({ drainSeconds: 2 });
    const running = lab;
    await startApp(running);
    // As a client that keeps its connection until it is told, or finds it closed before a request.
    const tunnels = new Map<number, Duplex>();
    const last: number[] = [];
    let release = (): void => undefined;
    const over = new Promise<void>((resolve) => {
      release = resolve;
    });
    const load = localLoad(async (worker) => {
      const kept = tunnels.get(worker);
      const tunnel = kept ?? (await running.tunnel(vip));
      tunnels.set(worker, tunnel);
      tunnel.write('GET / HTTP/1.1\r\nhost: app\r\n\r\n');
      const answer = await answerOn(tunnel);
      if (!answer.startsWith('HTTP/1.1 200 ')) throw new Error(`not an answer: ${JSON.stringify(answer)}`);
      if (/^connection: close\r$/im.test(answer)) {
        tunnels.delete(worker);
        last.push(worker);
        // There is no other waypoint to go to.
        await over;
        return;
      }
      await pause(40);
    }, 6);
    const idle = await running.tunnel(vip);
    idle.write('GET / HTTP/1.1\r\nhost: app\r\n\r\n');
    expect(await answerOn(idle)).toMatch(/^HTTP\/1\.1 200 /);
    await eventually('the load', () => load.counts().ok > 50);
    const closed = Promise.all([once(idle, 'end'), once(idle.resume(), 'close')]);
    const begin = performance.now();
    const ended = running.terminate();
    await closed;
    expect(performance.now() - begin).toBeGreaterThan(1_000);
    await ended;
    const stopped = load.stop();
    release();
    const { sent, ok, failures } = await stopped;
    expect({ ok, failures }).toEqual({ ok: sent, failures: {} });
    expect(last.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it('tells HTTP/2 clients to go, and ends when their requests have', async () => {
    lab = await Lab.start({ drainSeconds: 20 });
    const running = lab;
    const held: ServerResponse[] = [];
    await startApp(running, (response) => held.push(response));
    const tunnel = await running.tunnel(vip);
    const session = connectHttp2('http://app', { createConnection: () => tunnel });
    const stream = session.request({ ':path': '/' });
    await eventually('the request at the backend', () => held.length === 1);
    const goaway = once(session, 'goaway');
    const begin = performance.now();
    const ended = running.terminate();
    expect((await goaway)[0]).toBe(0);
    held[0]?.end('late but whole');
    expect(String(await buffer(stream))).toBe('late but whole');
    await ended;
    expect(performance.now() - begin).toBeLessThan(10_000);
  });

  it('lets a running TCP connection go on until its end, and resets it at the deadline', async () => {
    lab = await Lab.start({ drainSeconds: 2 });
    const running = lab;
    const port = await running.backend('127.0.20.23', (socket) => socket.pipe(socket));
    running.putService({ name: 'echo', vip: '10.96.2.2', protocol: AppProtocol.TCP });
    running.putWorkload({ name: 'echo', ip: '127.0.20.23', services: { echo: port } });
    await running.known({ services: ['echo'] });
    const [short, long] = [await running.tunnel('10.96.2.2:80'), await running.tunnel('10.96.2.2:80')];
    const terminated = running.terminate();
    await pause(1_000);
    short.end('still');
    expect(String(await buffer(short))).toBe('still');
    const cut = once(long.resume(), 'close');
    await terminated;
    await cut;
    // Its bytes stopped in the middle: that must not look like their end.
    expect(isBrokenOff(long)).toBe(true);
  });
});

describe('kept connections', () => {
  it('hides from the client that a backend closed a kept connection', async () => {
    lab = await Lab.start();
    let connectionCount = 0;
    // Each connection answers one request and is reset by the next one.
    const port = await lab.backend('127.0.20.22', (socket) => {
      connectionCount++;
      let requestCount = 0;
      socket.on('data', () => {
        requestCount++;
        if (requestCount > 1) socket.destroy();
        else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
      });
    });
    lab.putService({ name: 'app', vip: '10.96.2.1' });
    lab.putWorkload({ name: 'app', ip: '127.0.20.22', services: { app: port } });
    await lab.known({ services: ['app'] });
    for (let i = 0; i < 4; i++) {
      const answer = await fetchOver(await lab.tunnel(vip));
      expect([answer.status, String(answer.body)]).toEqual([200, 'ok']);
    }
    expect(connectionCount).toBeGreaterThan(1);
    // A request that is not safe to repeat is not repeated.
    const post = await fetchOver(await lab.tunnel(vip), { method: 'POST', body: Buffer.from('x') });
    expect(post.status).toBe(503);
    expect(String(post.body)).toContain('reset reason: connection termination');
  });

  it('drops a backend that speaks without being asked, and its bytes', async () => {
    lab = await Lab.start();
    let isFirst = true;
    let isSaid = false;
    const port = await lab.backend('127.0.20.22', (socket) => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
        if (isFirst) {
          setTimeout(() => {
            socket.write('HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil');
            const dropped = (): void => {
              isSaid = true;
            };
            socket.once('end', dropped).once('close', dropped);
          }, 20);
        }
        isFirst = false;
      });
    });
    lab.putService({ name: 'app', vip: '10.96.2.1' });
    lab.putWorkload({ name: 'app', ip: '127.0.20.22', services: { app: port } });
    await lab.known({ services: ['app'] });
    const sink = await lab.tunnel(vip);
    sink.write('GET / HTTP/1.1\r\nhost: app\r\n\r\n');
    await once(sink, 'data');
    sink.end();
    await buffer(sink);
    await eventually('the connection to be dropped', () => isSaid);
    expect(String((await fetchOver(await lab.tunnel(vip))).body)).toBe('ok');
  });
});
