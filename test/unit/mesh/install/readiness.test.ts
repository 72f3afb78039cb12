import { describe, expect, it } from 'vitest';
import { objectDiff } from '#mesh/install/apply/object-diff.js';
import { missingForReady } from '#mesh/install/apply/readiness.js';
import type { KubeObject } from '#base/kube/types.js';

function workload(kind: string, spec: object, status: object, generation = 2): KubeObject {
  return { apiVersion: 'apps/v1', kind, metadata: { name: 'x', generation }, spec, status } as KubeObject;
}

const deployed = { observedGeneration: 2, replicas: 2, updatedReplicas: 2, availableReplicas: 2 };
const running = {
  observedGeneration: 2,
  desiredNumberScheduled: 2,
  updatedNumberScheduled: 2,
  numberAvailable: 2,
};

describe('readiness', () => {
  it.each([
    ['Deployment', { replicas: 2 }, deployed, undefined],
    ['Deployment', { replicas: 2 }, { ...deployed, observedGeneration: 1 }, 'not observed yet'],
    ['Deployment', { replicas: 2 }, { ...deployed, updatedReplicas: 1 }, '1 of 2 pods updated'],
    ['Deployment', { replicas: 2 }, { ...deployed, replicas: 3 }, '1 old pods still running'],
    ['Deployment', { replicas: 2 }, { ...deployed, availableReplicas: 0 }, '0 of 2 pods available'],
    ['DaemonSet', {}, running, undefined],
    ['DaemonSet', {}, { ...running, numberAvailable: 1 }, '1 of 2 pods ready'],
    ['DaemonSet', {}, { ...running, updatedNumberScheduled: 0 }, '0 of 2 pods updated'],
    ['DaemonSet', {}, { observedGeneration: 2, desiredNumberScheduled: 0 }, undefined],
  ])('of a %s with %j and %j misses %s', (kind, spec, status, missing) => {
    expect(missingForReady(workload(kind, spec, status))).toBe(missing);
  });

  it('of a CRD needs Established', () => {
    const crd = (conditions: object[]): KubeObject =>
      ({
        apiVersion: 'apiextensions.k8s.io/v1',
        kind: 'CustomResourceDefinition',
        metadata: { name: 'x' },
        status: { conditions },
      }) as unknown as KubeObject;
    expect(missingForReady(crd([]))).toBe('not established yet');
    expect(missingForReady(crd([{ type: 'NamesAccepted', status: 'False' }]))).toContain('taken');
    expect(missingForReady(crd([{ type: 'Established', status: 'True' }]))).toBeUndefined();
  });
});

describe('difference of objects', () => {
  it('names fields and list elements, and ignores what the server keeps', () => {
    const before = {
      metadata: { name: 'x', uid: '1' },
      spec: { env: [{ name: 'A', value: '1' }] },
      status: 1,
    };
    const after = {
      metadata: { name: 'x', uid: '2' },
      spec: { env: [{ name: 'A', value: '2' }] },
      status: 2,
    };
    expect(objectDiff(before, after)).toEqual([{ path: 'spec.env[0].value', before: '1', after: '2' }]);
    expect(objectDiff(before, before)).toEqual([]);
  });
});
