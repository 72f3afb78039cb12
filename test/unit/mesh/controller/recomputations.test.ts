import { beforeEach, describe, expect, test } from 'vitest';
import type { Recomputations } from '#mesh/controller/graph/graph.js';
import { objectKey } from '#mesh/controller/model/inputs.js';
import { accountFacts, namespaceFacts, policyFacts } from '#mesh/controller/model/object-facts.js';
import { MeshState } from '#mesh/controller/model/mesh-state.js';
import { nodeFacts, podFacts, serviceFacts, sliceFacts } from '#mesh/rules/facts.js';
import { defaultMeshConfig } from '#mesh/rules/mesh-config.js';
import { peerAuthFacts } from '#mesh/rules/mtls-mode.js';
import type { EndpointSlice, Pod, Service } from '#base/kube/types.js';

const podCount = 200;
const podsPerService = 10;

const labelsOf = (index: number) => ({
  'app.kubernetes.io/name': `app-${Math.floor(index / podsPerService)}`,
  'app.kubernetes.io/part-of': 'shop',
  'pod-template-hash': `hash-${Math.floor(index / podsPerService)}`,
});

const pod = (index: number, o: { isReady?: boolean; labels?: Record<string, string> } = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    namespace: 'shop',
    name: `pod-${index}`,
    uid: `uid-${index}`,
    labels: o.labels ?? labelsOf(index),
  },
  spec: { containers: [], nodeName: `node-${index % 4}` },
  status: {
    podIP: `10.244.0.${index}`,
    conditions: [{ type: 'Ready', status: o.isReady === false ? 'False' : 'True' }],
  },
});

const service = (
  name: string,
  spec: Partial<Service['spec']>,
  labels: Record<string, string> = {},
): Service => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { namespace: 'shop', name, labels },
  spec: { clusterIP: '10.96.0.5', ports: [{ port: 80, targetPort: 8080 }], ...spec },
});

const slice = (name: string, of: string, notReady: number | undefined, managed: boolean): EndpointSlice => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: {
    namespace: 'shop',
    name,
    labels: {
      'kubernetes.io/service-name': of,
      ...(managed ? { 'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io' } : {}),
    },
  },
  addressType: 'IPv4',
  ports: [{ name: '', port: 8080 }],
  endpoints: Array.from({ length: 100 }, (_, i) => ({
    addresses: [managed ? `10.244.0.${i}` : `192.0.2.${i}`],
    conditions: { ready: i !== notReady },
  })),
});

let state: MeshState;
let last: Recomputations | undefined;

/** Runs a change and says how many computations of each collection it cost. */
function costOf(change: () => void): Record<string, number> {
  change();
  state.flush();
  return Object.fromEntries(last ?? []);
}

beforeEach(() => {
  state = new MeshState({
    cluster: { clusterId: 'Kubernetes', clusterDomain: 'cluster.local', network: '' },
    mesh: defaultMeshConfig('istio-system'),
    onPush: () => undefined,
    onRecomputed: ({ recomputations }) => {
      last = recomputations;
    },
    onError: (key, error) => {
      throw new Error(key, { cause: error });
    },
  });
  setNamespace({});
  for (let i = 0; i < 4; i++) {
    const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: `node-${i}` } };
    state.inputs.nodes.set(node.metadata.name, nodeFacts(node));
  }
  for (let i = 0; i < podCount; i++) setPod(pod(i));
  for (let i = 0; i < podCount / podsPerService; i++)
    setService(service(`app-${i}`, { selector: selectorOf(i) }));
  setService(service('manual', {}));
  setSlice(slice('manual-1', 'manual', undefined, false));
  setSlice(slice('app-1-1', 'app-1', undefined, true));
  state.run();
});

const selectorOf = (index: number) => ({
  'app.kubernetes.io/part-of': 'shop',
  'app.kubernetes.io/name': `app-${index}`,
});
const setPod = (of: Pod) => state.inputs.pods.set(objectKey(of), podFacts(of));
const setService = (of: Service) => state.inputs.services.set(objectKey(of), serviceFacts(of));
const setSlice = (of: EndpointSlice) => state.inputs.slices.set(objectKey(of), sliceFacts(of));
const setNamespace = (labels: Record<string, string>) =>
  state.inputs.namespaces.set(
    'shop',
    namespaceFacts({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels } }),
  );
const setAccount = (name: string, labels: Record<string, string>) =>
  state.inputs.accounts.set(
    `shop/${name}`,
    accountFacts({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { namespace: 'shop', name, labels } }),
  );
const setPolicy = (name: string, matchLabels: Record<string, string>, rules: object[] = []) => {
  const policy = {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { namespace: 'shop', name },
    spec: { selector: { matchLabels }, rules },
  };
  state.inputs.policies.set(objectKey(policy), policyFacts(policy));
};
const setPeerAuth = (
  name: string,
  matchLabels: Record<string, string> | undefined,
  mode: 'STRICT' | 'PERMISSIVE',
) =>
  state.inputs.peerAuths.set(
    `shop/${name}`,
    peerAuthFacts({
      apiVersion: 'security.istio.io/v1',
      kind: 'PeerAuthentication',
      metadata: { namespace: 'shop', name },
      spec: { mtls: { mode }, ...(matchLabels === undefined ? {} : { selector: { matchLabels } }) },
    }),
  );

describe('in a namespace of 200 pods and 20 Services', () => {
  test('the first state computes everything once', () => {
    expect(last?.get('pod-workloads')).toBe(podCount);
    expect(last?.get('services')).toBe(podCount / podsPerService + 1);
  });

  test('an endpoint that flips: its slice', () => {
    expect(costOf(() => setSlice(slice('app-1-1', 'app-1', 3, true)))).toEqual({ 'endpoint-workloads': 1 });
    expect(costOf(() => setSlice(slice('manual-1', 'manual', 3, false)))).toEqual({
      'endpoint-workloads': 1,
    });
  });

  test('a pod whose readiness flips: itself', () => {
    expect(costOf(() => setPod(pod(7, { isReady: false })))).toEqual({ 'pod-workloads': 1 });
  });

  test('a pod that changes labels: itself', () => {
    expect(costOf(() => setPod(pod(7, { labels: labelsOf(42) })))).toEqual({ 'pod-workloads': 1 });
  });

  test('a Service that comes, changes and goes: itself and the pods it selects', () => {
    const added = (labels = {}, port = 81) =>
      setService(service('added', { selector: selectorOf(3), ports: [{ port }] }, labels));
    const itself = { services: 1, 'service-ports': 1 };
    expect(costOf(() => added())).toEqual({ ...itself, 'pod-workloads': podsPerService });
    expect(costOf(() => added({ note: 'nothing that pods read' }))).toEqual(itself);
    expect(costOf(() => added({}, 82))).toEqual({ ...itself, 'pod-workloads': podsPerService });
    const gone = costOf(() => state.inputs.services.set('shop/added', undefined));
    expect(gone).toEqual({ ...itself, 'pod-workloads': podsPerService });
  });

  test('a Service without endpoints: itself', () => {
    expect(costOf(() => setService(service('empty', { selector: { app: 'none' } })))).toEqual({
      services: 1,
      'service-ports': 1,
    });
  });

  test('a label of the namespace that means nothing: the namespace', () => {
    const itself = { 'service-defaults': 1, 'pod-defaults': 1 };
    expect(costOf(() => setNamespace({ team: 'blue' }))).toEqual(itself);
  });

  test('the waypoint of a namespace: its Services, and no pod, as it is for services', () => {
    expect(costOf(() => setNamespace({ 'istio.io/use-waypoint': 'w' }))).toEqual({
      'service-defaults': 1,
      'pod-defaults': 1,
      services: podCount / podsPerService + 1,
    });
  });

  test('the waypoint of an account: the pods that run as it', () => {
    const asRobot = pod(7);
    costOf(() => setPod({ ...asRobot, spec: { ...asRobot.spec, serviceAccountName: 'robot' } }));
    const itself = { 'account-bindings': 1, 'pod-workloads': 1 };
    expect(costOf(() => setAccount('robot', { 'istio.io/use-waypoint': 'w' }))).toEqual(itself);
    // Labels that say nothing about waypoints cost nothing: not even a computation.
    const meaningless = costOf(() => {
      setAccount('robot', { 'istio.io/use-waypoint': 'w', team: 'blue' });
      setAccount('idle', { team: 'blue' });
    });
    expect(meaningless).toEqual({});
    expect(costOf(() => setAccount('robot', {}))).toEqual(itself);
  });

  test('a policy that selects: itself and the pods it selects', () => {
    const itself = { 'l4-conversions': 1, 'policy-targets': 1, 'policy-outcomes': 1 };
    const converted = { ...itself, 'l4-policies': 1, 'policy-selectors': 1 };
    expect(costOf(() => setPolicy('p', { 'app.kubernetes.io/name': 'app-5' }))).toEqual({
      ...converted,
      'pod-workloads': podsPerService,
    });
    // Other rules for the same pods.
    const changed = costOf(() => setPolicy('p', { 'app.kubernetes.io/name': 'app-5' }, [{ to: [] }]));
    expect(changed).toEqual(converted);
  });

  test('a PeerAuthentication that selects: itself and the pods it selects', () => {
    costOf(() => setPeerAuth('other', { app: 'none' }, 'STRICT'));
    const cost = costOf(() => setPeerAuth('p', { 'app.kubernetes.io/name': 'app-5' }, 'STRICT'));
    expect(cost['pod-workloads']).toBe(podsPerService);
    expect(cost['services']).toBeUndefined();
  });

  test('a PeerAuthentication that changes nothing for the namespace: no pod', () => {
    const cost = costOf(() => setPeerAuth('default', undefined, 'PERMISSIVE'));
    expect(cost['pod-workloads']).toBeUndefined();
    const strict = costOf(() => setPeerAuth('default', undefined, 'STRICT'));
    expect(strict['pod-workloads']).toBe(podCount);
  });
});
