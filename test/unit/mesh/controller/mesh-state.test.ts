import { describe, expect, test } from 'vitest';
import { objectKey, meshKey } from '#mesh/controller/model/inputs.js';
import { namespaceFacts, policyFacts } from '#mesh/controller/model/object-facts.js';
import { podFacts, serviceFacts, sliceFacts } from '#mesh/rules/facts.js';
import { defaultMeshConfig } from '#mesh/rules/mesh-config.js';
import { MeshState } from '#mesh/controller/model/mesh-state.js';
import { peerAuthFacts } from '#mesh/rules/mtls-mode.js';
import { policyConditions } from '#mesh/controller/status/policy-conditions.js';
import { serviceConditions } from '#mesh/controller/status/service-conditions.js';
import type { AuthorizationPolicy, EndpointSlice, Pod, Service } from '#base/kube/types.js';
import { decodeService } from '#mesh/view/decode.js';
import { terminatingExtension } from '#mesh/xds/extensions.js';
import { AppProtocol, NetworkMode, TunnelProtocol, WorkloadStatus } from '#mesh/xds/gen/istio/workload_pb.js';
import { addressType, authorizationType, l7AuthorizationType } from '#mesh/xds/type-urls.js';
import type { ChangedNames } from '#mesh/xds/server/source.js';

const cluster = { clusterId: 'Kubernetes', clusterDomain: 'cluster.local', network: '' };
const ztunnel = { nodeId: 'ztunnel~1~z.istio-system~x', proxyType: 'ztunnel', metadata: {} };
const waypoint = (name: string) => ({
  nodeId: 'waypoint~1~w.shop~x',
  proxyType: 'waypoint',
  metadata: { GATEWAY_NAME: name, GATEWAY_NAMESPACE: 'shop' },
});
const backendKey = 'shop/backend.shop.svc.cluster.local';
const uid = (name: string) => `Kubernetes//Pod/shop/${name}`;

const pod = (name: string, ip: string, labels: Record<string, string>): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { namespace: 'shop', name, uid: `uid-${name}`, labels },
  spec: { containers: [], nodeName: 'node-1' },
  status: { podIP: ip, conditions: [{ type: 'Ready', status: 'True' }] },
});

const service = (name: string, spec: Partial<Service['spec']>): Service => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { namespace: 'shop', name },
  spec: { clusterIP: '10.96.0.5', ports: [{ port: 80, targetPort: 8080 }], ...spec },
});

function policy(
  name: string,
  spec: NonNullable<AuthorizationPolicy['spec']>,
  namespace = 'shop',
): AuthorizationPolicy {
  return {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { namespace, name, generation: 7 },
    spec,
  };
}

/** A small shop whose changes the test makes by hand. */
function setUp() {
  const pushes: ChangedNames[] = [];
  const state = new MeshState({
    cluster,
    mesh: defaultMeshConfig('istio-system'),
    onPush: (changed) => pushes.push(changed),
    onError: (_key, error) => {
      throw error;
    },
  });
  const { inputs } = state;
  const set = {
    pod: (of: Pod) => inputs.pods.set(objectKey(of), podFacts(of)),
    service: (of: Service) => inputs.services.set(objectKey(of), serviceFacts(of)),
    policy: (of: AuthorizationPolicy) => inputs.policies.set(objectKey(of), policyFacts(of)),
    namespace: (labels: Record<string, string>) =>
      inputs.namespaces.set(
        'shop',
        namespaceFacts({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels } }),
      ),
    gateway: (name: string, isReady: boolean) =>
      inputs.gateways.set(`shop/${name}`, {
        apiVersion: 'gateway.networking.k8s.io/v1',
        kind: 'Gateway',
        metadata: { namespace: 'shop', name },
        spec: { gatewayClassName: 'istio-waypoint', listeners: [] },
        status: { addresses: isReady ? [{ type: 'Hostname', value: `${name}.shop.svc.cluster.local` }] : [] },
      }),
  };
  set.namespace({});
  set.pod(pod('backend', '10.244.0.5', { app: 'backend' }));
  set.pod(pod('client', '10.244.0.6', { app: 'client' }));
  set.service(service('backend', { selector: { app: 'backend' } }));
  state.run();
  pushes.length = 0;
  const flush = () => {
    pushes.length = 0;
    state.flush();
    return Object.fromEntries([...(pushes[0] ?? [])].map(([type, names]) => [type, [...names].sort()]));
  };
  const [authorizations, l7, addresses] = state.sources;
  if (authorizations === undefined || l7 === undefined || addresses === undefined) throw new Error('sources');
  return { state, set, flush, authorizations, l7, addresses };
}

describe('what a change pushes', () => {
  test('nothing when nothing that matters changed', () => {
    const { set, flush } = setUp();
    const same = pod('backend', '10.244.0.5', { app: 'backend' });
    set.pod({
      ...same,
      metadata: { ...same.metadata, resourceVersion: '99', annotations: { heartbeat: 'now' } },
    });
    expect(flush()).toEqual({});
  });

  test('a pod becomes a workload when it gets its address', () => {
    const { state, set, flush } = setUp();
    const starting = { ...pod('new', '', { app: 'client' }), status: {} };
    set.pod(starting);
    expect(flush()).toEqual({});
    expect(state.inputs.pods.get('shop/new')).toBeDefined();
    set.pod(pod('new', '10.244.0.9', { app: 'client' }));
    expect(flush()).toEqual({ [addressType]: [uid('new')] });
  });

  test('a Service is announced alone, and with its endpoints when it comes to take others than before', () => {
    const { set, flush } = setUp();
    set.service(service('backend', { selector: { app: 'backend' }, trafficDistribution: 'PreferClose' }));
    expect(flush()).toEqual({ [addressType]: [backendKey] });
    set.service(service('backend', { selector: { app: 'backend' }, publishNotReadyAddresses: true }));
    expect(flush()).toEqual({ [addressType]: [uid('backend'), backendKey] });
  });

  test('a label that changes membership pushes that workload only', () => {
    const { state, set, flush } = setUp();
    set.pod(pod('client', '10.244.0.6', { app: 'backend' }));
    expect(flush()).toEqual({ [addressType]: [uid('client')] });
    expect(state.index.workloads.get(uid('client'))?.services).toEqual([backendKey]);
  });

  test('a selector policy pushes itself and the workloads it selects', () => {
    const { state, set, flush } = setUp();
    set.policy(policy('p', { selector: { matchLabels: { app: 'backend' } } }));
    expect(flush()).toEqual({ [authorizationType]: ['shop/p'], [addressType]: [uid('backend')] });
    expect(state.index.workloads.get(uid('backend'))?.message.authorizationPolicies).toEqual(['shop/p']);
    set.policy(policy('q', {}));
    // A policy for the whole namespace is attached by its scope, not by the workloads.
    expect(flush()).toEqual({ [authorizationType]: ['shop/q'] });
  });

  test('strict: the policy appears with the first PeerAuthentication and goes with the last', () => {
    const { state, flush } = setUp();
    const strict = 'istio-system/istio_converted_static_strict';
    const peerAuth = peerAuthFacts({
      apiVersion: 'security.istio.io/v1',
      kind: 'PeerAuthentication',
      metadata: { namespace: 'shop', name: 'default' },
      spec: { mtls: { mode: 'STRICT' } },
    });
    state.inputs.peerAuths.set('shop/default', peerAuth);
    expect(flush()).toEqual({
      [authorizationType]: [strict],
      [addressType]: [uid('backend'), uid('client')],
    });
    state.inputs.peerAuths.set('shop/default', undefined);
    flush();
    expect(state.index.workloads.get(uid('backend'))?.message.authorizationPolicies).toEqual([]);
  });
});

describe('looking things up', () => {
  test('by uid, address, service and virtual address; a service brings its workloads', () => {
    const { addresses } = setUp();
    const names = (name: string) => addresses.lookup(name, ztunnel).map((r) => r.name);
    expect(names(uid('client'))).toEqual([uid('client')]);
    expect(names('/10.244.0.6')).toEqual([uid('client')]);
    expect(names(backendKey)).toEqual([backendKey, uid('backend')]);
    expect(names('/10.96.0.5')).toEqual([backendKey, uid('backend')]);
    expect(names('/10.9.9.9')).toEqual([]);
  });

  test('two replicas compute the same versions, whatever the order of arrival', () => {
    const build = (services: string[]) => {
      const { set, flush, addresses } = setUp();
      for (const name of services) set.service(service(name, { selector: { app: 'backend' } }));
      flush();
      return addresses.lookup(uid('backend'), ztunnel)[0]?.version;
    };
    expect(build(['a', 'b', 'c'])).toBe(build(['c', 'a', 'b']));
    expect(build(['a'])).not.toBe(build(['b']));
  });
});

describe('endpoints that slices list by hand', () => {
  const manualKey = 'shop/manual.shop.svc.cluster.local';
  const sliceUid = (ip: string) => `Kubernetes/discovery.k8s.io/EndpointSlice/shop/manual-1/${ip}`;
  type Endpoints = NonNullable<EndpointSlice['endpoints']>;
  const slice = (endpoints: Endpoints, change: Partial<EndpointSlice> = {}): EndpointSlice => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { namespace: 'shop', name: 'manual-1', labels: { 'kubernetes.io/service-name': 'manual' } },
    addressType: 'IPv4',
    ports: [{ name: '', port: 8080 }],
    endpoints,
    ...change,
  });
  const manual = (targetPort: number) => service('manual', { ports: [{ port: 5432, targetPort }] });

  test.each<[string, number, Endpoints[number]['targetRef']]>([
    ['no targetRef', 8080, undefined],
    ['a targetRef of another kind', 8080, { kind: 'Node', name: 'node-1' }],
    ['the pod with its uid', 8080, { kind: 'Pod', name: 'backend', namespace: 'shop', uid: 'uid-backend' }],
    ['the pod without uid', 8080, { kind: 'Pod', name: 'backend', namespace: 'shop' }],
    ['a pod of another name', 8080, { kind: 'Pod', name: 'other', namespace: 'shop', uid: 'x' }],
    ['the pod, and the target port is another', 1, { kind: 'Pod', name: 'backend', uid: 'uid-backend' }],
  ])('%s: address and port of the slice count', (_name, targetPort, targetRef) => {
    const { state, set, flush } = setUp();
    const captured = pod('backend', '10.244.0.5', { app: 'backend' });
    captured.metadata.annotations = { 'ambient.istio.io/redirection': 'enabled' };
    captured.spec.serviceAccountName = 'db';
    set.pod(captured);
    set.service(manual(targetPort));
    const endpoint = { addresses: ['10.244.0.5'], ...(targetRef === undefined ? {} : { targetRef }) };
    state.inputs.slices.set('shop/manual-1', sliceFacts(slice([endpoint])));
    flush();
    const found = state.index.workloads.get(sliceUid('10.244.0.5'))?.message;
    expect(found?.services[manualKey]?.ports).toMatchObject([{ servicePort: 5432, targetPort: 8080 }]);
    expect(found).toMatchObject({
      tunnelProtocol: TunnelProtocol.HBONE,
      serviceAccount: 'db',
      status: WorkloadStatus.HEALTHY,
      node: 'node-1',
      networkMode: NetworkMode.HOST_NETWORK,
    });
    // A proxy that finds its own workload by name must not find this one.
    expect(found?.name).not.toBe('backend');
    // The Service's own target port must not stand in for a port the slice does not have.
    expect(state.index.services.get(manualKey)?.message.ports).toMatchObject([{ targetPort: 0 }]);
    expect(state.index.workloads.get(uid('backend'))?.services).toEqual([backendKey]);
  });

  test('what is no pod is reached in plain text, and goes with the Service', () => {
    const { state, set, flush } = setUp();
    set.service(manual(8080));
    const endpoints = [{ addresses: ['192.0.2.1'], conditions: { ready: false } }];
    state.inputs.slices.set('shop/manual-1', sliceFacts(slice(endpoints)));
    flush();
    expect(state.index.workloads.get(sliceUid('192.0.2.1'))?.message).toMatchObject({
      tunnelProtocol: TunnelProtocol.NONE,
      status: WorkloadStatus.UNHEALTHY,
      extensions: [],
    });
    state.inputs.services.set('shop/manual', undefined);
    flush();
    expect(state.index.workloads.get(sliceUid('192.0.2.1'))).toBeUndefined();
  });

  test('of a Service with a selector come on top, once each, and those of the selector itself do not', () => {
    const { state, set, flush } = setUp();
    set.service(service('manual', { selector: { app: 'backend' } }));
    const endpoints = [{ addresses: ['10.244.0.5'] }, { addresses: ['192.0.2.1'] }];
    const bySelector = {
      'kubernetes.io/service-name': 'manual',
      'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
    };
    state.inputs.slices.set('shop/manual-1', sliceFacts(slice(endpoints)));
    const metadata = { namespace: 'shop', name: 'manual-2', labels: bySelector };
    state.inputs.slices.set('shop/manual-2', sliceFacts(slice(endpoints, { metadata })));
    flush();
    const uids = state.index.workloads.list().map((w) => w.uid);
    expect(uids).toEqual([uid('backend'), uid('client'), sliceUid('192.0.2.1')]);
  });

  test.each([
    [{ ready: true, serving: true, terminating: false }, WorkloadStatus.HEALTHY, []],
    [{ ready: false, serving: true, terminating: true }, WorkloadStatus.UNHEALTHY, [terminatingExtension]],
    [{ ready: false, terminating: true }, WorkloadStatus.UNHEALTHY, [terminatingExtension]],
    [{ ready: false, serving: false, terminating: true }, WorkloadStatus.UNHEALTHY, []],
    [{ ready: false, serving: true }, WorkloadStatus.UNHEALTHY, []],
    [{}, WorkloadStatus.HEALTHY, []],
  ])('conditions %j', (conditions, status, extensions) => {
    const { state, set, flush } = setUp();
    set.service(manual(8080));
    state.inputs.slices.set('shop/manual-1', sliceFacts(slice([{ addresses: ['192.0.2.1'], conditions }])));
    flush();
    const message = state.index.workloads.get(sliceUid('192.0.2.1'))?.message;
    expect(message?.status).toBe(status);
    expect(message?.extensions.map((e) => e.name)).toEqual(extensions);
  });
});

test('a pod that is deleted but still ready is marked as terminating, one that is not ready is not', () => {
  const { state, set, flush } = setUp();
  const extensions = () => state.index.workloads.get(uid('backend'))?.message.extensions.map((e) => e.name);
  const deleted = pod('backend', '10.244.0.5', { app: 'backend' });
  deleted.metadata.deletionTimestamp = '2026-01-01T00:00:00Z';
  set.pod(deleted);
  flush();
  expect(state.index.workloads.get(uid('backend'))?.message.status).toBe(WorkloadStatus.UNHEALTHY);
  expect(extensions()).toEqual([terminatingExtension]);
  set.pod({ ...deleted, status: { podIP: '10.244.0.5', conditions: [{ type: 'Ready', status: 'False' }] } });
  flush();
  expect(extensions()).toEqual([]);
});

test.each([
  [{ sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } } }, 60],
  [{ sessionAffinity: 'ClientIP' }, 10_800],
  [{ sessionAffinity: 'None' }, undefined],
  [{}, undefined],
])('client affinity %j reaches the proxies', (spec, seconds) => {
  const { state, set, flush } = setUp();
  set.service(service('backend', { selector: { app: 'backend' }, ...spec }));
  flush();
  const message = state.index.services.get(backendKey)?.message;
  if (message === undefined) throw new Error('no service');
  expect(decodeService(message).affinitySeconds).toBe(seconds);
});

describe('a port number of several protocols', () => {
  const tcp = { name: 'https', port: 443, targetPort: 8080, appProtocol: 'http2' };
  const udp = { name: 'h3', port: 443, targetPort: 9999, protocol: 'UDP' };
  const ports = (spec: Service['spec']['ports']) => {
    const { state, set, flush } = setUp();
    const backend = pod('backend', '10.244.0.5', { app: 'backend' });
    backend.spec.containers = [
      {
        name: 'app',
        ports: [
          { name: 'web', containerPort: 8080 },
          { name: 'quic', containerPort: 9999, protocol: 'UDP' },
        ],
      },
    ] as never;
    set.pod(backend);
    set.service(service('backend', { selector: { app: 'backend' }, ports: spec ?? [] }));
    flush();
    return {
      service: state.index.services.get(backendKey)?.message.ports,
      pod: state.index.workloads.get(uid('backend'))?.message.services[backendKey]?.ports,
    };
  };

  test.each([
    ['TCP first', [tcp, udp]],
    ['UDP first', [udp, tcp]],
  ])('%s: TCP goes to the target of TCP, with its protocol', (_name, spec) => {
    const expected = [{ servicePort: 443, targetPort: 8080, appProtocol: AppProtocol.HTTP2 }];
    expect(ports(spec)).toMatchObject({ service: expected, pod: expected });
  });

  test('named target ports', () => {
    const spec = [
      { ...udp, targetPort: 'quic' },
      { ...tcp, targetPort: 'web' },
    ];
    expect(ports(spec).pod).toMatchObject([{ servicePort: 443, targetPort: 8080 }]);
    expect(ports(spec).service).toMatchObject([{ servicePort: 443, targetPort: 0 }]);
  });

  test('a UDP-only Service admits no TCP', () => {
    expect(ports([udp])).toEqual({ service: [], pod: [] });
  });
});

describe('waypoints', () => {
  const target = (kind: string, name: string) => ({
    targetRefs: [{ kind, name, group: kind === 'Service' ? '' : 'gateway.networking.k8s.io' }],
  });

  test('closed by default, open on request', () => {
    const { state, set, flush } = setUp();
    set.namespace({ 'istio.io/use-waypoint': 'w' });
    flush();
    const backend = () => state.index.services.get(backendKey);
    expect(backend()?.message.waypoint).toBeDefined();
    state.inputs.mesh.set(meshKey, { ...defaultMeshConfig('istio-system'), waypointFailurePolicy: 'open' });
    flush();
    expect(backend()?.message.waypoint).toBeUndefined();
    set.gateway('w', true);
    flush();
    expect(backend()?.message.waypoint).toBeDefined();
  });

  test('a policy reaches the waypoint of its target and no other', () => {
    const { state, set, flush, l7 } = setUp();
    set.namespace({ 'istio.io/use-waypoint': 'w' });
    set.gateway('w', true);
    set.gateway('other', true);
    set.policy(policy('by-service', target('Service', 'backend')));
    set.policy(policy('by-gateway', target('Gateway', 'other')));
    expect(flush()[l7AuthorizationType]).toEqual(['shop/by-gateway', 'shop/by-service']);
    const held = (gateway: string) => [...l7.all(waypoint(gateway))].map((r) => r.name);
    expect(held('w')).toEqual(['shop/by-service']);
    expect(held('other')).toEqual(['shop/by-gateway']);
    expect(l7.lookup('shop/by-service', waypoint('other'))).toEqual([]);
    expect(state.index.authorizations.list()).toEqual([]);
    // The Service moves to the other waypoint, and its policy with it.
    set.namespace({ 'istio.io/use-waypoint': 'other' });
    flush();
    expect(held('w')).toEqual([]);
    expect(held('other').sort()).toEqual(['shop/by-gateway', 'shop/by-service']);
  });

  test.each<[string, NonNullable<AuthorizationPolicy['spec']>, string, string]>([
    ['a Service without waypoint', target('Service', 'backend'), 'False', 'AncestorNotBound'],
    ['a Service that does not exist', target('Service', 'nobody'), 'False', 'TargetNotFound'],
    ['a Gateway that does not exist', target('Gateway', 'nobody'), 'False', 'TargetNotFound'],
    ['a Gateway without address', target('Gateway', 'unready'), 'False', 'TargetNotFound'],
    ['a Gateway', target('Gateway', 'w'), 'True', 'Accepted'],
    ['a class from outside the root namespace', target('GatewayClass', 'istio-waypoint'), 'False', 'Invalid'],
    ['a kind that enforces nothing', target('Pod', 'x'), 'False', 'Invalid'],
    [
      'a Gateway, with an action no waypoint takes',
      { ...target('Gateway', 'w'), action: 'CUSTOM' },
      'False',
      'Invalid',
    ],
    [
      'one that is there and one that is not',
      { targetRefs: [...target('Gateway', 'w').targetRefs, ...target('Gateway', 'nobody').targetRefs] },
      'True',
      'PartiallyInvalid',
    ],
  ])('a policy for %s', (_name, spec, value, reason) => {
    const { state, set, flush } = setUp();
    set.gateway('w', true);
    set.gateway('unready', false);
    set.policy(policy('p', spec));
    flush();
    const outcome = state.index.policyOutcomes.get('shop/p');
    expect(outcome === undefined ? [] : policyConditions(outcome)).toMatchObject([
      { type: 'WaypointAccepted', status: value, reason, observedGeneration: 7 },
    ]);
  });

  test('a Service says what became of its binding', () => {
    const { state, set, flush } = setUp();
    const said = () => {
      flush();
      const of = state.index.services.get(backendKey);
      return of === undefined ? [] : serviceConditions(of).map(({ status, reason }) => `${status} ${reason}`);
    };
    expect(said()).toEqual([]);
    set.namespace({ 'istio.io/use-waypoint': 'w' });
    expect(said()).toEqual(['False WaypointIsNotReady']);
    set.gateway('w', true);
    expect(said()).toEqual(['True WaypointAccepted']);
  });
});
