import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { events, namespaces, nodes, type Resource } from '#base/kube/resource.js';
import { pods } from '#base/kube/resource.js';
import type { KubeEvent, Pod } from '#base/kube/types.js';
import { type ControlPlane, eventually, startControlPlane } from './control-plane.js';

const priorityClasses: Resource = {
  group: 'scheduling.k8s.io',
  version: 'v1',
  plural: 'priorityclasses',
  kind: 'PriorityClass',
  isNamespaced: false,
};

let plane: ControlPlane;
const namespace = 'scheduling';

beforeAll(async () => {
  plane = await startControlPlane({ nodes: ['node-1'] });
  await plane.client.create(namespaces, {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: namespace },
  });
  await plane.client.create(priorityClasses, {
    apiVersion: 'scheduling.k8s.io/v1',
    kind: 'PriorityClass',
    metadata: { name: 'important' },
    value: 1000,
  });
});
afterAll(async () => {
  await plane.close();
});

async function createPod(name: string, spec: object): Promise<void> {
  const container = { name: 'main', image: 'meshctl/tool' };
  await plane.client.create(
    pods,
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, labels: { app: name } },
      spec: {
        containers: [{ ...container, ...('resources' in spec ? { resources: spec.resources } : {}) }],
        ...spec,
      },
    },
    { namespace },
  );
}

const pod = (name: string): Promise<Pod | undefined> =>
  plane.client.getOrUndefined<Pod>({ resource: pods, name, namespace });

async function scheduled(name: string): Promise<Pod> {
  return eventually(
    async () => {
      const found = await pod(name);
      return (found?.spec.nodeName ?? '') === '' ? undefined : found;
    },
    { what: `${name} to be scheduled` },
  );
}

const requests = (cpu: string) => ({ resources: { requests: { cpu } } });

describe('the scheduler', () => {
  it('makes room for an important pod and tells everyone concerned', async () => {
    await createPod('modest', requests('3'));
    await scheduled('modest');
    await createPod('equal', requests('3'));
    const waiting = await eventually(
      async () => {
        const condition = (await pod('equal'))?.status?.conditions?.find((c) => c.type === 'PodScheduled');
        return condition?.reason === 'Unschedulable' ? condition : undefined;
      },
      { what: 'the second pod to be found unschedulable' },
    );
    expect(waiting.message).toBe(
      '0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: ' +
        '1 No preemption victims found for incoming pod.',
    );
    await createPod('urgent', { ...requests('3'), priorityClassName: 'important' });
    expect((await scheduled('urgent')).spec.nodeName).toBe('node-1');
    expect(await pod('modest')).toBeUndefined();
    const note = await eventually(
      async () =>
        (await plane.client.list<KubeEvent>(events, { namespace })).find(
          (each) => each.reason === 'Preempted' && each.involvedObject.name === 'modest',
        ),
      { what: 'the event of the preemption' },
    );
    expect(note.message).toMatch(/^Preempted by pod [0-9a-f-]{36} on node node-1$/);
    // Room that was made for one pod is not given to another that waited before.
    expect((await pod('equal'))?.spec.nodeName ?? '').toBe('');
  });

  it('places a waiting pod once the company it asked for has arrived', async () => {
    const term = { labelSelector: { matchLabels: { app: 'host' } }, topologyKey: 'kubernetes.io/hostname' };
    const affinity = { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } };
    await createPod('guest', { affinity });
    await eventually(
      async () =>
        (await pod('guest'))?.status?.conditions?.some((c) => c.reason === 'Unschedulable') === true ||
        undefined,
      { what: 'the guest to wait' },
    );
    await createPod('host', {});
    await scheduled('host');
    expect((await scheduled('guest')).spec.nodeName).toBe('node-1');
  });

  it('leaves pods with scheduling gates alone until the last gate is gone', async () => {
    await createPod('gated', { schedulingGates: [{ name: 'example.com/wait' }] });
    await createPod('open', {});
    await scheduled('open');
    expect((await pod('gated'))?.spec.nodeName ?? '').toBe('');
    await plane.client.patch(
      { resource: pods, name: 'gated', namespace },
      { spec: { schedulingGates: null } },
      'merge',
    );
    await scheduled('gated');
  });
});

describe('a NoExecute taint', () => {
  it('drives pods away that do not tolerate it, and says so on them', async () => {
    await createPod('driven', {});
    const node = (await scheduled('driven')).spec.nodeName ?? '';
    // Held by its finalizer, it can still be looked at.
    await plane.client.patch(
      { resource: pods, name: 'driven', namespace },
      { metadata: { finalizers: ['example.com/look'] } },
    );
    const at = { resource: nodes, name: node };
    const taint = { key: 'example.com/maintenance', effect: 'NoExecute' };
    await plane.client.patch(at, { spec: { taints: [taint] } });
    const leaving = await eventually(
      async () => {
        const found = await pod('driven');
        return found?.metadata.deletionTimestamp === undefined ? undefined : found;
      },
      { what: 'the pod to be asked to leave' },
    );
    expect(leaving.status?.conditions).toContainEqual(
      expect.objectContaining({ type: 'DisruptionTarget', status: 'True', reason: 'DeletionByTaintManager' }),
    );
    await plane.client.patch(at, { spec: { taints: null } });
    await plane.client.patch(
      { resource: pods, name: 'driven', namespace },
      { metadata: { finalizers: null } },
    );
  });
});
