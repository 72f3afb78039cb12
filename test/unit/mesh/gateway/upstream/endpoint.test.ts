import { describe, expect, it } from 'vitest';
import { MeshView } from '#mesh/gateway/mesh/mesh-view.js';
import { eligibleEndpoints, type Endpoint } from '#mesh/gateway/upstream/endpoint.js';
import { LeastRequest } from '#mesh/gateway/upstream/least-request.js';
import {
  LoadBalancing_HealthPolicy as HealthPolicy,
  LoadBalancing_Mode as Mode,
  LoadBalancing_Scope as Scope,
  WorkloadStatus,
} from '#mesh/xds/gen/istio/workload_pb.js';
import { addService, addWorkload } from '../make-mesh.js';

const here = {
  network: '',
  clusterId: 'Kubernetes',
  node: 'node-1',
  locality: { region: 'r1', zone: 'z1', subzone: '' },
};

/** Names of the eligible endpoints of shop/web:80 with what they are asked on. */
function eligible(view: MeshView): string[] {
  const service = view.serviceByKey('shop/web.shop.svc.cluster.local');
  const port = service?.ports.get(80);
  if (service === undefined || port === undefined) throw new Error('no service');
  return eligibleEndpoints({ view, service, port, requestedIp: '10.96.0.1', here })
    .map(({ workload, ip, port: target }) => `${workload?.name ?? 'none'} ${ip}:${target}`)
    .sort();
}

describe('eligibleEndpoints', () => {
  it('takes healthy endpoints of this network, on the port each of them says', () => {
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
    expect(eligible(view)).toEqual(['a 10.244.1.1:8080', 'b 10.244.1.2:9090']);
    view.remove('Kubernetes//Pod/shop/a');
    expect(eligible(view)).toEqual(['b 10.244.1.2:9090']);
  });

  it('takes unhealthy ones only where the service says so', () => {
    const view = new MeshView();
    addService(view, 'web', '10.96.0.1', { loadBalancing: { healthPolicy: HealthPolicy.ALLOW_ALL } });
    addWorkload(view, 'sick', '10.244.1.3', { backs: ['web'], status: WorkloadStatus.UNHEALTHY });
    expect(eligible(view)).toEqual(['sick 10.244.1.3:8080']);
  });

  it('goes where it was asked to in passthrough mode', () => {
    const view = new MeshView();
    addService(view, 'web', '10.96.0.1', { loadBalancing: { mode: Mode.PASSTHROUGH } });
    expect(eligible(view)).toEqual(['none 10.96.0.1:80']);
  });

  it.each([
    ['failover', Mode.FAILOVER, ['near', 'far'], ['near 10.244.1.1:8080']],
    ['failover', Mode.FAILOVER, ['far', 'farther'], ['far 10.244.1.2:8080']],
    ['strict', Mode.STRICT, ['near', 'far'], ['near 10.244.1.1:8080']],
    ['strict', Mode.STRICT, ['far'], []],
    ['no', Mode.UNSPECIFIED_MODE, ['near', 'far'], ['far 10.244.1.2:8080', 'near 10.244.1.1:8080']],
  ])('%s preference of mode %i among %j', (_name, mode, present, expected) => {
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
    expect(eligible(view)).toEqual(expected);
  });
});

describe('LeastRequest', () => {
  const [a, b, c] = ['10.0.0.1', '10.0.0.2', '10.0.0.3'].map(
    (ip): Endpoint => ({ ip, port: 80, workload: undefined }),
  ) as [Endpoint, Endpoint, Endpoint];

  it('takes the less busy of the two it drew', () => {
    const draws = [0, 0.9, 0.9, 0];
    const balancer = new LeastRequest(() => draws.shift() ?? 0);
    balancer.begin(a);
    expect(balancer.pick([a, b], new Set())).toBe(b);
    expect(balancer.pick([a, b], new Set())).toBe(b);
  });

  it('picks nothing out of nothing', () => {
    expect(new LeastRequest().pick([], new Set())).toBeUndefined();
  });

  it('avoids what was tried, until nothing else is left', () => {
    const balancer = new LeastRequest(() => 0);
    expect(balancer.pick([a, b, c], new Set(['10.0.0.1|80', '10.0.0.2|80']))).toBe(c);
    expect(balancer.pick([a], new Set(['10.0.0.1|80']))).toBe(a);
  });

  it('counts an end once, however often it is told', () => {
    const draws = [0, 0.9, 0, 0.9];
    const balancer = new LeastRequest(() => draws.shift() ?? 0);
    balancer.begin(a);
    const end = balancer.begin(a);
    balancer.begin(b);
    end();
    end();
    // One request each: the first drawn stays. A double count would make `a` idle, so reverse the order too.
    expect(balancer.pick([a, b], new Set())).toBe(a);
    expect(balancer.pick([b, a], new Set())).toBe(b);
  });

  it('spreads load close to evenly', () => {
    const balancer = new LeastRequest();
    const counts = new Map<Endpoint, number>();
    for (let i = 0; i < 3_000; i++) {
      const picked = balancer.pick([a, b, c], new Set());
      if (picked === undefined) throw new Error('nothing picked');
      balancer.begin(picked);
      counts.set(picked, (counts.get(picked) ?? 0) + 1);
    }
    expect(Math.max(...counts.values()) - Math.min(...counts.values())).toBeLessThan(50);
  });
});
