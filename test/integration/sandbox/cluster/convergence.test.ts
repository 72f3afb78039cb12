import { afterAll, beforeAll, expect, it } from 'vitest';
import { deployments, pods, replicaSets } from '#base/kube/resource.js';
import type { Deployment, Pod, ReplicaSet } from '#base/kube/types.js';
import { type ControlPlane, eventually, startControlPlane } from './control-plane.js';

let plane: ControlPlane;

beforeAll(async () => {
  plane = await startControlPlane({ nodes: ['node-1', 'node-2'] });
});
afterAll(async () => {
  await plane.close();
});

it('settles on the last word of clients that keep changing a Deployment and deleting its pods', async () => {
  const namespace = 'default';
  const ref = { resource: deployments, name: 'busy', namespace };
  await plane.client.create(
    deployments,
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'busy', namespace },
      spec: {
        replicas: 3,
        selector: { matchLabels: { app: 'busy' } },
        template: {
          metadata: { labels: { app: 'busy' } },
          spec: { containers: [{ name: 'main', image: 'x:0' }] },
        },
      },
    },
    { namespace },
  );
  const meddlers = Array.from({ length: 4 }, async (_, who) => {
    for (let round = 0; round < 10; round++) {
      await plane.client.patch(ref, { spec: { replicas: 1 + ((round * 7 + who) % 9) } });
      const containers = [{ name: 'main', image: `x:${who}-${round}` }];
      await plane.client.patch(ref, { spec: { template: { spec: { containers } } } });
      const [victim] = await plane.client.list<Pod>(pods, { namespace, labelSelector: 'app=busy' });
      if (victim !== undefined) {
        await plane.client.delete(
          { resource: pods, name: victim.metadata.name, namespace },
          { gracePeriodSeconds: 0 },
        );
      }
    }
  });
  await Promise.all(meddlers);
  await plane.client.patch(ref, {
    spec: { replicas: 5, template: { spec: { containers: [{ name: 'main', image: 'x:last' }] } } },
  });
  await eventually(
    async () => {
      const { status, metadata } = await plane.client.get<Deployment>(ref);
      const isDone =
        status?.observedGeneration === metadata.generation &&
        status?.availableReplicas === 5 &&
        status.replicas === 5;
      return isDone && status.updatedReplicas === 5 ? true : undefined;
    },
    { what: 'five available pods of the last template', timeoutMs: 20_000 },
  );
  // Nothing more and nothing left over: exactly the wanted pods, in one set.
  const living = (await plane.client.list<Pod>(pods, { namespace, labelSelector: 'app=busy' })).filter(
    (pod) => pod.metadata.deletionTimestamp === undefined,
  );
  expect(living.map((pod) => pod.spec.containers[0]?.image)).toEqual(Array(5).fill('x:last'));
  const sets = await plane.client.list<ReplicaSet>(replicaSets, { namespace, labelSelector: 'app=busy' });
  expect(sets.filter((set) => (set.spec.replicas ?? 0) > 0)).toHaveLength(1);
  await eventually(
    async () => {
      const now = await plane.client.list<ReplicaSet>(replicaSets, { namespace, labelSelector: 'app=busy' });
      return now.length <= 11 ? true : undefined;
    },
    { what: 'history trimmed to its limit' },
  );
});
