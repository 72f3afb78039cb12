import { describe, expect, test } from 'vitest';
import { resolveOutbound } from '#mesh/ztunnel/routing/outbound.js';
import type { HostPort } from '#base/net/authority.js';
import type { KnownService, KnownWorkload } from '#mesh/view/known.js';
import {
  makeService,
  makeView,
  makeWorkload,
  member,
  servicePorts,
  waypointRef,
} from '../view/known-values.js';
import { ClientAffinity } from '#mesh/view/client-affinity.js';

const web = makeWorkload({ name: 'web', addresses: ['10.0.0.1'] });
const cartVip = { network: '', ip: '10.96.0.7' };

function route(o: {
  to: HostPort;
  workloads?: KnownWorkload[];
  services?: KnownService[];
  random?: number;
  source?: KnownWorkload;
}) {
  const source = o.source ?? web;
  const state = makeView({ workloads: [source, ...(o.workloads ?? [])], services: o.services ?? [] });
  return resolveOutbound(state, {
    source,
    destination: o.to,
    random: () => o.random ?? 0,
    affinity: new ClientAffinity(),
  });
}

const waypointPod = makeWorkload({
  name: 'wp-0',
  serviceAccount: 'wp',
  addresses: ['10.0.0.9'],
  services: member('wp', [[15008, 15008]]),
});
const waypointService = makeService({
  name: 'wp',
  ports: servicePorts([15008, 15008]),
  vips: [{ network: '', ip: '10.96.0.9' }],
});

describe('unknown destinations', () => {
  test('pass through untouched', () => {
    expect(route({ to: { host: '1.2.3.4', port: 443 } })).toMatchObject({
      kind: 'tcp',
      destination: { host: '1.2.3.4', port: 443 },
    });
  });

  test('of a passthrough service pass through', () => {
    const loadBalancer = {
      routingPreferences: [],
      mode: 'Passthrough',
      healthPolicy: 'OnlyHealthy',
    } as const;
    const services = [makeService({ name: 'ext', vips: [cartVip], loadBalancer })];
    expect(route({ to: { host: '10.96.0.7', port: 80 }, services })).toMatchObject({ kind: 'tcp' });
  });
});

describe('workload addresses', () => {
  test('of an HBONE workload go to its port 15008', () => {
    const workloads = [makeWorkload({ name: 'cart', addresses: ['10.0.0.2'] })];
    expect(route({ to: { host: '10.0.0.2', port: 8080 }, workloads })).toMatchObject({
      kind: 'hbone',
      nextHop: { host: '10.0.0.2', port: 15008 },
      authority: '10.0.0.2:8080',
      expectedIdentities: ['spiffe://cluster.local/ns/shop/sa/cart'],
      isWaypoint: false,
    });
  });

  test('of a plain workload are dialled directly', () => {
    const workloads = [makeWorkload({ name: 'cart', addresses: ['10.0.0.2'], protocol: 'TCP' })];
    expect(route({ to: { host: '10.0.0.2', port: 8080 }, workloads })).toMatchObject({
      kind: 'tcp',
      destination: { host: '10.0.0.2', port: 8080 },
    });
  });

  test('of a host network pod are not looked up', () => {
    const workloads = [makeWorkload({ name: 'host', addresses: ['10.0.0.2'], networkMode: 'HostNetwork' })];
    expect(route({ to: { host: '10.0.0.2', port: 1 }, workloads })).toMatchObject({
      kind: 'tcp',
      workload: undefined,
    });
  });

  test('IPv6 authorities are bracketed', () => {
    const workloads = [makeWorkload({ name: 'cart', addresses: ['fd00::2'] })];
    expect(route({ to: { host: 'fd00::2', port: 8080 }, workloads })).toMatchObject({
      authority: '[fd00::2]:8080',
    });
  });

  test('on another network are refused', () => {
    const workloads = [
      makeWorkload({ name: 'far', addresses: ['10.0.0.2'], services: member('cart'), network: 'b' }),
    ];
    const services = [makeService({ name: 'cart', vips: [cartVip] })];
    expect(route({ to: { host: '10.96.0.7', port: 80 }, workloads, services })).toMatchObject({
      kind: 'refuse',
    });
  });
});

describe('services', () => {
  const a = makeWorkload({ name: 'a', addresses: ['10.0.0.2'], services: member('cart') });
  const b = makeWorkload({ name: 'b', addresses: ['10.0.0.3'], services: member('cart'), capacity: 3 });
  const cart = makeService({ name: 'cart', vips: [cartVip] });
  const to = { host: '10.96.0.7', port: 80 };

  test('pick an endpoint and translate the port', () => {
    expect(route({ to, workloads: [a], services: [cart] })).toMatchObject({
      kind: 'hbone',
      nextHop: { host: '10.0.0.2', port: 15008 },
      authority: '10.0.0.2:8080',
    });
  });

  test('weigh endpoints by capacity', () => {
    const host = (random: number): unknown => {
      const chosen = route({ to, workloads: [a, b], services: [cart], random });
      return chosen.kind === 'hbone' ? chosen.nextHop.host : undefined;
    };
    expect([0, 0.24, 0.26, 0.99].map(host)).toEqual(['10.0.0.2', '10.0.0.2', '10.0.0.3', '10.0.0.3']);
  });

  test('refuse when no endpoint is healthy', () => {
    const sick = { ...a, status: 'Unhealthy' as const };
    expect(route({ to, workloads: [sick], services: [cart] })).toMatchObject({
      kind: 'refuse',
      reason: 'no healthy upstream for shop/cart.shop.svc.cluster.local port 80',
    });
  });

  test('use unhealthy endpoints only when asked to', () => {
    const sick = { ...a, status: 'Unhealthy' as const };
    const loadBalancer = { routingPreferences: [], mode: 'Standard', healthPolicy: 'AllowAll' } as const;
    expect(route({ to, workloads: [sick], services: [{ ...cart, loadBalancer }] }).kind).toBe('hbone');
  });

  test('refuse a port they do not have', () => {
    expect(route({ to: { ...to, port: 81 }, workloads: [a], services: [cart] }).kind).toBe('refuse');
  });

  test('accept the identities the service declares besides the workload', () => {
    const subjectAltNames = ['spiffe://cluster.local/ns/x/sa/y', 'cart.example.com'];
    expect(route({ to, workloads: [a], services: [{ ...cart, subjectAltNames }] })).toMatchObject({
      expectedIdentities: ['spiffe://cluster.local/ns/x/sa/y', a.identity],
    });
  });

  test('endpoints may arrive before their service, and survive its replacement', () => {
    const state = makeView({ workloads: [web, a] });
    state.putService(cart);
    state.putService({ ...cart, canonical: true });
    expect(
      resolveOutbound(state, {
        source: web,
        destination: to,
        random: () => 0,
        affinity: new ClientAffinity(),
      }).kind,
    ).toBe('hbone');
  });

  test('a namespace-private service is invisible elsewhere', () => {
    const hidden = makeService({
      name: 'cart',
      namespace: 'other',
      vips: [cartVip],
      visibility: 'Namespace',
    });
    expect(route({ to, services: [hidden] })).toMatchObject({ kind: 'tcp', service: undefined });
  });

  test('an address range stands for its service', () => {
    const ranged = makeService({
      name: 'cart',
      cidrVips: [{ network: '', cidr: { address: Uint8Array.of(10, 96, 0, 0), length: 24 } }],
    });
    expect(route({ to, workloads: [a], services: [ranged] }).kind).toBe('hbone');
    expect(route({ to: { host: '10.96.1.7', port: 80 }, workloads: [a], services: [ranged] }).kind).toBe(
      'tcp',
    );
  });

  test('failover prefers the nearest, strict refuses the rest', () => {
    const near = { ...b, locality: { region: 'r', zone: 'z', subzone: '' } };
    const source = { ...web, locality: { region: 'r', zone: 'z', subzone: '' } };
    const balanced = (mode: 'Failover' | 'Strict', workloads: KnownWorkload[]) =>
      route({
        to,
        source,
        workloads,
        services: [
          {
            ...cart,
            loadBalancer: { routingPreferences: ['Region', 'Zone'], mode, healthPolicy: 'OnlyHealthy' },
          },
        ],
      });
    expect(balanced('Failover', [a, near])).toMatchObject({ nextHop: { host: '10.0.0.3' } });
    expect(balanced('Failover', [a])).toMatchObject({ nextHop: { host: '10.0.0.2' } });
    expect(balanced('Strict', [a])).toMatchObject({ kind: 'refuse' });
  });
});

describe('waypoints', () => {
  const to = { host: '10.96.0.7', port: 80 };
  const cartPod = makeWorkload({ name: 'cart', addresses: ['10.0.0.2'], services: member('cart') });
  const cart = makeService({ name: 'cart', vips: [cartVip], waypoint: waypointRef('wp') });

  test('of a service get the original address as authority', () => {
    const workloads = [cartPod, waypointPod];
    expect(route({ to, workloads, services: [cart, waypointService] })).toMatchObject({
      kind: 'hbone',
      isWaypoint: true,
      nextHop: { host: '10.0.0.9', port: 15008 },
      authority: '10.96.0.7:80',
      expectedIdentities: ['spiffe://cluster.local/ns/shop/sa/wp'],
    });
  });

  test.each([
    ['missing altogether', [] as KnownWorkload[], [] as KnownService[]],
    ['without instances', [], [waypointService]],
    ['with unhealthy instances only', [{ ...waypointPod, status: 'Unhealthy' as const }], [waypointService]],
  ])('%s refuse the call', (_name, pods, services) => {
    const refused = route({ to, workloads: [cartPod, ...pods], services: [cart, ...services] });
    expect(refused).toMatchObject({ kind: 'refuse' });
  });

  test('of a workload apply to calls by its address, except from the waypoint itself', () => {
    const guarded = { ...cartPod, waypoint: waypointRef('wp') };
    const direct = { host: '10.0.0.2', port: 8080 };
    const services = [waypointService];
    expect(route({ to: direct, workloads: [guarded, waypointPod], services })).toMatchObject({
      isWaypoint: true,
      authority: '10.0.0.2:8080',
    });
    expect(route({ to: direct, source: waypointPod, workloads: [guarded], services })).toMatchObject({
      isWaypoint: false,
      nextHop: { host: '10.0.0.2' },
    });
  });

  test('by address work like those by name', () => {
    const byIp = {
      destination: { kind: 'address', network: '', ip: '10.96.0.9' },
      hboneMtlsPort: 15008,
    } as const;
    const services = [{ ...cart, waypoint: byIp }, waypointService];
    expect(route({ to, workloads: [cartPod, waypointPod], services })).toMatchObject({ isWaypoint: true });
  });

  test('are chosen by weight, and all zero falls back to the plain one', () => {
    const other = makeService({ name: 'wp2', ports: servicePorts([15008, 15008]) });
    const otherPod = makeWorkload({
      name: 'wp2-0',
      addresses: ['10.0.0.8'],
      services: member('wp2', [[15008, 15008]]),
    });
    const weighted = (weight: number) => ({
      ...cart,
      weightedWaypoints: [{ destination: waypointRef('wp2'), weight }],
    });
    const workloads = [cartPod, waypointPod, otherPod];
    const hop = (weight: number) =>
      route({ to, workloads, services: [weighted(weight), waypointService, other] });
    expect(hop(1)).toMatchObject({ nextHop: { host: '10.0.0.8' } });
    expect(hop(0)).toMatchObject({ nextHop: { host: '10.0.0.9' } });
  });
});
