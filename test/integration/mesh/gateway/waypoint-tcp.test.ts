import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer as createHttp } from 'node:http';
import type { Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isBrokenOff } from '#mesh/system/break-off.js';
import { AppProtocol } from '#mesh/xds/gen/istio/workload_pb.js';
import { AuthorizationPolicy_Action as Action } from '#mesh/xds/gen/meshctl/l7_pb.js';
import { exchangeRaw, fetchOver } from './http-client.js';
import { eventually, Lab } from './lab.js';

let lab: Lab;
const tcp = '10.96.1.1:80';
const sniffed = '10.96.1.2:80';
const guarded = '10.96.1.3:80';
const banner = '10.96.1.4:80';
const undeclaredBanner = '10.96.1.5:80';
const guardedBanner = '10.96.1.6:80';
const undeclaredWeb = '10.96.1.7:80';
let bannerCount = 0;
const webSockets = new Set<Socket>();

beforeAll(async () => {
  lab = await Lab.start();
  const port = await lab.backend('127.0.20.11', (socket) => socket.pipe(socket));
  await lab.nodeProxy('127.0.20.11', 'echo');
  const bannerPort = await lab.backend('127.0.20.12', (socket) => {
    bannerCount++;
    socket.write('220 hello\r\n');
    socket.on('data', (bytes) => socket.write(bytes)).on('end', () => socket.end());
  });
  const http = createHttp((request, response) => response.end(`web ${request.url}`));
  const webPort = await lab.backend('127.0.20.13', (socket) => {
    webSockets.add(socket);
    socket.once('close', () => webSockets.delete(socket));
    http.emit('connection', socket);
  });
  lab.putService({ name: 'tcp', vip: '10.96.1.1', protocol: AppProtocol.TCP });
  lab.putService({ name: 'sniffed', vip: '10.96.1.2', protocol: AppProtocol.UNKNOWN });
  lab.putService({ name: 'guarded', vip: '10.96.1.3', protocol: AppProtocol.UNKNOWN });
  lab.putService({ name: 'banner', vip: '10.96.1.4', protocol: AppProtocol.TCP });
  lab.putService({ name: 'undeclared-banner', vip: '10.96.1.5', protocol: AppProtocol.UNKNOWN });
  lab.putService({ name: 'guarded-banner', vip: '10.96.1.6', protocol: AppProtocol.UNKNOWN });
  lab.putService({ name: 'undeclared-web', vip: '10.96.1.7', protocol: AppProtocol.UNKNOWN });
  const services = { tcp: port, sniffed: port, guarded: port };
  lab.putWorkload({ name: 'echo', ip: '127.0.20.11', isHbone: true, hasWaypoint: true, services });
  lab.putWorkload({
    name: 'banner',
    ip: '127.0.20.12',
    services: {
      banner: bannerPort,
      'undeclared-banner': bannerPort,
      'guarded-banner': bannerPort,
    },
  });
  lab.putWorkload({ name: 'web', ip: '127.0.20.13', services: { 'undeclared-web': webPort } });
  lab.putPolicy({
    name: 'guarded-get',
    action: Action.ALLOW,
    targets: ['guarded', 'guarded-banner'].map((name) => ({
      namespace: 'shop',
      hostname: `${name}.shop.svc.cluster.local`,
    })),
    rules: [{ to: [{ methods: ['GET'] }] }],
  });
  await lab.known({
    services: ['tcp', 'sniffed', 'guarded', 'banner', 'undeclared-web'],
    policies: ['guarded-get'],
  });
}, 60_000);

afterAll(() => lab.close());

describe('TCP through the gateway', () => {
  it('carries bytes both ways, and each side ends on its own', async () => {
    const tunnel = await lab.tunnel(tcp);
    const body = randomBytes(4 * 1024 * 1024);
    const received = buffer(tunnel);
    tunnel.end(body);
    expect((await received).equals(body)).toBe(true);
    expect(lab.connects.at(-1)?.forwarded).toMatch(
      /^for="127\.0\.0\.1:\d+";host=tcp\.shop\.svc\.cluster\.local$/,
    );
  });

  it('lets the server speak first on a declared TCP port', async () => {
    const tunnel = await lab.tunnel(banner);
    expect(String((await once(tunnel, 'data'))[0])).toBe('220 hello\r\n');
  });

  it.each(['ping', 'ruok', '17'])('passes %j on at once on an undeclared port', async (text) => {
    const tunnel = await lab.tunnel(sniffed);
    tunnel.write(text);
    expect(String((await once(tunnel, 'data'))[0])).toBe(text);
  });

  it('lets the server speak first on an undeclared port, also to a client that ended its side', async () => {
    const tunnel = await lab.tunnel(undeclaredBanner);
    expect(String((await once(tunnel, 'data'))[0])).toBe('220 hello\r\n');
    tunnel.write('EHLO\r\n');
    expect(String((await once(tunnel, 'data'))[0])).toBe('EHLO\r\n');
    expect(await exchangeRaw(await lab.tunnel(undeclaredBanner), '')).toBe('220 hello\r\n');
    await eventually('the log line', () => lab.logged('inbound-vip|80|tcp|undeclared-banner.'));
  });

  it('goes on waiting for a silent client whose server is silent too, and then reads HTTP', async () => {
    const tunnel = await lab.tunnel(undeclaredWeb);
    await eventually('the server to be asked', () => webSockets.size === 1);
    tunnel.write('GET /late HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n');
    const answer = String(await buffer(tunnel));
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*server: istio-envoy\r\n[^]*web \/late$/);
    // The connection that asked the server is gone; the one that carried the request is kept.
    await eventually('the other connection to close', () => webSockets.size === 1);
    expect(lab.logged('inbound-vip|80|tcp|undeclared-web.')).toBe(false);
  });

  it('does not ask a server that policy keeps from TCP clients', async () => {
    const before = bannerCount;
    const tunnel = await lab.tunnel(guardedBanner);
    tunnel.resume();
    await Promise.race([once(tunnel, 'close'), setTimeout(2_000)]);
    expect([tunnel.destroyed, bannerCount]).toEqual([false, before]);
  });

  it('detects what is not HTTP on an undeclared port', async () => {
    expect(await exchangeRaw(await lab.tunnel(sniffed), 'PING\r\n')).toBe('PING\r\n');
    const bytes = Buffer.from([0x16, 0x03, 0x01, 0x00]);
    const tunnel = await lab.tunnel(sniffed);
    tunnel.end(bytes);
    expect(await buffer(tunnel)).toEqual(bytes);
  });

  it('never matches an ALLOW rule about HTTP with a connection that is not HTTP', async () => {
    const tunnel = await lab.tunnel(guarded);
    tunnel.end('PING\r\n');
    expect((await buffer(tunnel).catch(() => Buffer.alloc(0))).length).toBe(0);
  });

  it('reaches a workload by its own address when it uses this gateway', async () => {
    const tunnel = await lab.tunnel('127.0.20.11:7');
    // Nobody listens on port 7 of the pod: its node proxy says so, the request gets the reason.
    const answer = await fetchOver(tunnel);
    expect(answer.status).toBe(503);
    expect(lab.connects.at(-1)?.authority).toBe('127.0.20.11:7');
  });

  it('counts connections', async () => {
    await eventually('the closed counter', async () =>
      /istio_tcp_connections_closed_total\{.*destination_service_name="tcp".*\} [1-9]/.test(
        await lab.metrics(),
      ),
    );
  });

  it('refuses on the CONNECT by identity, and closes a live connection when policy turns against it', async () => {
    const live = await lab.tunnel(tcp);
    live.write('x');
    await once(live, 'data');
    lab.putPolicy({
      name: 'tcp-deny',
      action: Action.DENY,
      targets: [{ namespace: 'shop', hostname: 'tcp.shop.svc.cluster.local' }],
      rules: [{ from: [{ principals: ['*/sa/sleep'] }] }],
    });
    live.resume();
    await eventually('the end', () => live.closed);
    expect(isBrokenOff(live)).toBe(true);
    await expect(lab.tunnel(tcp)).rejects.toMatchObject({ status: 401 });
    await expect(lab.tunnel(tcp, 'other')).resolves.toBeDefined();
  });
});
