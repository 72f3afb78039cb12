import { describe, expect, it } from 'vitest';
import { objectDiff } from '#mesh/install/apply/object-diff.js';
import { prunable, union } from '#mesh/install/apply/inventory.js';
import { missingForReady } from '#mesh/install/apply/readiness.js';
import { platformOf } from '#mesh/install/cluster/platform.js';
import type { KubeObject } from '#base/kube/types.js';

describe('platformOf', () => {
  const node = (over: { name?: string; kubelet?: string; labels?: Record<string, string> }) => [
    {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: over.name ?? 'n', labels: over.labels ?? {} },
      status: { nodeInfo: { kubeletVersion: over.kubelet ?? 'v1.32.0' } },
    },
  ];
  it.each([
    ['v1.32.1-gke.100', node({}), 'gke'],
    ['v1.32.0+k3s1', node({ kubelet: 'v1.32.0+k3s1' }), 'k3s'],
    ['v1.32.0+k3s1', node({ kubelet: 'v1.32.0+k3s1', name: 'k3d-x-server-0' }), 'k3d'],
    ['v1.32.0', node({ labels: { 'microk8s.io/cluster': 'true' } }), 'microk8s'],
    ['v1.32.0', node({ labels: { 'minikube.k8s.io/version': 'v1' } }), 'minikube'],
    ['v1.32.0', node({ labels: { 'node.openshift.io/os_id': 'rhcos' } }), 'openshift'],
    ['v1.32.0', node({}), undefined],
    ['v1.32.0', [], undefined],
  ])('%s', (version, nodes, expected) => {
    expect(platformOf(version, nodes)?.platform).toBe(expected);
  });
});

describe('objectDiff', () => {
  it('ignores what the server keeps for itself', () => {
    const before = {
      metadata: { name: 'a', resourceVersion: '1', generation: 1 },
      spec: { x: 1 },
      status: { y: 1 },
    };
    const annotations = { 'deprecated.daemonset.template.generation': '2' };
    const after = {
      metadata: { name: 'a', resourceVersion: '2', generation: 2, annotations },
      spec: { x: 1 },
      status: { y: 2 },
    };
    expect(objectDiff(before, after)).toEqual([]);
  });

  it('names the path of each change', () => {
    const before = { metadata: { labels: { 'a/b': '1' } }, spec: { l: [{ image: 'x' }], gone: true } };
    const after = { metadata: { labels: { 'a/b': '2' } }, spec: { l: [{ image: 'y' }, { image: 'z' }] } };
    expect(objectDiff(before, after).map((c) => c.path)).toEqual([
      'metadata.labels."a/b"',
      'spec.l[0].image',
      'spec.l[1]',
      'spec.gone',
    ]);
  });
});

describe('readiness', () => {
  const deployment = (status: object): KubeObject =>
    ({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'd', generation: 2 },
      spec: { replicas: 2, selector: {} },
      status,
    }) as unknown as KubeObject;
  it.each([
    [{ observedGeneration: 1 }, 'not observed yet'],
    [{ observedGeneration: 2, updatedReplicas: 1 }, '1 of 2 pods updated'],
    [{ observedGeneration: 2, updatedReplicas: 2, replicas: 3 }, '1 old pods still running'],
    [
      { observedGeneration: 2, updatedReplicas: 2, replicas: 2, availableReplicas: 1 },
      '1 of 2 pods available',
    ],
    [{ observedGeneration: 2, updatedReplicas: 2, replicas: 2, availableReplicas: 2 }, undefined],
  ])('Deployment %j', (status, expected) => {
    expect(missingForReady(deployment(status))).toBe(expected);
  });

  const daemonSet = (status: object): KubeObject =>
    ({
      apiVersion: 'apps/v1',
      kind: 'DaemonSet',
      metadata: { name: 'd', generation: 1 },
      spec: {},
      status,
    }) as unknown as KubeObject;
  it.each([
    [
      { observedGeneration: 1, desiredNumberScheduled: 2, updatedNumberScheduled: 2, numberAvailable: 1 },
      '1 of 2 pods ready',
    ],
    [
      { observedGeneration: 1, desiredNumberScheduled: 2, updatedNumberScheduled: 1, numberAvailable: 2 },
      '1 of 2 pods updated',
    ],
    [{ observedGeneration: 1, desiredNumberScheduled: 0 }, undefined],
  ])('DaemonSet %j', (status, expected) => {
    expect(missingForReady(daemonSet(status))).toBe(expected);
  });
});

describe('inventory', () => {
  const object = (kind: string, name: string): KubeObject => ({ apiVersion: 'v1', kind, metadata: { name } });
  const earlier = {
    version: '1',
    profile: 'p',
    platform: '',
    given: {},
    isComplete: true,
    objects: [
      object('ConfigMap', 'old'),
      object('ConfigMap', 'kept'),
      object('CustomResourceDefinition', 'crd'),
    ],
  };

  it('prunes what is no longer there, but never CRDs', () => {
    expect(prunable(earlier, [object('ConfigMap', 'kept')]).map((o) => o.metadata.name)).toEqual(['old']);
    expect(prunable(undefined, [])).toEqual([]);
  });

  it('unites both lists without doubles', () => {
    const all = union([object('ConfigMap', 'kept'), object('ConfigMap', 'new')], earlier.objects);
    expect(all.map((o) => o.metadata.name)).toEqual(['kept', 'new', 'old', 'crd']);
  });
});
