import { describe, expect, test } from 'vitest';
import type { Condition, Gateway, KubeObject, Pod, Service } from '#base/kube/types.js';
import { createManagedGateways } from '#mesh/controller/gateway/managed-gateways.js';
import { meshKey, objectKey, statusKey } from '#mesh/controller/model/inputs.js';
import { type KindName, kinds } from '#mesh/controller/model/kinds.js';
import { MeshState } from '#mesh/controller/model/mesh-state.js';
import { withTimes } from '#mesh/controller/status/desired-status.js';
import { createStatusChanges } from '#mesh/controller/statuses.js';
import { defaultMeshConfig } from '#mesh/rules/mesh-config.js';

const at = new Date('2026-01-01T00:00:00Z');
const later = new Date('2026-02-02T00:00:00Z');

type Live = KubeObject & { status?: object };

/** A cluster whose objects the test makes by hand, and a writer that writes when it says so. */
function setUp(revision = 'default') {
  const state = new MeshState({
    cluster: { clusterId: 'Kubernetes', clusterDomain: 'cluster.local', network: '' },
    mesh: defaultMeshConfig('istio-system'),
    onPush: () => undefined,
    onError: (key, error) => {
      throw new Error(key, { cause: error });
    },
  });
  const settings = { clusterDomain: 'cluster.local', revision };
  const { managed, statuses } = createManagedGateways(state.graph, state.inputs, settings);
  const changes = createStatusChanges(state, statuses);
  const objects = new Map<string, Live>();
  let version = 0;
  const set = (kind: KindName, object: Live) => {
    version += 1;
    object.metadata.resourceVersion = String(version);
    const key = objectKey(object);
    objects.set(statusKey(kind, key), object);
    const facts = kinds[kind].facts as (of: KubeObject) => never;
    state.inputs[kind].set(key, facts(object));
    if (kinds[kind].status === undefined) return;
    const { resourceVersion } = object.metadata;
    state.inputs.liveStatuses.set(statusKey(kind, key), {
      resourceVersion,
      status: (object.status ?? {}) as Record<string, unknown>,
    });
  };
  state.run();
  /** Writes everything there is to write, as the API server would take it; returns what that was. */
  const write = (now = at) => {
    state.flush();
    const written = changes.list();
    for (const change of written) {
      const key = change.namespace === '' ? change.name : `${change.namespace}/${change.name}`;
      const object = objects.get(statusKey(change.kind, key));
      if (object === undefined || object.metadata.resourceVersion !== change.resourceVersion)
        throw new Error(key);
      set(change.kind, { ...object, status: { ...object.status, ...withTimes(change.status, now) } });
    }
    return written.map(({ kind, name, status }) => ({ kind, name, fields: Object.keys(status) }));
  };
  const statusOf = (kind: KindName, key: string) =>
    (objects.get(statusKey(kind, key))?.status ?? {}) as Record<string, unknown>;
  return { state, managed, set, write, statusOf };
}

const conditionsOf = (status: Record<string, unknown>) =>
  ((status['conditions'] ?? []) as Condition[]).map(
    (c) => `${c.type}=${c.status} ${c.reason} ${c.lastTransitionTime}`,
  );

const gateway = (
  o: { className?: string; spec?: object; labels?: Record<string, string>; status?: object } = {},
) =>
  ({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { namespace: 'shop', name: 'w', uid: 'u1', generation: 3, labels: o.labels ?? {} },
    spec: {
      gatewayClassName: o.className ?? 'istio-waypoint',
      listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE' }],
      ...o.spec,
    },
    ...(o.status === undefined ? {} : { status: o.status }),
  }) as unknown as Gateway;

const service = (name: string, labels: Record<string, string> = {}, status?: object): Service & Live =>
  ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace: 'shop', name, labels },
    spec: { clusterIP: '10.96.0.9', ports: [{ port: 80 }] },
    ...(status === undefined ? {} : { status }),
  }) as unknown as Service & Live;

const pod = (isReady: boolean): KubeObject & Pick<Pod, 'spec' | 'status'> => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { namespace: 'shop', name: 'w-1', labels: { 'gateway.networking.k8s.io/gateway-name': 'w' } },
  spec: { containers: [] },
  status: { conditions: [{ type: 'Ready', status: isReady ? 'True' : 'False' }] },
});

const bound = { 'istio.io/use-waypoint': 'w' };
const managedLabel = { 'gateway.istio.io/managed': 'istio.io-mesh-controller' };

describe('what is written', () => {
  test('is what an object lacks, once; nothing when it says so already', () => {
    const { set, write, statusOf } = setUp();
    set('services', service('backend', bound));
    set('services', service('unbound'));
    expect(write()).toEqual([{ kind: 'services', name: 'backend', fields: ['conditions'] }]);
    expect(conditionsOf(statusOf('services', 'shop/backend'))).toEqual([
      'istio.io/WaypointBound=False WaypointIsNotReady 2026-01-01T00:00:00Z',
    ]);
    expect(write()).toEqual([]);
    set('services', service('backend', bound, statusOf('services', 'shop/backend')));
    expect(write()).toEqual([]);
  });

  test('leaves the conditions of others where they are, and the time of a status that stays', () => {
    const { set, write, statusOf } = setUp();
    const others = { type: 'Theirs', status: 'True', reason: 'R', message: '', lastTransitionTime: 'then' };
    set('services', service('backend', bound, { conditions: [others], loadBalancer: {} }));
    write();
    set('gateways', gateway({ status: { addresses: [{ value: '10.96.0.9' }] } }));
    write(later);
    expect(conditionsOf(statusOf('services', 'shop/backend'))).toEqual([
      'Theirs=True R then',
      'istio.io/WaypointBound=True WaypointAccepted 2026-02-02T00:00:00Z',
    ]);
    set('services', service('backend', {}, statusOf('services', 'shop/backend')));
    write(later);
    expect(conditionsOf(statusOf('services', 'shop/backend'))).toEqual(['Theirs=True R then']);
  });

  test('comes back when somebody takes it away', () => {
    const { set, write, statusOf } = setUp();
    set('services', service('backend', bound));
    write();
    set('services', service('backend', bound, { conditions: [] }));
    expect(write()).toHaveLength(1);
    expect(conditionsOf(statusOf('services', 'shop/backend'))).toHaveLength(1);
  });

  test('is of the object as it is: the class of another controller gets nothing', () => {
    const { set, write } = setUp();
    const gatewayClass = (name: string, controllerName: string) => ({
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'GatewayClass',
      metadata: { name },
      spec: { controllerName },
    });
    set('gatewayClasses', gatewayClass('istio-waypoint', 'istio.io/mesh-controller'));
    set('gatewayClasses', gatewayClass('other', 'example.com/controller'));
    expect(write()).toEqual([{ kind: 'gatewayClasses', name: 'istio-waypoint', fields: ['conditions'] }]);
  });
});

describe('the status of a waypoint', () => {
  test('follows its Service, its pods and its routes; an address once reported is kept', () => {
    const { set, write, statusOf } = setUp();
    const status = () => statusOf('gateways', 'shop/w');
    set('gateways', gateway());
    write();
    expect(conditionsOf(status())).toEqual([
      'Accepted=True Accepted 2026-01-01T00:00:00Z',
      'Programmed=False AddressNotAssigned 2026-01-01T00:00:00Z',
    ]);
    expect(status()['addresses']).toBeUndefined();
    set('services', service('w'));
    set('pods', pod(true));
    write();
    // A Service of the user's own by that name.
    expect(status()['addresses']).toBeUndefined();
    set('services', service('w', managedLabel));
    write(later);
    expect(conditionsOf(status())[1]).toBe('Programmed=True Programmed 2026-02-02T00:00:00Z');
    const addresses = [
      { type: 'IPAddress', value: '10.96.0.9' },
      { type: 'Hostname', value: 'w.shop.svc.cluster.local' },
    ];
    expect(status()['addresses']).toEqual(addresses);
    set('pods', pod(false));
    write(later);
    expect(conditionsOf(status())[1]).toContain('AddressNotAssigned');
    expect(status()['addresses']).toEqual(addresses);
    set('httpRoutes', {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'HTTPRoute',
      metadata: { namespace: 'shop', name: 'r' },
      spec: { parentRefs: [{ name: 'w' }, { name: 'other', namespace: 'else' }] },
    } as KubeObject);
    expect(write(later)).toEqual([{ kind: 'gateways', name: 'w', fields: ['listeners'] }]);
    expect(status()['listeners']).toMatchObject([
      {
        name: 'mesh',
        attachedRoutes: 1,
        conditions: [{ type: 'Accepted', lastTransitionTime: '2026-01-01T00:00:00Z' }, {}, {}, {}],
      },
    ]);
    expect(write(later)).toEqual([]);
  });

  test('is written by the revision the Gateway belongs to', () => {
    const { managed, set, write } = setUp('canary');
    set('gateways', gateway());
    expect(write()).toEqual([]);
    set('namespaces', {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'shop', labels: { 'istio.io/rev': 'canary' } },
    });
    expect(write()).toHaveLength(1);
    set('gateways', gateway({ labels: { 'istio.io/rev': 'default' } }));
    expect(write()).toEqual([]);
    expect(managed.size).toBe(0);
  });

  test.each([
    ['a waypoint', gateway(), true, 'Accepted=True Accepted'],
    [
      'one that is deleted',
      { ...gateway(), metadata: { ...gateway().metadata, deletionTimestamp: 'now' } },
      undefined,
      undefined,
    ],
    ['an ingress', gateway({ className: 'istio' }), false, 'Accepted=False Pending'],
    [
      'one run elsewhere',
      gateway({ className: 'istio-remote', spec: { addresses: [{ value: '1.2.3.4' }] } }),
      false,
      'Accepted=True Accepted',
    ],
    [
      'one whose proxy the user runs',
      gateway({ spec: { addresses: [{ type: 'Hostname', value: 'h' }] } }),
      false,
      'Accepted=True Accepted',
    ],
    [
      'one with parameters',
      gateway({ spec: { infrastructure: { parametersRef: { group: '', kind: 'ConfigMap', name: 'c' } } } }),
      false,
      'Accepted=False InvalidParameters',
    ],
    ['one of another class', gateway({ className: 'nginx' }), undefined, undefined],
  ])('%s', (_name, of, isDeployed, accepted) => {
    const { managed, set, write, statusOf } = setUp();
    set('gateways', of as Live);
    write();
    expect(managed.get('shop/w')?.isDeployed).toBe(isDeployed);
    expect(conditionsOf(statusOf('gateways', 'shop/w'))[0]?.split(' ').slice(0, 2).join(' ')).toBe(accepted);
  });

  test('a changed trust domain deploys it anew', () => {
    const { state, managed, set } = setUp();
    set('gateways', gateway());
    state.flush();
    expect(managed.get('shop/w')?.trustDomain).toBe('cluster.local');
    state.inputs.mesh.set(meshKey, { ...defaultMeshConfig('istio-system'), trustDomain: 'td2.example' });
    state.flush();
    expect(managed.get('shop/w')?.trustDomain).toBe('td2.example');
  });
});
