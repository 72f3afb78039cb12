import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  daemonSets,
  deployments,
  events,
  jobs,
  namespaces,
  resourceQuotas,
  type Resource,
  statefulSets,
} from '#base/kube/resource.js';
import type { KubeEvent, KubeObject } from '#base/kube/types.js';
import { type ControlPlane, eventually, startControlPlane } from './control-plane.js';

const namespace = 'narrow';

let plane: ControlPlane;

// Room for one pod that is not a Job's, and for no replica set and no Job of a schedule.
beforeAll(async () => {
  plane = await startControlPlane({ nodes: ['node-1', 'node-2'] });
  const { client } = plane;
  await client.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  await client.create(
    resourceQuotas,
    {
      apiVersion: 'v1',
      kind: 'ResourceQuota',
      metadata: { name: 'narrow', namespace },
      spec: { hard: { pods: '1', 'count/replicasets.apps': '0' } },
    },
    { namespace },
  );
});
afterAll(async () => {
  await plane.close();
});

const template = (app: string, o: object = {}) => ({
  metadata: { labels: { app } },
  spec: { containers: [{ name: 'main', image: 'meshctl/tool:1' }], ...o },
});

async function make(resource: Resource, apiVersion: string, name: string, spec: object): Promise<void> {
  const body = { apiVersion, kind: resource.kind, metadata: { name, namespace }, spec };
  await plane.client.create(resource, body, { namespace });
}

/** The status of an object once its controller has seen it. */
async function statusOf(resource: Resource, name: string): Promise<Record<string, unknown>> {
  return eventually(
    async () => {
      const object = await plane.client.get<KubeObject & { status?: Record<string, unknown> }>({
        resource,
        name,
        namespace,
      });
      return object.status !== undefined && Object.keys(object.status).length > 0 ? object.status : undefined;
    },
    { what: `the status of ${resource.kind} ${name}` },
  );
}

async function eventOf(name: string, reason: string): Promise<KubeEvent> {
  return eventually(
    async () => {
      const all = await plane.client.list<KubeEvent>(events, { namespace });
      return all.find((each) => each.involvedObject?.name === name && each.reason === reason);
    },
    { what: `event ${reason} of ${name}` },
  );
}

describe('what cannot be created does not hide what is there', () => {
  it('DaemonSet: the pods that fit are counted', async () => {
    await make(daemonSets, 'apps/v1', 'daemon', {
      selector: { matchLabels: { app: 'daemon' } },
      template: template('daemon'),
    });
    await eventOf('daemon', 'FailedCreate');
    expect(await statusOf(daemonSets, 'daemon')).toMatchObject({
      observedGeneration: 1,
      desiredNumberScheduled: 2,
    });
    await eventually(
      async () => {
        const status = await statusOf(daemonSets, 'daemon');
        return status['numberReady'] === 1 ? status : undefined;
      },
      { what: 'the one pod to be counted' },
    );
  });

  it('StatefulSet: none of its pods', async () => {
    await make(statefulSets, 'apps/v1', 'stateful', {
      serviceName: 'stateful',
      selector: { matchLabels: { app: 'stateful' } },
      template: template('stateful'),
    });
    await eventOf('stateful', 'FailedCreate');
    expect(await statusOf(statefulSets, 'stateful')).toMatchObject({ observedGeneration: 1, replicas: 0 });
  });

  it('Job: it has started', async () => {
    await make(jobs, 'batch/v1', 'job', { template: template('job', { restartPolicy: 'Never' }) });
    await eventOf('job', 'FailedCreate');
    expect(await statusOf(jobs, 'job')).toMatchObject({ startTime: expect.any(String) as string, ready: 0 });
  });

  it('Deployment: its condition says why there is no replica set', async () => {
    await make(deployments, 'apps/v1', 'deployment', {
      selector: { matchLabels: { app: 'deployment' } },
      template: template('deployment'),
    });
    await eventOf('deployment', 'ReplicaSetCreateError');
    const status = await statusOf(deployments, 'deployment');
    expect(status).toMatchObject({ observedGeneration: 1, unavailableReplicas: 1 });
    expect(status['conditions']).toContainEqual(
      expect.objectContaining({
        type: 'Progressing',
        status: 'False',
        reason: 'ReplicaSetCreateError',
        message: expect.stringContaining('exceeded quota: narrow') as string,
      }),
    );
  });
});
