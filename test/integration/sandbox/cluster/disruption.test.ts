import { afterAll, beforeAll, expect, it } from 'vitest';
import { deployments, jobs, pods } from '#base/kube/resource.js';
import type { Pod } from '#base/kube/types.js';
import { podDisruptionBudgets } from '#base/kube/resource.js';
import type { PodDisruptionBudget } from '#sandbox/cluster/objects.js';
import { type ControlPlane, eventually, startControlPlane } from './control-plane.js';

const namespace = 'default';
const containers = [{ name: 'main', image: 'meshctl/tool:1' }];
let plane: ControlPlane;

beforeAll(async () => {
  plane = await startControlPlane({ nodes: ['node-1'] });
});
afterAll(async () => {
  await plane.close();
});

async function makeBudget(name: string, spec: PodDisruptionBudget['spec']): Promise<void> {
  await plane.client.create(
    podDisruptionBudgets,
    {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata: { name, namespace },
      spec: { ...spec, selector: { matchLabels: { app: name } } },
    },
    { namespace },
  );
}

function statusOf(
  name: string,
  isRight: (status: NonNullable<PodDisruptionBudget['status']>) => boolean,
): Promise<NonNullable<PodDisruptionBudget['status']>> {
  const ref = { resource: podDisruptionBudgets, name, namespace };
  return eventually(
    async () => {
      const { status } = await plane.client.get<PodDisruptionBudget>(ref);
      return status !== undefined && isRight(status) ? status : undefined;
    },
    { what: `status of budget ${name}` },
  );
}

it('shares are of what controllers are to run, and evicted pods count no more', async () => {
  const labels = { app: 'web' };
  await plane.client.create(
    deployments,
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'web', namespace },
      spec: {
        replicas: 2,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers } },
      },
    },
    { namespace },
  );
  const stray = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'stray', labels }, spec: { containers } };
  await plane.client.create(pods, stray, { namespace });
  await makeBudget('web', { minAvailable: '50%' });
  const status = await statusOf('web', (s) => s.currentHealthy === 3);
  expect(status).toMatchObject({ expectedPods: 2, desiredHealthy: 1, disruptionsAllowed: 2 });
  expect(status.conditions).toMatchObject([{ reason: 'SufficientPods', observedGeneration: 1 }]);

  const [pod] = await plane.client.list<Pod>(pods, { namespace, labelSelector: 'app=web' });
  const evicted = { [pod?.metadata.name ?? '']: `${new Date().toISOString().slice(0, 19)}Z` };
  const ref = { resource: podDisruptionBudgets, name: 'web', namespace, subresource: 'status' };
  await plane.client.patch(ref, {
    status: { disruptedPods: { ...evicted, nobody: '2026-01-01T00:00:00Z' } },
  });
  const left = await statusOf('web', (s) => s.currentHealthy === 2);
  expect(left).toMatchObject({ disruptionsAllowed: 1 });
  expect(left.disruptedPods).toEqual(evicted);
});

it('nothing may go where nobody knows how many pods there should be', async () => {
  const labels = { app: 'work' };
  await plane.client.create(
    jobs,
    {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { name: 'work', namespace },
      spec: { template: { metadata: { labels }, spec: { restartPolicy: 'Never', containers } } },
    },
    { namespace },
  );
  await makeBudget('work', { maxUnavailable: 1 });
  const status = await statusOf('work', (s) => s.conditions?.[0]?.reason === 'SyncFailed');
  expect(status.disruptionsAllowed).toBe(0);
  expect(status.conditions?.[0]?.message).toBe('jobs.batch does not implement the scale subresource');
});
