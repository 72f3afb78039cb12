import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { jobs, namespaces, pods } from '#base/kube/resource.js';
import type { Pod } from '#base/kube/types.js';
import { trackingFinalizer } from '#sandbox/cluster/controllers/batch/job-tally.js';
import type { Job, JobSpec } from '#sandbox/cluster/objects.js';
import { type ControlPlane, eventually, startControlPlane } from './control-plane.js';

let plane: ControlPlane;
const namespace = 'jobs';
/** What the pods of a job come to, by the job's name. */
const phases = new Map<string, (pod: Pod) => string>();

beforeAll(async () => {
  plane = await startControlPlane({ nodes: ['node-1', 'node-2'] });
  plane.kubelet.phase = (pod) => phases.get(pod.metadata.labels?.['job-name'] ?? '')?.(pod) ?? 'Running';
  await plane.client.create(namespaces, {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: namespace },
  });
});
afterAll(async () => {
  await plane.close();
});

async function start(name: string, spec: Partial<JobSpec>): Promise<void> {
  const template = {
    spec: { restartPolicy: 'Never', containers: [{ name: 'main', image: 'meshctl/tool' }] },
  };
  await plane.client.create(
    jobs,
    { apiVersion: 'batch/v1', kind: 'Job', metadata: { name, namespace }, spec: { template, ...spec } },
    { namespace },
  );
}

const job = (name: string): Promise<Job> => plane.client.get<Job>({ resource: jobs, name, namespace });

async function podsOf(name: string): Promise<Pod[]> {
  return plane.client.list<Pod>(pods, { namespace, labelSelector: `job-name=${name}` });
}

async function reached(name: string, type: string): Promise<Job> {
  return eventually(
    async () => {
      const found = await job(name);
      return found.status?.conditions?.some((c) => c.type === type && c.status === 'True') === true
        ? found
        : undefined;
    },
    { what: `job ${name} to be ${type}` },
  );
}

describe('jobs', () => {
  it('count pods that were deleted right after they had ended', async () => {
    phases.set('quick', () => 'Succeeded');
    await start('quick', { completions: 6, parallelism: 2 });
    const seen = new Set<string>();
    const done = await eventually(
      async () => {
        for (const pod of await podsOf('quick')) {
          if (pod.status?.phase !== 'Succeeded') continue;
          seen.add(pod.metadata.uid ?? '');
          const { name, namespace: at } = pod.metadata;
          await plane.client.delete({ resource: pods, name, namespace: at }, { gracePeriodSeconds: 0 });
        }
        const found = await job('quick');
        return found.status?.conditions?.some((c) => c.type === 'Complete') === true ? found : undefined;
      },
      { what: 'job quick to complete' },
    );
    expect(done.status?.succeeded).toBe(6);
    expect([done.status?.failed ?? 0, done.status?.active ?? 0]).toEqual([0, 0]);
    expect(done.status?.uncountedTerminatedPods ?? {}).toEqual({});
    expect(seen.size).toBeLessThanOrEqual(6);
  });

  it('run every index once and name the ones that are done', async () => {
    phases.set('indexed', () => 'Succeeded');
    await start('indexed', { completions: 3, parallelism: 3, completionMode: 'Indexed' });
    const done = await reached('indexed', 'Complete');
    expect(done.status?.completedIndexes).toBe('0-2');
    const [pod] = await podsOf('indexed');
    const env = pod?.spec.containers[0]?.env?.find((each) => each.name === 'JOB_COMPLETION_INDEX');
    expect(env?.valueFrom?.fieldRef?.fieldPath).toBe(
      "metadata.labels['batch.kubernetes.io/job-completion-index']",
    );
    expect((await podsOf('indexed')).every((each) => each.metadata.finalizers === undefined)).toBe(true);
  });

  it('stop without counting a failure when suspended, and go on when resumed', async () => {
    phases.set('paused', () => 'Running');
    await start('paused', { completions: 1, backoffLimit: 0 });
    await eventually(async () => ((await job('paused')).status?.active === 1 ? true : undefined), {
      what: 'the pod to run',
    });
    const suspend = async (isSuspended: boolean): Promise<void> => {
      await plane.client.patch(
        { resource: jobs, name: 'paused', namespace },
        { spec: { suspend: isSuspended } },
      );
    };
    await suspend(true);
    const suspended = await reached('paused', 'Suspended');
    expect(suspended.status?.failed ?? 0).toBe(0);
    await eventually(async () => ((await podsOf('paused')).length === 0 ? true : undefined), {
      what: 'the pod to go',
    });
    phases.set('paused', () => 'Succeeded');
    await suspend(false);
    const { status } = await reached('paused', 'Complete');
    expect([status?.succeeded, status?.failed ?? 0]).toEqual([1, 0]);
  });

  it('leave no pod behind that waits for a job that is gone', async () => {
    phases.set('doomed', () => 'Running');
    await start('doomed', { completions: 1 });
    const [pod] = await eventually(
      async () => {
        const found = await podsOf('doomed');
        return found.length === 1 ? found : undefined;
      },
      { what: 'the pod of doomed' },
    );
    expect(pod?.metadata.finalizers).toEqual([trackingFinalizer]);
    await plane.client.delete({ resource: jobs, name: 'doomed', namespace }, { propagation: 'Background' });
    await eventually(async () => ((await podsOf('doomed')).length === 0 ? true : undefined), {
      what: 'the pod to follow its job',
    });
  });
});
