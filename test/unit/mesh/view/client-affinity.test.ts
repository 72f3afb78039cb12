import { describe, expect, test } from 'vitest';
import { Backends } from '#mesh/gateway/upstream/backends.js';
import { ClientAffinity } from '#mesh/view/client-affinity.js';
import type { KnownWorkload } from '#mesh/view/known.js';
import { resolveOutbound } from '#mesh/ztunnel/routing/outbound.js';
import { makeService, makeView, makeWorkload, member, servicePorts, waypointRef } from './known-values.js';

const to = { host: '10.96.0.7', port: 80 };
const web = makeService({ name: 'web', vips: [{ network: '', ip: to.host }], affinitySeconds: 60 });
const client = makeWorkload({ name: 'client', addresses: ['10.0.0.1'] });
const hosts = Array.from({ length: 20 }, (_, i) =>
  makeWorkload({ name: `web-${i}`, addresses: [`10.0.1.${i}`], services: member('web') }),
);

/** A clock that the test moves, and calls of a client by ztunnel. */
function setUp(resources: Parameters<typeof makeView>[0]) {
  const view = makeView(resources);
  const clock = { ms: 0 };
  const affinity = new ClientAffinity(() => clock.ms);
  const call = (source: KnownWorkload = client): string => {
    const route = resolveOutbound(view, { source, destination: to, random: Math.random, affinity });
    return route.kind === 'hbone' ? route.workload.name : route.kind;
  };
  const calls = (count: number, source?: KnownWorkload) =>
    new Set(Array.from({ length: count }, () => call(source)));
  return { view, clock, call, calls };
}

describe('a client of a service with affinity', () => {
  test('stays with its host, and others do with theirs', () => {
    const { calls } = setUp({ workloads: [client, ...hosts], services: [web] });
    expect(calls(50).size).toBe(1);
    const all = new Set(
      Array.from({ length: 30 }, (_, i) => {
        const bound = calls(10, makeWorkload({ name: `client-${i}` }));
        expect(bound.size).toBe(1);
        return [...bound][0];
      }),
    );
    expect(all.size).toBeGreaterThan(1);
  });

  test('whose host goes, or is not to be used any longer, gets another, and stays with that', () => {
    const { view, call, calls } = setUp({ workloads: [client, ...hosts], services: [web] });
    const first = call();
    const host = hosts.find(({ name }) => name === first);
    if (host === undefined) throw new Error(`${first} is no host`);
    view.putWorkload({ ...host, status: 'Terminating' });
    const second = calls(50);
    expect(second.size).toBe(1);
    expect([...second]).not.toContain(first);
    // The old one coming back changes nothing.
    view.putWorkload(host);
    expect(calls(50)).toEqual(second);
  });

  test('stays when other hosts change, and when its own host changes its port', () => {
    const { view, calls } = setUp({ workloads: [client, ...hosts], services: [web] });
    const [bound] = calls(1);
    for (const host of hosts) {
      if (host.name === bound) view.putWorkload({ ...host, services: member('web', [[80, 9090]]) });
      else view.putWorkload({ ...host, status: 'Unhealthy' });
      expect([...calls(3)]).toEqual([bound]);
    }
  });

  test('is free again when it has not called for the time of the service, counted from its last call', () => {
    const { clock, call } = setUp({ workloads: [client, ...hosts], services: [web] });
    const first = call();
    for (let i = 0; i < 5; i++) {
      clock.ms += 60_000;
      expect(call()).toBe(first);
    }
    const seen = new Set(
      Array.from({ length: 40 }, () => {
        clock.ms += 60_001;
        return call();
      }),
    );
    expect(seen.size).toBeGreaterThan(1);
  });

  test('stays with one instance of the waypoint that knows its host', () => {
    const bound = { ...web, waypoint: waypointRef('wp') };
    const waypoint = makeService({ name: 'wp', ports: servicePorts([15008, 15008]) });
    const instances = Array.from({ length: 5 }, (_, i) =>
      makeWorkload({ name: `wp-${i}`, addresses: [`10.0.2.${i}`], services: member('wp', [[15008, 15008]]) }),
    );
    const { calls } = setUp({ workloads: [client, ...instances], services: [bound, waypoint] });
    expect(calls(50).size).toBe(1);
    const { affinitySeconds: _, ...spread } = bound;
    const free = setUp({
      workloads: [client, ...instances],
      services: [{ ...spread, affinitySeconds: undefined }, waypoint],
    });
    expect(free.calls(50).size).toBeGreaterThan(1);
  });
});

test('the L7 proxy keeps clients too, but leaves a host that could not be reached', () => {
  const view = makeView({ workloads: hosts, services: [web] });
  const backends = new Backends(view, { network: '', clusterId: 'Kubernetes', node: 'n', ip: '10.9.9.9' });
  const address = { ip: to.host, port: 80 };
  const destination = { kind: 'service', address, service: web, protocol: 'http1' } as const;
  const from = (ip: string) => ({ destination, peerAddress: { ip, port: 40_000 } });
  const pick = (ip: string, tried: string[] = []) => backends.pick(from(ip), new Set(tried))?.key ?? 'none';
  const first = pick('10.0.0.1');
  expect(new Set(Array.from({ length: 50 }, () => pick('10.0.0.1')))).toEqual(new Set([first]));
  expect(new Set(Array.from({ length: 50 }, (_, i) => pick(`10.0.3.${i}`))).size).toBeGreaterThan(1);
  const second = pick('10.0.0.1', [first]);
  expect(second).not.toBe(first);
  expect(pick('10.0.0.1')).toBe(second);
});

test('clients beyond what is remembered forget those that called longest ago', () => {
  const view = makeView({ workloads: hosts, services: [web] });
  const group = view.hosts({ service: web, port: 80, from: client, purpose: 'application' });
  if (group === undefined) throw new Error('no hosts');
  const affinity = new ClientAffinity(() => 0);
  let drawn = 0;
  const pick = (name: string) =>
    affinity.pick({
      service: web,
      port: 80,
      client: name,
      hosts: group,
      draw: (of) => {
        drawn++;
        return of?.draw(Math.random);
      },
    });
  for (let i = 0; i < 20_000; i++) pick(`client-${i}`);
  expect(drawn).toBe(20_000);
  pick('client-19999');
  expect(drawn).toBe(20_000);
  pick('client-0');
  expect(drawn).toBe(20_001);
});
