import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseAuthority } from '#base/net/authority.js';
import { resolveInbound } from '#mesh/ztunnel/routing/inbound.js';
import { forwardedClient, forwardedHost } from '#mesh/hbone/forwarded.js';
import { makeService, makeView, makeWorkload, member, waypointRef } from '../view/known-values.js';

const local = { host: '10.0.0.2', port: 15008 };
const cart = makeWorkload({ name: 'cart', addresses: ['10.0.0.2'], services: member('cart', [[80, 8081]]) });

describe('the authority of a CONNECT', () => {
  const state = makeView({ workloads: [cart], services: [makeService({ name: 'cart' })] });
  const resolve = (authority: string) => resolveInbound(state, { authority, local, workload: cart });

  test('with our own address names the port', () => {
    expect(resolve('10.0.0.2:8080')).toMatchObject({
      kind: 'ok',
      destination: { host: '10.0.0.2', port: 8080 },
    });
  });

  test('with another address is refused', () => {
    expect(resolve('10.0.0.3:8080')).toMatchObject({ kind: 'refuse', status: 400 });
  });

  test.each(['15001', '15006', '15008'])('with proxy port %s is refused', (port) => {
    expect(resolve(`10.0.0.2:${port}`)).toMatchObject({ kind: 'refuse', status: 503 });
  });

  test('with a hostname uses the endpoint port of this workload', () => {
    expect(resolve('cart.shop.svc.cluster.local:80')).toMatchObject({
      destination: { host: '10.0.0.2', port: 8081 },
    });
  });

  test('with an unknown hostname or port is refused', () => {
    expect(resolve('other.shop.svc.cluster.local:80')).toMatchObject({ status: 503 });
    expect(resolve('cart.shop.svc.cluster.local:81')).toMatchObject({ status: 503 });
  });

  test('to an application tunnel uses its port, and is refused when it wants the PROXY protocol', () => {
    const tunnel = (protocol: 'NONE' | 'PROXY') =>
      makeWorkload({ name: 'cart', addresses: ['10.0.0.2'], applicationTunnel: { protocol, port: 9000 } });
    const request = { authority: '10.0.0.9:80', local };
    expect(resolveInbound(state, { ...request, workload: tunnel('NONE') })).toMatchObject({
      destination: { host: '10.0.0.2', port: 9000 },
    });
    expect(resolveInbound(state, { ...request, workload: tunnel('PROXY') })).toMatchObject({
      kind: 'refuse',
      status: 503,
    });
  });

  test('with a foreign address is accepted by its waypoint only', () => {
    const wp = makeWorkload({
      name: 'wp-0',
      addresses: ['10.0.0.2'],
      services: member('wp', [[15008, 15008]]),
    });
    const backend = makeWorkload({ name: 'b', addresses: ['10.0.0.3'], waypoint: waypointRef('wp') });
    const meshed = makeView({ workloads: [wp, backend], services: [makeService({ name: 'wp' })] });
    const request = { authority: '10.0.0.3:80', local };
    expect(resolveInbound(meshed, { ...request, workload: wp })).toMatchObject({ kind: 'ok' });
    expect(resolveInbound(meshed, { ...request, workload: cart })).toMatchObject({ status: 400 });
  });
});

describe('parseAuthority', () => {
  test.each([
    ['10.0.0.1:80', { host: '10.0.0.1', port: 80 }],
    ['[fd00:0::1]:80', { host: 'fd00::1', port: 80 }],
    ['a.b:65535', { host: 'a.b', port: 65_535 }],
    ['a.b', undefined],
    ['a.b:0', undefined],
    ['a.b:65536', undefined],
    ['fd00::1:80', undefined],
    ['[10.0.0.1]:80', undefined],
    ['user@host:80', undefined],
    ['a b:80', undefined],
    [':80', undefined],
  ])('%s', (authority, expected) => {
    expect(parseAuthority(authority)).toEqual(expected);
  });

  test('never throws and never yields a port out of range', () => {
    fc.assert(
      fc.property(fc.string(), (authority) => {
        const parsed = parseAuthority(authority);
        expect(parsed === undefined || (parsed.port > 0 && parsed.port < 65_536)).toBe(true);
      }),
    );
  });
});

test.each([
  ['for="10.0.0.1:1";host=cart.shop.svc', 'cart.shop.svc'],
  ['for="10.0.0.1:1";host="cart.shop.svc"', 'cart.shop.svc'],
  ['for="10.0.0.1:1"', undefined],
  ['', undefined],
])('the host of forwarded header %s', (header, expected) => {
  expect(forwardedHost(header)).toBe(expected);
});

test.each([
  ['for="10.0.0.1:4711";host=web.shop', '10.0.0.1:4711'],
  ['for="[fd00::1]:4711"', '[fd00::1]:4711'],
  ['host=web.shop;for="10.0.0.1:4711"', '10.0.0.1:4711'],
  ['for="10.0.0.1"', undefined],
  ['for=unknown', undefined],
  [undefined, undefined],
])('the client of %s is %s', (header, expected) => {
  expect(forwardedClient(header)).toBe(expected);
});
