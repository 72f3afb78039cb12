import { create, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { KnownWorkload } from '#mesh/view/known.js';
import { MeshView, type WorkloadChange } from '#mesh/view/mesh-view.js';
import { waypointsOf } from '#mesh/view/waypoints.js';
import { affinityExtension } from '#mesh/xds/extensions.js';
import { AddressSchema } from '#mesh/xds/gen/istio/workload_pb.js';
import { makeService, makeView, makeWorkload, member, waypointRef } from './known-values.js';

const upsert = (view: MeshView, type: object) => {
  const value = toBinary(AddressSchema, create(AddressSchema, { type } as never));
  view.upsert({ name: '', version: '', value });
};

describe('messages', () => {
  test.each<[string, object, string]>([
    ['nothing', {}, 'neither a workload nor a service'],
    ['a workload without uid', { case: 'workload', value: { name: 'a' } }, 'without uid'],
    [
      'an identity that cannot be',
      { case: 'workload', value: { uid: 'u', namespace: 'Shop' } },
      'cannot have the identity spiffe://cluster.local/ns/Shop/sa/default',
    ],
    [
      'a service key without namespace',
      { case: 'workload', value: { uid: 'u', namespace: 'shop', services: { web: {} } } },
      'has no namespace',
    ],
    [
      'an address that is none',
      { case: 'workload', value: { uid: 'u', namespace: 'shop', addresses: [Uint8Array.of(1, 2)] } },
      'an address of 2 bytes',
    ],
    ['a service without hostname', { case: 'service', value: { namespace: 'shop' } }, 'without namespace'],
    [
      'a range longer than its address',
      {
        case: 'service',
        value: {
          namespace: 'shop',
          hostname: 'web',
          addresses: [{ address: Uint8Array.of(10, 0, 0, 1), length: 33 }],
        },
      },
      'not a range',
    ],
  ])('of %s are refused', (_name, type, message) => {
    const view = new MeshView();
    expect(() => upsert(view, type)).toThrow(message);
    expect([...view.workloads, ...view.services]).toEqual([]);
  });

  test('that are refused leave what was known before', () => {
    const view = new MeshView();
    const value = { uid: 'u', namespace: 'shop', addresses: [Uint8Array.of(10, 0, 0, 1)] };
    upsert(view, { case: 'workload', value });
    expect(() => upsert(view, { case: 'workload', value: { ...value, namespace: '/' } })).toThrow();
    expect(view.workloadAt('', '10.0.0.1')?.namespace).toBe('shop');
  });

  test('of any bytes at all are read or refused, and nothing else happens', () => {
    const start = toBinary(
      AddressSchema,
      create(AddressSchema, {
        type: { case: 'workload', value: { uid: 'u', namespace: 'shop', services: { 'a/b': {} } } },
      } as never),
    );
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 64 }),
      // Close to a message: one with a few bytes changed.
      fc.array(fc.tuple(fc.nat(start.length - 1), fc.nat(255)), { maxLength: 4 }).map((changes) => {
        const changed = Uint8Array.from(start);
        for (const [at, to] of changes) changed[at] = to;
        return changed;
      }),
    );
    fc.assert(
      fc.property(bytes, (value) => {
        const view = new MeshView();
        let isRefused = false;
        try {
          view.upsert({ name: '', version: '', value });
        } catch (error) {
          isRefused = true;
          expect(error).toBeInstanceOf(Error);
        }
        expect([...view.workloads, ...view.services].length).toBe(isRefused ? 0 : 1);
      }),
    );
  });

  test('have defaults for what the control plane leaves out', () => {
    const view = new MeshView();
    upsert(view, { case: 'workload', value: { uid: 'u', namespace: 'shop' } });
    expect(view.workload('u')).toMatchObject({
      identity: 'spiffe://cluster.local/ns/shop/sa/default',
      clusterId: 'Kubernetes',
      capacity: 1,
      protocol: 'TCP',
      status: 'Healthy',
    });
  });
});

test('client affinity whose length cannot be read lasts as long as that of Kubernetes', () => {
  const view = new MeshView();
  const value = { namespace: 'shop', hostname: 'web', extensions: [{ name: affinityExtension }] };
  upsert(view, { case: 'service', value });
  expect(view.service('shop/web')?.affinitySeconds).toBe(10_800);
  const config = { typeUrl: 'type.googleapis.com/newer.Affinity', value: Uint8Array.of(1, 2, 3) };
  upsert(view, { case: 'service', value: { ...value, extensions: [{ name: affinityExtension, config }] } });
  expect(view.service('shop/web')?.affinitySeconds).toBe(10_800);
});

test('workloads come before their services, and services may go before their workloads', () => {
  const view = makeView({ workloads: [makeWorkload({ name: 'a', services: member('web') })] });
  const web = makeService({ name: 'web' });
  expect([...view.awaitedServices()]).toEqual([web.key]);
  view.putService(web);
  expect([...view.awaitedServices()]).toEqual([]);
  expect([...view.members(web.key)].map((w) => w.name)).toEqual(['a']);
  view.remove(web.key);
  expect([...view.awaitedServices()]).toEqual([web.key]);
  view.remove('Kubernetes//Pod/shop/a');
  expect([...view.awaitedServices()]).toEqual([]);
});

test('every change of a workload is told, with what was before', () => {
  const view = new MeshView();
  const told: WorkloadChange[] = [];
  const stop = view.onWorkload((change) => told.push(change));
  const [old, young] = [makeWorkload({ name: 'a' }), makeWorkload({ name: 'a', node: 'node-2' })];
  view.putWorkload(old);
  view.putWorkload(young);
  view.remove(old.uid);
  view.remove(old.uid);
  stop();
  view.putWorkload(old);
  const uid = old.uid;
  expect(told).toEqual([
    { uid, before: undefined, after: old },
    { uid, before: old, after: young },
    { uid, before: young, after: undefined },
  ]);
});

test('nothing of a workload that changed or went is found any longer', () => {
  const old = makeWorkload({
    name: 'a',
    hostname: 'a.example',
    addresses: ['10.0.0.1'],
    services: member('web'),
  });
  const view = makeView({ workloads: [old] });
  const found = () => [
    view.workloadAt('', '10.0.0.1')?.uid,
    view.workloadsNamed('shop', 'a')[0]?.uid,
    view.gatewayAt(
      { destination: { kind: 'hostname', namespace: 'shop', hostname: 'a.example' }, hboneMtlsPort: 1 },
      'shop',
    )?.kind,
    [...view.members('shop/web.shop.svc.cluster.local')][0]?.uid,
  ];
  expect(found()).toEqual([old.uid, old.uid, 'workload', old.uid]);
  const elsewhere: KnownWorkload = {
    ...old,
    name: 'b',
    hostname: '',
    addresses: ['10.0.0.2'],
    networkMode: 'HostNetwork',
    services: new Map(),
  };
  view.putWorkload(elsewhere);
  expect(found()).toEqual([undefined, undefined, undefined, undefined]);
  view.putWorkload(old);
  view.remove(old.uid);
  expect(found()).toEqual([undefined, undefined, undefined, undefined]);
});

test('a pod listed by its address is behind those services too', () => {
  const pod = makeWorkload({ name: 'db-0', addresses: ['10.0.0.1'], services: member('web') });
  const listed = makeWorkload({
    name: 'slice/10.0.0.1',
    uid: 'Kubernetes/discovery.k8s.io/EndpointSlice/shop/slice/10.0.0.1',
    addresses: ['10.0.0.1'],
    networkMode: 'HostNetwork',
    services: member('db', [[5432, 8080]]),
  });
  const view = makeView({ workloads: [pod, listed] });
  const keys = () => view.servicesBehind(pod, '10.0.0.1').map(([key]) => key);
  expect(keys()).toEqual(['shop/web.shop.svc.cluster.local', 'shop/db.shop.svc.cluster.local']);
  expect(view.workloadAt('', '10.0.0.1')).toBe(pod);
  view.remove(listed.uid);
  expect(keys()).toEqual(['shop/web.shop.svc.cluster.local']);
});

test('a hostname means the service of the own namespace, else a canonical one that is seen', () => {
  const hostname = 'www.example.com';
  const of = (namespace: string, change: object) =>
    makeService({ name: 'www', namespace, hostname, key: `${namespace}/${hostname}`, ...change });
  const view = makeView({
    services: [
      of('a', {}),
      of('b', { canonical: true }),
      of('c', { visibility: 'Namespace', canonical: true }),
    ],
  });
  expect(['a', 'c', 'd'].map((ns) => view.serviceOfHostname(hostname, ns)?.namespace)).toEqual([
    'a',
    'c',
    'b',
  ]);
  expect(view.serviceOfHostname('other.example', 'a')).toBeUndefined();
});

test('the waypoints in charge are the plain one and the weighted ones', () => {
  const [plain, weighted] = [waypointRef('plain'), waypointRef('weighted')];
  const service = makeService({
    name: 'web',
    waypoint: plain,
    weightedWaypoints: [{ destination: weighted, weight: 0 }],
  });
  expect(waypointsOf({ kind: 'service', service })).toEqual([plain, weighted]);
  const workload = makeWorkload({ name: 'a' });
  expect(waypointsOf({ kind: 'workload', workload })).toEqual([]);
});
