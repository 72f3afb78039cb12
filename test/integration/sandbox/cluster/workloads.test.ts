import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  customResourceDefinitions,
  deployments,
  endpoints,
  endpointSlices,
  events,
  nodes,
  pods,
  replicaSets,
  services,
  daemonSets,
} from '#base/kube/resource.js';
import type {
  DaemonSet,
  Deployment,
  Endpoints,
  EndpointSlice,
  KubeEvent,
  KubeObject,
  Node,
  Pod,
  ReplicaSet,
  Service,
} from '#base/kube/types.js';
import {
  type HorizontalPodAutoscaler,
  horizontalPodAutoscalers,
  replicationControllers,
} from '#sandbox/cluster/objects.js';
import { type ControlPlane, eventually, startControlPlane } from './control-plane.js';

let plane: ControlPlane;

beforeAll(async () => {
  plane = await startControlPlane({ nodes: ['node-1', 'node-2'] });
});
afterAll(async () => {
  await plane.close();
});

function deployment(name: string, o: { replicas: number; image?: string; strategy?: unknown }): KubeObject {
  const object = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: 'default' },
    spec: {
      replicas: o.replicas,
      selector: { matchLabels: { app: name } },
      ...(o.strategy === undefined ? {} : { strategy: o.strategy }),
      template: {
        metadata: { labels: { app: name } },
        spec: {
          containers: [
            {
              name: 'main',
              image: o.image ?? 'meshctl/tool:1',
              ports: [{ name: 'web', containerPort: 8080 }],
            },
          ],
        },
      },
    },
  };
  return object;
}

const get = <T extends KubeObject>(resource: typeof pods, name: string): Promise<T | undefined> =>
  plane.client.getOrUndefined<T>({ resource, name, namespace: 'default' });

function nodesOf(list: readonly Pod[]): string[] {
  return list.map((pod) => pod.spec.nodeName ?? '').toSorted((a, b) => a.localeCompare(b));
}

async function podsOf(app: string): Promise<Pod[]> {
  const all = await plane.client.list<Pod>(pods, { namespace: 'default', labelSelector: `app=${app}` });
  return all.filter((pod) => pod.metadata.deletionTimestamp === undefined);
}

async function rolledOut(name: string, replicas: number): Promise<Deployment> {
  return eventually(
    async () => {
      const found = await get<Deployment>(deployments, name);
      const status = found?.status ?? {};
      const isDone =
        status.observedGeneration === found?.metadata.generation &&
        status.updatedReplicas === replicas &&
        status.replicas === replicas &&
        status.availableReplicas === replicas;
      return isDone ? found : undefined;
    },
    { what: `deployment ${name} rolled out to ${replicas}` },
  );
}

describe('horizontal pod autoscalers', () => {
  it('keep the bounds, and say that there are no metrics', async () => {
    await plane.client.create(deployments, deployment('elastic', { replicas: 1 }), { namespace: 'default' });
    await plane.client.create(
      horizontalPodAutoscalers,
      {
        apiVersion: 'autoscaling/v2',
        kind: 'HorizontalPodAutoscaler',
        metadata: { name: 'elastic', namespace: 'default' },
        spec: {
          scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'elastic' },
          minReplicas: 2,
          maxReplicas: 4,
        },
      },
      { namespace: 'default' },
    );
    await rolledOut('elastic', 2);
    const status = await eventually(
      async () => {
        const found = await get<HorizontalPodAutoscaler>(horizontalPodAutoscalers, 'elastic');
        const active = found?.status?.conditions?.find((c) => c.type === 'ScalingActive');
        return active?.reason === 'FailedGetResourceMetric' ? found?.status : undefined;
      },
      { what: 'the autoscaler to say what it lacks' },
    );
    expect(status.desiredReplicas).toBe(2);
  });

  it('scale whatever has a scale, and say what has none', async () => {
    const group = 'farm.example';
    const replicas = { type: 'object', properties: { replicas: { type: 'integer' } } };
    await plane.client.create(customResourceDefinitions, {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: `herds.${group}` },
      spec: {
        group,
        scope: 'Namespaced',
        names: { plural: 'herds', kind: 'Herd' },
        versions: [
          {
            name: 'v1',
            served: true,
            storage: true,
            subresources: {
              scale: { specReplicasPath: '.spec.replicas', statusReplicasPath: '.status.replicas' },
            },
            schema: { openAPIV3Schema: { type: 'object', properties: { spec: replicas, status: replicas } } },
          },
        ],
      },
    });
    const herds = { group, version: 'v1', plural: 'herds', kind: 'Herd', isNamespaced: true };
    const apiVersion = `${group}/v1`;
    const herd = { apiVersion, kind: 'Herd', metadata: { name: 'sheep' }, spec: { replicas: 9 } };
    await eventually(
      () => plane.client.create(herds, herd, { namespace: 'default' }).catch(() => undefined),
      {
        what: 'the new kind to be served',
      },
    );
    for (const kind of ['Herd', 'Flock'])
      await plane.client.create(
        horizontalPodAutoscalers,
        {
          apiVersion: 'autoscaling/v2',
          kind: 'HorizontalPodAutoscaler',
          metadata: { name: kind.toLowerCase(), namespace: 'default' },
          spec: { scaleTargetRef: { apiVersion, kind, name: 'sheep' }, maxReplicas: 4 },
        },
        { namespace: 'default' },
      );
    await eventually(
      async () => {
        const found = await get<KubeObject & { spec: { replicas: number } }>(herds, 'sheep');
        return found?.spec.replicas === 4 ? true : undefined;
      },
      { what: 'the herd to be scaled down' },
    );
    const able = await eventually(
      async () =>
        (await get<HorizontalPodAutoscaler>(horizontalPodAutoscalers, 'flock'))?.status?.conditions?.[0],
      { what: 'the autoscaler to say what it does not find' },
    );
    expect(able).toMatchObject({ type: 'AbleToScale', status: 'False', reason: 'FailedGetScale' });
    expect(able.message).toContain(`no matches for kind "Flock" in group "${group}"`);
  });
});

describe('replication controllers', () => {
  it('keep their pods by a bare map of labels', async () => {
    const labels = { app: 'rc' };
    await plane.client.create(
      replicationControllers,
      {
        apiVersion: 'v1',
        kind: 'ReplicationController',
        metadata: { name: 'rc', namespace: 'default' },
        spec: {
          replicas: 2,
          selector: labels,
          template: { metadata: { labels }, spec: { containers: [{ name: 'main', image: 'meshctl/tool' }] } },
        },
      },
      { namespace: 'default' },
    );
    await eventually(
      async () => {
        const found = await get<ReplicaSet>(replicationControllers, 'rc');
        return found?.status?.readyReplicas === 2 ? true : undefined;
      },
      { what: 'two ready pods' },
    );
    const [first] = await podsOf('rc');
    expect(first?.metadata.ownerReferences?.[0]).toMatchObject({ kind: 'ReplicationController', name: 'rc' });
  });
});

describe('deployments', () => {
  it('runs replicas spread over the nodes and reports completion', async () => {
    await plane.client.create(deployments, deployment('web', { replicas: 4 }), { namespace: 'default' });
    const done = await rolledOut('web', 4);
    expect(done.status?.conditions?.map((c) => [c.type, c.status, c.reason]).toSorted()).toEqual([
      ['Available', 'True', 'MinimumReplicasAvailable'],
      ['Progressing', 'True', 'NewReplicaSetAvailable'],
    ]);
    expect(done.metadata.annotations?.['deployment.kubernetes.io/revision']).toBe('1');
    const running = await podsOf('web');
    expect(nodesOf(running)).toEqual(['node-1', 'node-1', 'node-2', 'node-2']);
    expect(running.every((pod) => pod.metadata.labels?.['pod-template-hash'] !== undefined)).toBe(true);
  });

  it('rolls a new template out without dropping below the minimum', async () => {
    await plane.client.create(
      deployments,
      deployment('roll', {
        replicas: 4,
        strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      }),
      { namespace: 'default' },
    );
    await rolledOut('roll', 4);
    let fewest = Number.POSITIVE_INFINITY;
    let most = 0;
    await plane.client.patch(
      { resource: deployments, name: 'roll', namespace: 'default' },
      { spec: { template: { spec: { containers: [{ name: 'main', image: 'meshctl/tool:2' }] } } } },
      'strategic',
    );
    await eventually(
      async () => {
        const alive = await podsOf('roll');
        fewest = Math.min(
          fewest,
          alive.filter((pod) =>
            pod.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True'),
          ).length,
        );
        most = Math.max(most, alive.length);
        const found = await get<Deployment>(deployments, 'roll');
        // The revision is written before the status: until then the status speaks of the one before.
        return found?.metadata.annotations?.['deployment.kubernetes.io/revision'] === '2' &&
          found.status?.observedGeneration === found.metadata.generation &&
          found.status?.updatedReplicas === 4 &&
          found.status.replicas === 4
          ? true
          : undefined;
      },
      { what: 'second revision' },
    );
    expect(fewest).toBeGreaterThanOrEqual(4);
    expect(most).toBeLessThanOrEqual(5);
    const sets = await plane.client.list<ReplicaSet>(replicaSets, {
      namespace: 'default',
      labelSelector: 'app=roll',
    });
    expect(sets.map((set) => set.spec.replicas ?? 0).toSorted((a, b) => a - b)).toEqual([0, 4]);
    expect((await podsOf('roll')).map((pod) => pod.spec.containers[0]?.image)).toEqual(
      Array(4).fill('meshctl/tool:2'),
    );
  });

  it('holds a rollout whose pods never become ready, and rolls back', async () => {
    await plane.client.create(deployments, deployment('stuck', { replicas: 2 }), { namespace: 'default' });
    await rolledOut('stuck', 2);
    plane.kubelet.isReady = (pod) => pod.spec.containers[0]?.image !== 'bad:1';
    await plane.client.patch(
      { resource: deployments, name: 'stuck', namespace: 'default' },
      { spec: { template: { spec: { containers: [{ name: 'main', image: 'bad:1' }] } } } },
      'strategic',
    );
    await eventually(
      async () =>
        (await get<Deployment>(deployments, 'stuck'))?.status?.updatedReplicas === 1 ? true : undefined,
      { what: 'one new pod' },
    );
    expect((await get<Deployment>(deployments, 'stuck'))?.status?.availableReplicas).toBe(2);
    await plane.client.patch(
      { resource: deployments, name: 'stuck', namespace: 'default' },
      { spec: { template: { spec: { containers: [{ name: 'main', image: 'meshctl/tool:1' }] } } } },
      'strategic',
    );
    const back = await eventually(
      async () => {
        const found = await get<Deployment>(deployments, 'stuck');
        return found?.status?.replicas === 2 && found.status.updatedReplicas === 2 ? found : undefined;
      },
      { what: 'roll back' },
    );
    expect(back.metadata.annotations?.['deployment.kubernetes.io/revision']).toBe('3');
    const all = await plane.client.list<ReplicaSet>(replicaSets, { labelSelector: 'app=stuck' });
    const histories = all.map(
      (set) => set.metadata.annotations?.['deployment.kubernetes.io/revision-history'],
    );
    expect(histories.filter((each) => each !== undefined)).toEqual(['1']);
    plane.kubelet.isReady = () => true;
  });

  it('recreates: no new pod while an old one lives', async () => {
    await plane.client.create(
      deployments,
      deployment('one', { replicas: 2, strategy: { type: 'Recreate' } }),
      {
        namespace: 'default',
      },
    );
    await rolledOut('one', 2);
    await plane.client.patch(
      { resource: deployments, name: 'one', namespace: 'default' },
      { spec: { template: { spec: { containers: [{ name: 'main', image: 'meshctl/tool:2' }] } } } },
      'strategic',
    );
    await eventually(
      async () => {
        const images = new Set((await podsOf('one')).map((pod) => pod.spec.containers[0]?.image));
        expect(images.size).toBeLessThanOrEqual(1);
        const found = await get<Deployment>(deployments, 'one');
        return images.has('meshctl/tool:2') && found?.status?.availableReplicas === 2 ? true : undefined;
      },
      { what: 'recreated pods' },
    );
  });

  it('scales down, and replaces a pod someone deletes', async () => {
    await plane.client.create(deployments, deployment('scale', { replicas: 3 }), { namespace: 'default' });
    await rolledOut('scale', 3);
    await plane.client.patch(
      { resource: deployments, name: 'scale', namespace: 'default' },
      { spec: { replicas: 1 } },
    );
    await rolledOut('scale', 1);
    const [last] = await podsOf('scale');
    await plane.client.delete({ resource: pods, name: last?.metadata.name ?? '', namespace: 'default' });
    await eventually(
      async () => {
        const now = await podsOf('scale');
        return now.length === 1 &&
          now[0]?.metadata.uid !== last?.metadata.uid &&
          now[0]?.status?.phase === 'Running'
          ? true
          : undefined;
      },
      { what: 'replacement' },
    );
  });
});

describe('daemon sets', () => {
  const daemon = {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name: 'agent', namespace: 'default' },
    spec: {
      selector: { matchLabels: { app: 'agent' } },
      template: {
        metadata: { labels: { app: 'agent' } },
        spec: { containers: [{ name: 'main', image: 'meshctl/tool:1' }] },
      },
    },
  };

  it('runs one pod a node, also on a node that joins and on a cordoned one', async () => {
    await plane.client.create(daemonSets, daemon, { namespace: 'default' });
    const status = (n: number) =>
      eventually(
        async () => {
          const found = await get<DaemonSet>(daemonSets, 'agent');
          return found?.status?.numberAvailable === n && found.status.desiredNumberScheduled === n
            ? found
            : undefined;
        },
        { what: `${n} daemons` },
      );
    await status(2);
    await plane.client.patch({ resource: nodes, name: 'node-2' }, { spec: { unschedulable: true } });
    await plane.kubelet.addNode('node-3');
    await status(3);
    await eventually(
      async () =>
        (await plane.client.get<Node>({ resource: nodes, name: 'node-2' })).spec?.taints?.some(
          (taint) => taint.key === 'node.kubernetes.io/unschedulable',
        )
          ? true
          : undefined,
      { what: 'taint of the cordoned node' },
    );
    expect(nodesOf(await podsOf('agent'))).toEqual(['node-1', 'node-2', 'node-3']);
    await plane.client.patch({ resource: nodes, name: 'node-2' }, { spec: { unschedulable: null } });
  });

  it("updates node by node, and with surge never takes a node's daemon away first", async () => {
    const before = (await podsOf('agent')).find(({ spec }) => spec.nodeName === 'node-1');
    const held = before?.metadata.name ?? '';
    // Times of creation are whole seconds: of pods of the same one nobody knows which is older.
    await eventually(
      async () =>
        Date.now() >= Date.parse(before?.metadata.creationTimestamp ?? '') + 1_000 ? true : undefined,
      { what: 'a second of its own for the new pods' },
    );
    const hold = (finalizers: string[] | null) =>
      plane.client.patch({ resource: pods, name: held, namespace: 'default' }, { metadata: { finalizers } });
    await hold(['example.com/hold']);
    await plane.client.patch(
      { resource: daemonSets, name: 'agent', namespace: 'default' },
      {
        spec: {
          updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
          template: { spec: { containers: [{ name: 'main', image: 'meshctl/tool:2' }] } },
        },
      },
      'strategic',
    );
    // The last pod of before is still there, though being deleted: the roll-out is not over.
    const last = await eventually(
      async () => {
        const fresh = await podsOf('agent');
        const old = await plane.client.get<Pod>({ resource: pods, name: held, namespace: 'default' });
        const isLast = old.metadata.deletionTimestamp !== undefined && fresh.length === 3;
        if (!isLast || fresh.some(({ spec }) => spec.containers[0]?.image !== 'meshctl/tool:2'))
          return undefined;
        // Until it speaks of the new generation, the status tells of the template of before.
        const found = await get<DaemonSet>(daemonSets, 'agent');
        return found?.status?.observedGeneration === found?.metadata.generation ? found : undefined;
      },
      { what: 'one old daemon left' },
    );
    expect(last.status?.updatedNumberScheduled).toBeLessThan(3);
    await hold(null);
    await eventually(
      async () => {
        const alive = await podsOf('agent');
        const covered = new Set(
          alive.filter((pod) => pod.status?.phase === 'Running').map((pod) => pod.spec.nodeName),
        );
        expect(covered.size).toBe(3);
        const found = await get<DaemonSet>(daemonSets, 'agent');
        return found?.status?.observedGeneration === found?.metadata.generation &&
          found?.status?.updatedNumberScheduled === 3 &&
          found.status.numberAvailable === 3 &&
          alive.length === 3
          ? true
          : undefined;
      },
      { what: 'surge update' },
    );
    expect((await podsOf('agent')).every((pod) => pod.spec.containers[0]?.image === 'meshctl/tool:2')).toBe(
      true,
    );
  });
});

describe('endpoints', () => {
  it('follow readiness, named ports and deletion', async () => {
    const service = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web', namespace: 'default' },
      spec: { selector: { app: 'web' }, ports: [{ name: 'http', port: 80, targetPort: 'web' }] },
    };
    await plane.client.create<Service>(services, service, { namespace: 'default' });
    const slice = (ready: number) =>
      eventually(
        async () => {
          const all = await plane.client.list<EndpointSlice>(endpointSlices, {
            namespace: 'default',
            labelSelector: 'kubernetes.io/service-name=web',
          });
          const found = all
            .flatMap((each) => each.endpoints ?? [])
            .filter((each) => each.conditions?.ready === true);
          return found.length === ready ? all[0] : undefined;
        },
        { what: `${ready} ready endpoints` },
      );
    const first = await slice(4);
    expect(first?.ports).toEqual([{ name: 'http', port: 8080, protocol: 'TCP' }]);
    const old = await eventually(
      async () => {
        const found = await get<Endpoints>(endpoints, 'web');
        return (found?.subsets?.[0]?.addresses?.length ?? 0) === 4 ? found : undefined;
      },
      { what: 'Endpoints' },
    );
    expect(old.subsets?.[0]?.ports?.[0]?.port).toBe(8080);
    const [victim] = await podsOf('web');
    plane.kubelet.isReady = (pod) => pod.metadata.name !== victim?.metadata.name;
    await plane.kubelet.resync();
    await slice(3);
    plane.kubelet.isReady = () => true;
    await plane.kubelet.resync();
    await slice(4);
    await plane.client.patch(
      { resource: deployments, name: 'web', namespace: 'default' },
      { spec: { replicas: 1 } },
    );
    await slice(1);
    await plane.client.delete({ resource: services, name: 'web', namespace: 'default' });
    await eventually(
      async () => {
        const all = await plane.client.list<EndpointSlice>(endpointSlices, {
          namespace: 'default',
          labelSelector: 'kubernetes.io/service-name=web',
        });
        return all.length === 0 ? true : undefined;
      },
      { what: 'slices gone with their service' },
    );
  });

  it('assigns load balancer addresses from the sandbox range', async () => {
    const service = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'edge', namespace: 'default' },
      spec: { type: 'LoadBalancer', selector: { app: 'web' }, ports: [{ port: 80 }] },
    };
    await plane.client.create<Service>(services, service, { namespace: 'default' });
    const found = await eventually(
      async () => {
        const each = await get<Service>(services, 'edge');
        return each?.status?.loadBalancer?.ingress?.[0]?.ip;
      },
      { what: 'address' },
    );
    expect(found).toMatch(/^172\.18\.200\.\d+$/);
  });
});

describe('scheduling', () => {
  const pod = (name: string, spec: Partial<Pod['spec']>): unknown => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default' },
    spec: { containers: [{ name: 'main', image: 'x' }], ...spec },
  });

  it('says why no node takes a pod, and places it when one does', async () => {
    await plane.client.create(pods, pod('picky', { nodeSelector: { disk: 'fast' } }), {
      namespace: 'default',
    });
    const waiting = await eventually(
      async () => {
        const found = await get<Pod>(pods, 'picky');
        return found?.status?.conditions?.some((c) => c.type === 'PodScheduled' && c.status === 'False')
          ? found
          : undefined;
      },
      { what: 'PodScheduled False' },
    );
    expect(waiting.status?.conditions?.find((c) => c.type === 'PodScheduled')?.message).toMatch(
      /^0\/3 nodes are available/,
    );
    await eventually(
      async () => {
        const all = await plane.client.list<KubeEvent>(events, { namespace: 'default' });
        return all.find(
          (event) => event.involvedObject.name === 'picky' && event.reason === 'FailedScheduling',
        );
      },
      { what: 'FailedScheduling' },
    );
    await plane.client.patch({ resource: nodes, name: 'node-2' }, { metadata: { labels: { disk: 'fast' } } });
    const placed = await eventually(
      async () => {
        const found = await get<Pod>(pods, 'picky');
        return found?.spec.nodeName === undefined || found.status?.phase !== 'Running' ? undefined : found;
      },
      { what: 'placed' },
    );
    expect(placed.spec.nodeName).toBe('node-2');
  });
});
