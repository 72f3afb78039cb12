import { expect, test } from 'vitest';
import { podFacts, serviceFacts, sliceFacts } from '#mesh/rules/facts.js';
import { canonicalNameOf, canonicalRevisionOf, workloadNameOf } from '#mesh/rules/workload-name.js';
import type { ObjectMeta, Pod } from '#base/kube/types.js';

const owner = (kind: string, name: string): Partial<ObjectMeta> => ({
  generateName: 'x-',
  ownerReferences: [{ apiVersion: 'v1', kind, name, uid: 'u', controller: true }],
});

test.each<[Partial<ObjectMeta>, string]>([
  [{}, 'pod-1'],
  [{ labels: { 'service.istio.io/workload-name': 'given' }, ...owner('ReplicaSet', 'a-1') }, 'given'],
  [{ ...owner('ReplicaSet', 'app-abc12'), labels: { 'pod-template-hash': 'abc12' } }, 'app'],
  [owner('ReplicaSet', 'app-abc12'), 'app-abc12'],
  [{ ...owner('ReplicaSet', 'app-9f'), labels: { 'rollouts-pod-template-hash': '9f' } }, 'app'],
  [owner('Job', 'nightly-28000000'), 'nightly'],
  [owner('Job', 'once-12'), 'once-12'],
  [owner('StatefulSet', 'db'), 'db'],
  [{ ...owner('ReplicationController', 'rc-1'), labels: { deploymentconfig: 'dc' } }, 'dc'],
  [{ ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'n', uid: 'u', controller: true }] }, 'pod-1'],
])('workload name of %j is %s', (metadata, name) => {
  expect(workloadNameOf({ name: 'pod-1', ...metadata })).toBe(name);
});

test('canonical name and revision by label precedence', () => {
  const labels = { app: 'a', 'app.kubernetes.io/name': 'n', version: 'v1' };
  expect(canonicalNameOf(labels, 'w')).toBe('n');
  expect(canonicalNameOf({}, 'w')).toBe('w');
  expect(canonicalRevisionOf(labels)).toBe('v1');
  expect(canonicalRevisionOf({})).toBe('latest');
});

function pod(
  o: { status?: Pod['status']; spec?: Partial<Pod['spec']>; metadata?: Partial<ObjectMeta> } = {},
): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'n', ...o.metadata },
    spec: { containers: [], ...o.spec },
    status: { podIP: '10.0.0.1', ...o.status },
  };
}

test.each<[string, Pod]>([
  ['completed', pod({ status: { phase: 'Succeeded' } })],
  ['failed', pod({ status: { phase: 'Failed' } })],
])('a pod that is %s is no workload', (_name, of) => {
  expect(podFacts(of)).toBeUndefined();
});

test.each<[string, Pod]>([
  ['without address', { ...pod(), status: {} }],
  ['with an address that is none', pod({ status: { podIPs: [{ ip: 'x' }] } })],
])('a pod %s is known, and has none', (_name, of) => {
  expect(podFacts(of)?.ips).toEqual([]);
});

test('a pod is ready only with the condition and while it is not being deleted', () => {
  const ready = { conditions: [{ type: 'Ready', status: 'True' as const }] };
  expect(podFacts(pod())?.isReady).toBe(false);
  expect(podFacts(pod({ status: ready }))?.isReady).toBe(true);
  const deleted = pod({ status: ready, metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } });
  expect(podFacts(deleted)?.isReady).toBe(false);
});

test('only a captured pod counts as captured', () => {
  const annotated = (value: string) =>
    podFacts(pod({ metadata: { annotations: { 'ambient.istio.io/redirection': value } } }));
  expect(annotated('enabled')?.isCaptured).toBe(true);
  expect(annotated('pending')?.isCaptured).toBe(false);
});

test('named ports come from containers and restartable init containers, TCP only', () => {
  const container = (name: string, ports: { name: string; containerPort: number; protocol?: string }[]) => ({
    name,
    image: 'i',
    ports,
  });
  const of = pod({
    spec: {
      containers: [
        container('a', [
          { name: 'http', containerPort: 80 },
          { name: 'dns', containerPort: 53, protocol: 'UDP' },
        ]),
      ],
      initContainers: [
        { ...container('side', [{ name: 'metrics', containerPort: 9 }]), restartPolicy: 'Always' },
        container('init', [{ name: 'never', containerPort: 1 }]),
      ],
    },
  });
  expect(podFacts(of)?.namedPorts).toEqual({ http: 80, metrics: 9 });
});

test('ExternalName services and foreign slices are left out', () => {
  const metadata = { name: 's', namespace: 'n' };
  expect(
    serviceFacts({ apiVersion: 'v1', kind: 'Service', metadata, spec: { type: 'ExternalName' } }),
  ).toBeUndefined();
  expect(
    serviceFacts({ apiVersion: 'v1', kind: 'Service', metadata, spec: { clusterIP: 'None', selector: {} } }),
  ).toMatchObject({
    clusterIps: [],
    selector: undefined,
  });
  expect(
    sliceFacts({ apiVersion: 'v1', kind: 'EndpointSlice', metadata, addressType: 'IPv4' }),
  ).toBeUndefined();
});
