import { describe, expect, test } from 'vitest';
import { Backends } from '#mesh/gateway/upstream/backends.js';
import type { KnownWorkload, LoadBalancing } from '#mesh/view/known.js';
import type { MeshView } from '#mesh/view/mesh-view.js';
import { resolveOutbound } from '#mesh/ztunnel/routing/outbound.js';
import { makeService, makeView, makeWorkload, member, servicePorts } from './known-values.js';
import { ClientAffinity } from '#mesh/view/client-affinity.js';

/**
 * How many hosts are looked at, not how long it takes: a workload that anything is read of counts as visited.
 */
class Visits {
  readonly seen = new Set<string>();

  watch(workload: KnownWorkload): KnownWorkload {
    return new Proxy(workload, {
      get: (target, key, receiver): unknown => {
        this.seen.add(target.uid);
        return Reflect.get(target, key, receiver);
      },
    });
  }

  /** Workloads visited by an action, without those it is itself about. */
  during(action: () => void): number {
    this.seen.clear();
    action();
    return this.seen.size;
  }
}

const to = { host: '10.96.0.7', port: 80 };
const client = makeWorkload({ name: 'client', addresses: ['10.0.0.1'] });

function hostNumbered(i: number, change: Partial<KnownWorkload> = {}): KnownWorkload {
  const addresses = [`10.1.${i >> 8}.${i & 255}`];
  return makeWorkload({
    name: `web-${i}`,
    addresses,
    services: member('web'),
    capacity: 1 + (i % 3),
    ...change,
  });
}

function setUp(hostCount: number, loadBalancer: LoadBalancing | undefined) {
  const visits = new Visits();
  const hosts = Array.from({ length: hostCount }, (_, i) => visits.watch(hostNumbered(i)));
  const service = makeService({ name: 'web', vips: [{ network: '', ip: to.host }], loadBalancer });
  const view = makeView({ workloads: [client, ...hosts], services: [service] });
  const backends = new Backends(view, {
    network: '',
    clusterId: 'Kubernetes',
    node: 'node-1',
    ip: '10.0.0.1',
  });
  const destination = {
    kind: 'service',
    address: { ip: to.host, port: 80 },
    service,
    protocol: 'http1',
  } as const;
  const call = { destination, peerAddress: { ip: '10.0.0.1', port: 40_000 } };
  const picks: Record<string, () => unknown> = {
    ztunnel: () =>
      resolveOutbound(view, {
        source: client,
        destination: to,
        random: Math.random,
        affinity: new ClientAffinity(),
      }),
    gateway: () => backends.pick(call, new Set()),
    'gateway, trying again': () =>
      backends.pick(call, new Set(['Kubernetes//Pod/shop/web-0|8080', 'Kubernetes//Pod/shop/web-1|8080'])),
  };
  return { visits, view, picks };
}

const failover: LoadBalancing = {
  routingPreferences: ['Network', 'Region', 'Zone'],
  mode: 'Failover',
  healthPolicy: 'OnlyHealthy',
};

describe.each([
  ['without preference', undefined],
  ['with failover', failover],
])('work for one call, %s', (_name, loadBalancer) => {
  test.each([3, 300, 3_000])('does not grow with the hosts: %i', (hostCount) => {
    const { visits, picks } = setUp(hostCount, loadBalancer);
    for (const [name, pick] of Object.entries(picks)) {
      pick(); // makes the host set
      expect([name, visits.during(pick) <= 4]).toEqual([name, true]);
    }
  });

  test.each([3, 300, 3_000])(
    'nor does a changed host cost the next call more than itself: %i',
    (hostCount) => {
      const { visits, view, picks } = setUp(hostCount, loadBalancer);
      for (const pick of Object.values(picks)) pick();
      const change = (host: KnownWorkload) => visits.during(() => view.putWorkload(visits.watch(host)));
      expect(change(hostNumbered(1, { status: 'Unhealthy' }))).toBeLessThanOrEqual(1);
      expect(change(hostNumbered(2, { status: 'Terminating' }))).toBeLessThanOrEqual(1);
      expect(change(hostNumbered(hostCount))).toBeLessThanOrEqual(1);
      expect(visits.during(() => view.remove('Kubernetes//Pod/shop/web-0'))).toBeLessThanOrEqual(1);
      for (const pick of Object.values(picks)) expect(visits.during(pick)).toBeLessThanOrEqual(4);
    },
  );
});

test('a port the service does not have makes no host set', () => {
  const { visits, view } = setUp(300, undefined);
  const scan = (port: number) =>
    resolveOutbound(view, {
      source: client,
      destination: { ...to, port },
      random: Math.random,
      affinity: new ClientAffinity(),
    }).kind;
  expect(visits.during(() => expect(scan(81)).toBe('refuse'))).toBe(0);
});

describe('host sets stay current', () => {
  const placesOf = (view: MeshView): string[] => {
    const found = new Set<string>();
    for (let i = 0; i < 120; i++) {
      const route = resolveOutbound(view, {
        source: client,
        destination: to,
        random: () => (i + 0.5) / 120,
        affinity: new ClientAffinity(),
      });
      found.add(route.kind === 'hbone' ? route.authority : route.kind);
    }
    return [...found].sort();
  };
  const web = makeService({ name: 'web', vips: [{ network: '', ip: to.host }] });
  const a = makeWorkload({ name: 'a', addresses: ['10.0.0.2'], services: member('web') });
  const b = makeWorkload({ name: 'b', addresses: ['10.0.0.3'], services: member('web') });

  test('with every kind of change to a workload', () => {
    const view = makeView({ workloads: [client, a], services: [web] });
    expect(placesOf(view)).toEqual(['10.0.0.2:8080']);
    view.putWorkload(b);
    expect(placesOf(view)).toEqual(['10.0.0.2:8080', '10.0.0.3:8080']);
    view.putWorkload({ ...a, status: 'Unhealthy' });
    expect(placesOf(view)).toEqual(['10.0.0.3:8080']);
    view.putWorkload({ ...b, addresses: ['10.0.0.4'], services: member('web', [[80, 9090]]) });
    expect(placesOf(view)).toEqual(['10.0.0.4:9090']);
    view.putWorkload({ ...b, services: new Map() });
    expect(placesOf(view)).toEqual(['refuse']);
    view.putWorkload({ ...a, status: 'Terminating' });
    expect(placesOf(view)).toEqual(['10.0.0.2:8080']);
    view.putWorkload(b);
    expect(placesOf(view)).toEqual(['10.0.0.3:8080']);
    view.remove(b.uid);
    expect(placesOf(view)).toEqual(['10.0.0.2:8080']);
    view.remove(a.uid);
    expect(placesOf(view)).toEqual(['refuse']);
    view.putWorkload(a);
    expect(placesOf(view)).toEqual(['10.0.0.2:8080']);
  });

  test('with every kind of change to the service', () => {
    const view = makeView({ workloads: [client, a], services: [web] });
    expect(placesOf(view)).toEqual(['10.0.0.2:8080']);
    view.putService({ ...web, ipFamilies: 'IPv6' });
    expect(placesOf(view)).toEqual(['refuse']);
    view.putService({ ...web, ports: servicePorts([81, 8081]) });
    expect(placesOf(view)).toEqual(['refuse']);
    view.remove(web.key);
    expect(placesOf(view)).toEqual(['tcp']);
    view.putWorkload(b);
    view.putService(web);
    expect(placesOf(view)).toEqual(['10.0.0.2:8080', '10.0.0.3:8080']);
    view.remove(web.key);
    view.remove(a.uid);
    view.putService(web);
    expect(placesOf(view)).toEqual(['10.0.0.3:8080']);
  });

  test('for callers in several places, more of them than are remembered', () => {
    const balanced = { ...web, loadBalancer: { ...failover, routingPreferences: ['Node'] as const } };
    const near = (node: string) => ({ ...client, node });
    const on = (node: string, i: number) =>
      makeWorkload({ name: node, node, addresses: [`10.0.1.${i}`], services: member('web') });
    const nodes = ['n1', 'n2', 'n3', 'n4', 'n5', 'n6'];
    const view = makeView({ workloads: nodes.map(on), services: [balanced] });
    const target = (node: string) => {
      const route = resolveOutbound(view, {
        source: near(node),
        destination: to,
        random: () => 0,
        affinity: new ClientAffinity(),
      });
      return route.kind === 'hbone' ? route.workload.name : route.kind;
    };
    for (let round = 0; round < 2; round++) expect(nodes.map(target)).toEqual(nodes);
    view.putWorkload({ ...on('n1', 0), node: 'n2', capacity: 1_000_000 });
    expect(target('n2')).toBe('n1');
  });
});
