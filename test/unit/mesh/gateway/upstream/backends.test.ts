import { describe, expect, it } from 'vitest';
import { Backends } from '#mesh/gateway/upstream/backends.js';
import { LeastRequest } from '#mesh/gateway/upstream/least-request.js';
import type { Host } from '#mesh/view/host.js';
import { MeshView } from '#mesh/view/mesh-view.js';
import { WeightedList } from '#mesh/view/weighted-list.js';
import {
  LoadBalancing_HealthPolicy as HealthPolicy,
  LoadBalancing_Mode as Mode,
  LoadBalancing_Scope as Scope,
  TunnelProtocol,
  WorkloadStatus,
} from '#mesh/xds/gen/istio/workload_pb.js';
import { makeWorkload } from '../../view/known-values.js';
import { addService, addWorkload, connectionTo, gatewayNamed, ipBytes, self } from '../make-mesh.js';

const placement = { network: '', clusterId: 'Kubernetes', node: 'node-1', ip: self.podIp };

/** Everything that is ever picked for an address: names, and what they are asked on. */
function picked(view: MeshView, authority = '10.96.0.1:80'): string[] {
  addWorkload(view, 'self', self.podIp, { locality: { region: 'r1', zone: 'z1' } });
  const backends = new Backends(view, placement);
  const connection = connectionTo(view, authority);
  const tried = new Set<string>();
  const found: string[] = [];
  for (
    let endpoint = backends.pick(connection, tried);
    endpoint;
    endpoint = backends.pick(connection, tried)
  ) {
    if (tried.has(endpoint.key)) break;
    tried.add(endpoint.key);
    found.push(`${endpoint.workload?.name ?? 'none'} ${endpoint.ip}:${endpoint.port}`);
  }
  return found.sort();
}

describe('the endpoints of a service', () => {
  it('are its healthy ones of this network, on the port each of them says', () => {
    const view = new MeshView();
    addService(view, 'web', '10.96.0.1');
    addWorkload(view, 'a', '10.244.1.1', { backs: ['web'] });
    addWorkload(view, 'b', '10.244.1.2', {
      services: { 'shop/web.shop.svc.cluster.local': { ports: [{ servicePort: 80, targetPort: 9090 }] } },
    });
    addWorkload(view, 'sick', '10.244.1.3', { backs: ['web'], status: WorkloadStatus.UNHEALTHY });
    addWorkload(view, 'far', '10.244.1.4', { backs: ['web'], network: 'far' });
    addWorkload(view, 'other', '10.244.1.5', { backs: ['else'] });
    addWorkload(view, 'homeless', '10.244.1.6', { backs: ['web'], addresses: [] });
    expect(picked(view)).toEqual(['a 10.244.1.1:8080', 'b 10.244.1.2:9090']);
    view.remove('Kubernetes//Pod/shop/a');
    expect(picked(view)).toEqual(['b 10.244.1.2:9090']);
  });

  it('are unhealthy ones only where the service says so', () => {
    const view = new MeshView();
    addService(view, 'web', '10.96.0.1', { loadBalancing: { healthPolicy: HealthPolicy.ALLOW_ALL } });
    addWorkload(view, 'sick', '10.244.1.3', { backs: ['web'], status: WorkloadStatus.UNHEALTHY });
    expect(picked(view)).toEqual(['sick 10.244.1.3:8080']);
  });

  it('are the address called in passthrough mode', () => {
    const view = new MeshView();
    addService(view, 'web', '10.96.0.1', { loadBalancing: { mode: Mode.PASSTHROUGH } });
    addWorkload(view, 'a', '10.244.1.1', { backs: ['web'] });
    expect(picked(view)).toEqual(['none 10.96.0.1:80']);
  });

  it('are those of the service as it is now, not as it was when the connection began', () => {
    const view = new MeshView();
    addService(view, 'web', '10.96.0.1');
    addWorkload(view, 'a', '10.244.1.1', { backs: ['web'] });
    const backends = new Backends(view, placement);
    const connection = connectionTo(view, '10.96.0.1:80');
    expect(backends.pick(connection, new Set())?.workload?.name).toBe('a');
    view.remove('shop/web.shop.svc.cluster.local');
    expect(backends.pick(connection, new Set())).toBeUndefined();
  });

  it.each([
    ['failover', Mode.FAILOVER, ['near', 'far'], ['near 10.244.1.1:8080']],
    ['failover', Mode.FAILOVER, ['far', 'farther'], ['far 10.244.1.2:8080']],
    ['strict', Mode.STRICT, ['near', 'far'], ['near 10.244.1.1:8080']],
    ['strict', Mode.STRICT, ['far'], []],
    ['no', Mode.UNSPECIFIED_MODE, ['near', 'far'], ['far 10.244.1.2:8080', 'near 10.244.1.1:8080']],
  ])('follow %s preference of mode %i among %j', (_name, mode, present, expected) => {
    const view = new MeshView();
    addService(view, 'web', '10.96.0.1', {
      loadBalancing: { mode, routingPreference: [Scope.REGION, Scope.ZONE] },
    });
    const places = {
      near: ['10.244.1.1', { region: 'r1', zone: 'z1' }],
      far: ['10.244.1.2', { region: 'r1', zone: 'z2' }],
      farther: ['10.244.1.3', { region: 'r2', zone: 'z1' }],
    } as const;
    for (const name of present as (keyof typeof places)[]) {
      const [ip, locality] = places[name];
      addWorkload(view, name, ip, { backs: ['web'], locality });
    }
    expect(picked(view)).toEqual(expected);
  });
});

describe('the endpoint of a workload', () => {
  const waypoint = gatewayNamed('waypoint');

  it('is the address called, until the workload is gone', () => {
    const view = new MeshView();
    addWorkload(view, 'pod', '10.244.1.7', {
      waypoint,
      addresses: [ipBytes('fd00::7'), ipBytes('10.244.1.7')],
    });
    expect(picked(view, '10.244.1.7:9000')).toEqual(['pod 10.244.1.7:9000']);
    const connection = connectionTo(view, '10.244.1.7:9000');
    view.remove('Kubernetes//Pod/shop/pod');
    expect(new Backends(view, placement).pick(connection, new Set())).toBeUndefined();
  });

  it('is none when the workload takes a tunnel that is not known: it would be plain text', () => {
    const view = new MeshView();
    addWorkload(view, 'pod', '10.244.1.7', { waypoint, tunnelProtocol: TunnelProtocol.LEGACY_ISTIO_MTLS });
    expect(picked(view, '10.244.1.7:9000')).toEqual([]);
  });
});

describe('LeastRequest', () => {
  const hostNamed = (name: string, capacity = 1): Host => ({
    key: name,
    workload: makeWorkload({ name, capacity }),
    port: 80,
    addresses: ['10.0.0.1'],
  });
  const [a, b, c] = [hostNamed('a'), hostNamed('b'), hostNamed('c')];
  const groupOf = (...hosts: Host[]) => {
    const group = new WeightedList<Host>();
    for (const host of hosts) group.add(host, host.workload.capacity);
    return group;
  };
  const drawing = (...draws: number[]) => new LeastRequest(() => draws.shift() ?? 0);
  const untried = new Set<string>();

  it('takes the less busy of the two it drew', () => {
    const balancer = drawing(0, 0.9, 0.9, 0);
    balancer.begin('a');
    expect(balancer.pick(groupOf(a, b), untried)).toBe(b);
    expect(balancer.pick(groupOf(a, b), untried)).toBe(b);
  });

  it('takes the less busy for its capacity', () => {
    const large = hostNamed('large', 3);
    const balancer = drawing(0, 0.9, 0, 0.9);
    balancer.begin('a');
    balancer.begin('large');
    balancer.begin('large');
    expect(balancer.pick(groupOf(a, large), untried)).toBe(large);
    balancer.begin('large');
    balancer.begin('large');
    expect(balancer.pick(groupOf(a, large), untried)).toBe(a);
  });

  it('picks nothing out of nothing', () => {
    expect(new LeastRequest().pick(undefined, untried)).toBeUndefined();
    expect(new LeastRequest().pick(groupOf(), untried)).toBeUndefined();
  });

  it('avoids what was tried, until nothing else is left', () => {
    expect(drawing().pick(groupOf(a, b, c), new Set(['a', 'b']))).toBe(c);
    expect(drawing(0.5, 0.9).pick(groupOf(a, b, c), new Set(['b', 'c']))).toBe(a);
    expect(drawing().pick(groupOf(a), new Set(['a']))).toBe(a);
  });

  it('counts an end once, however often it is told', () => {
    const balancer = drawing(0, 0.9, 0, 0.9);
    balancer.begin('a');
    const end = balancer.begin('a');
    balancer.begin('b');
    end();
    end();
    // One request each: the first drawn stays. A double count would make `a` idle, so reverse the order too.
    expect(balancer.pick(groupOf(a, b), untried)).toBe(a);
    expect(balancer.pick(groupOf(b, a), untried)).toBe(b);
  });

  it('spreads load close to evenly', () => {
    const balancer = new LeastRequest();
    const group = groupOf(a, b, c);
    const counts = new Map<Host, number>();
    for (let i = 0; i < 3_000; i++) {
      const host = balancer.pick(group, untried);
      if (host === undefined) throw new Error('nothing picked');
      balancer.begin(host.key);
      counts.set(host, (counts.get(host) ?? 0) + 1);
    }
    expect(Math.max(...counts.values()) - Math.min(...counts.values())).toBeLessThan(50);
  });
});
