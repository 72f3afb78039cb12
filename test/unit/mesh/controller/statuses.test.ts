import { describe, expect, test } from 'vitest';
import { apiVersionOf } from '#base/kube/resource.js';
import type { Condition, Gateway, KubeObject, Pod, Service } from '#base/kube/types.js';
import { builtInClasses, supportedFeatures } from '#mesh/controller/gateway/classes.js';
import { createManagedGateways } from '#mesh/controller/gateway/managed-gateways.js';
import { meshKey, objectKey, statusKey } from '#mesh/controller/model/inputs.js';
import { type KindName, kinds, routeKinds, unhonoredKinds } from '#mesh/controller/model/kinds.js';
import { MeshState } from '#mesh/controller/model/mesh-state.js';
import { withTimes } from '#mesh/controller/status/desired-status.js';
import { createStatusChanges } from '#mesh/controller/statuses.js';
import { defaultMeshConfig } from '#mesh/rules/mesh-config.js';
import { gatewayApiKinds } from '#mesh/rules/support/gateway-api-kinds.js';
import { kindSupport } from '#mesh/rules/support/kinds.js';

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
  const gateways = createManagedGateways(state.graph, state.inputs, settings);
  const { managed } = gateways;
  const changes = createStatusChanges(state, gateways);
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
    const { set, write, statusOf } = setUp();
    const gatewayClass = (name: string, controllerName: string) => ({
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'GatewayClass',
      metadata: { name },
      spec: { controllerName },
    });
    set('gatewayClasses', gatewayClass('istio-waypoint', 'istio.io/mesh-controller'));
    set('gatewayClasses', gatewayClass('other', 'example.com/controller'));
    expect(write()).toEqual([
      { kind: 'gatewayClasses', name: 'istio-waypoint', fields: ['conditions', 'supportedFeatures'] },
    ]);
    expect(statusOf('gatewayClasses', 'istio-waypoint')['supportedFeatures']).toEqual([
      { name: 'GatewayInfrastructurePropagation' },
      { name: 'Mesh' },
    ]);
    expect(write()).toEqual([]);
  });

  test('claims features of kinds and fields only that are honored', () => {
    const kindsByName = new Map(gatewayApiKinds.map((kind) => [kind.resource.kind, kind]));
    const fields = kindsByName.get('Gateway')?.fields ?? {};
    /** What a feature is about, where its name does not say so. */
    const about: Readonly<Record<string, readonly string[]>> = {
      Mesh: [],
      GatewayInfrastructurePropagation: ['infrastructure.labels', 'infrastructure.annotations'],
    };
    for (const { controllerName } of builtInClasses) {
      const names = supportedFeatures(controllerName).map(({ name }) => name);
      expect(names).toEqual([...new Set(names)].toSorted());
      for (const name of names) {
        // Gateway and GatewayClass are in the names of features that ask for less than all of them.
        const routed = [...kindsByName.values()].filter(
          ({ resource: { kind } }) => !kind.startsWith('Gateway') && name.includes(kind),
        );
        expect([name, routed.filter((kind) => kind.treatment !== 'honored')]).toEqual([name, []]);
        const paths = about[name];
        if (routed.length === 0) expect([name, paths]).not.toEqual([name, undefined]);
        for (const path of paths ?? []) expect([path, fields[path]?.treatment]).toEqual([path, 'honored']);
      }
    }
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
    expect(status()['listeners']).toMatchObject([
      {
        name: 'mesh',
        attachedRoutes: 0,
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
    expect(managed.get('shop/w')?.names.trustDomain).toBe('cluster.local');
    state.inputs.mesh.set(meshKey, { ...defaultMeshConfig('istio-system'), trustDomain: 'td2.example' });
    state.flush();
    expect(managed.get('shop/w')?.names.trustDomain).toBe('td2.example');
  });
});

describe('what nothing in the mesh acts on', () => {
  const object = (kind: KindName, spec: object = {}, status?: object): Live => {
    const { resource } = kinds[kind];
    const made = {
      apiVersion: apiVersionOf(resource),
      kind: resource.kind,
      metadata: { namespace: 'shop', name: 'x', generation: 7 },
      spec,
    };
    return status === undefined ? made : { ...made, status };
  };

  test('has a row of the controller for every kind of the table, or no status to say it in', () => {
    const silent = kindSupport
      .map(({ resource }) => resource)
      .filter((resource) => !Object.values(kinds).some((row) => row.resource === resource));
    // A policy about TLS to backends has a status for each Gateway that routes to them: there is none. A grant has none.
    expect(silent.map(({ kind }) => kind)).toEqual(['BackendTLSPolicy', 'ReferenceGrant']);
  });

  test.each(unhonoredKinds)('%s say so', (kind) => {
    const { set, write, statusOf } = setUp();
    const lastTransitionTime = '2025-01-01T00:00:00Z';
    const others = { type: 'Reconciled', status: 'True', reason: 'x', message: '', lastTransitionTime };
    set(kind, object(kind, {}, { conditions: [others], validationMessages: [] }));
    expect(write()).toEqual([{ kind, name: 'x', fields: ['conditions'] }]);
    expect(statusOf(kind, 'shop/x')).toEqual({
      conditions: [
        others,
        {
          type: 'Accepted',
          status: 'False',
          reason: 'NotSupported',
          message: expect.stringMatching(/^nothing in the mesh acts on it: ./),
          observedGeneration: 7,
          lastTransitionTime: '2026-01-01T00:00:00Z',
        },
      ],
      validationMessages: [],
    });
    expect(write(later)).toEqual([]);
  });

  describe.each(routeKinds)('%s', (kind) => {
    const mine = { name: 'w' };
    const foreign = { name: 'other', namespace: 'else' };
    const service = { group: '', kind: 'Service', name: 'backend', port: 80 };
    const entryOf = (parentRef: object, reason: string) => ({
      parentRef,
      controllerName: 'istio.io/gateway-controller',
      conditions: [
        {
          type: 'Accepted',
          status: 'False',
          reason,
          message: expect.stringContaining('nothing in the mesh acts on it'),
          observedGeneration: 7,
          lastTransitionTime: '2026-01-01T00:00:00Z',
        },
      ],
    });

    test('are refused at the parents that are ours, and do not count as attached', () => {
      const { set, write, statusOf } = setUp();
      set('gateways', gateway());
      write();
      const theirs = { parentRef: foreign, controllerName: 'example.com/gateways', conditions: [] };
      set(kind, object(kind, { parentRefs: [foreign, mine, service] }, { parents: [theirs] }));
      expect(write()).toEqual([{ kind, name: 'x', fields: ['parents'] }]);
      expect(statusOf(kind, 'shop/x')).toEqual({
        parents: [theirs, entryOf(mine, 'NotAllowedByListeners'), entryOf(service, 'UnsupportedValue')],
      });
      expect(write(later)).toEqual([]);
      expect(statusOf('gateways', 'shop/w')['listeners']).toMatchObject([{ attachedRoutes: 0 }]);
      // Its entry goes with the parent; the time of the other one stays.
      set(kind, object(kind, { parentRefs: [service] }, statusOf(kind, 'shop/x')));
      write(later);
      expect(statusOf(kind, 'shop/x')).toEqual({ parents: [theirs, entryOf(service, 'UnsupportedValue')] });
    });

    test('are told when their Gateway comes to this mesh', () => {
      const { set, write, statusOf } = setUp();
      set(kind, object(kind, { parentRefs: [mine] }));
      expect(write()).toEqual([]);
      set('gateways', gateway({ className: 'foreign' }));
      expect(write()).toEqual([]);
      set('gateways', gateway());
      write();
      expect(statusOf(kind, 'shop/x')).toEqual({ parents: [entryOf(mine, 'NotAllowedByListeners')] });
    });
  });

  test('a ListenerSet of our Gateway, and routes attached to it', () => {
    const { set, write, statusOf } = setUp();
    set('gateways', gateway());
    set('listenerSets', object('listenerSets', { parentRef: { name: 'w' } }));
    const parentRef = { group: 'gateway.networking.k8s.io', kind: 'ListenerSet', name: 'x' };
    set('httpRoutes', object('httpRoutes', { parentRefs: [parentRef] }));
    write();
    expect(conditionsOf(statusOf('listenerSets', 'shop/x'))).toEqual([
      'Accepted=False NotAllowed 2026-01-01T00:00:00Z',
      'Programmed=False NotAllowed 2026-01-01T00:00:00Z',
    ]);
    expect(statusOf('httpRoutes', 'shop/x')).toMatchObject({ parents: [{ parentRef }] });
  });

  test.each([
    [{ mtls: { mode: 'STRICT' } }, 'True', 'attached to ztunnel'],
    [{ mtls: { mode: 'DISABLE' } }, 'False', 'counts as PERMISSIVE'],
    [{ portLevelMtls: { '80': { mode: 'STRICT' } } }, 'False', 'only in a policy with a selector'],
  ])('parts of PeerAuthentications: %j', (spec, value, message) => {
    const { set, write, statusOf } = setUp();
    set('peerAuths', object('peerAuths', spec));
    write();
    expect(statusOf('peerAuths', 'shop/x')).toMatchObject({
      conditions: [{ type: 'ZtunnelAccepted', status: value, message: expect.stringContaining(message) }],
    });
  });
});
