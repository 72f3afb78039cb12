import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { afterEach, describe, expect, it } from 'vitest';
import { AuthorizationPolicy_Action as Action } from '#mesh/xds/gen/meshctl/l7_pb.js';
import { fetchOver } from './http-client.js';
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
