import { persistentVolumeClaims } from '#base/kube/resource.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { daemonSets, namespaces, pods, type Resource, statefulSets } from '#base/kube/resource.js';
import type { KubeObject, Pod } from '#base/kube/types.js';
import { type ControllerRevision, controllerRevisions, type StatefulSet } from '#sandbox/cluster/objects.js';
import type { PersistentVolumeClaim } from '#sandbox/cluster/controllers/storage/storage-objects.js';
import { ensureDefaultStorageClass } from '#sandbox/cluster/index.js';
import { type ControlPlane, eventually, startControlPlane } from './control-plane.js';

let plane: ControlPlane;
const namespace = 'revisions';

beforeAll(async () => {
  plane = await startControlPlane({ nodes: ['node-1', 'node-2'] });
  await ensureDefaultStorageClass(plane.client);
  await plane.client.create(namespaces, {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: namespace },
  });
});
afterAll(async () => {
  await plane.close();
});

const template = (app: string, image: string) => ({
  metadata: { labels: { app } },
  spec: { containers: [{ name: 'main', image }] },
});

async function create(resource: Resource, name: string, spec: object): Promise<void> {
  await plane.client.create(
    resource,
    {
      apiVersion: 'apps/v1',
      kind: resource.kind,
      metadata: { name, namespace },
      spec: { selector: { matchLabels: { app: name } }, template: template(name, 'meshctl/tool:1'), ...spec },
    },
    { namespace },
  );
}

async function setImage(resource: Resource, name: string, image: string): Promise<void> {
  await plane.client.patch(
    { resource, name, namespace },
    { spec: { template: { spec: { containers: [{ name: 'main', image }] } } } },
    'strategic',
  );
}

async function imagesOf(app: string): Promise<string[]> {
  const found = await plane.client.list<Pod>(pods, { namespace, labelSelector: `app=${app}` });
  return found
    .filter((pod) => pod.metadata.deletionTimestamp === undefined)
    .toSorted((a, b) => a.metadata.name.localeCompare(b.metadata.name))
    .map((pod) => pod.spec.containers[0]?.image ?? '');
}

async function haveImages(app: string, images: readonly string[]): Promise<void> {
  await eventually(
    async () => (JSON.stringify(await imagesOf(app)) === JSON.stringify(images) ? true : undefined),
    { what: `pods of ${app} with images ${images.join()}` },
  );
}

async function revisionsOf(owner: string): Promise<ControllerRevision[]> {
  const all = await plane.client.list<ControllerRevision>(controllerRevisions, { namespace });
  return all
    .filter((each) => each.metadata.ownerReferences?.[0]?.name === owner)
    .toSorted((a, b) => a.revision - b.revision);
}

describe('daemon set revisions', () => {
  it('numbers templates, and an old one that comes back becomes the newest', async () => {
    await create(daemonSets, 'agent', {});
    await haveImages('agent', ['meshctl/tool:1', 'meshctl/tool:1']);
    const [first] = await revisionsOf('agent');
    if (first === undefined) throw new Error('no revision');
    expect(first.revision).toBe(1);
    // Clients compare the bytes with what they make of the template, keys in order.
    const keys = [
      ...JSON.stringify(first.data).matchAll(/"(\$patch|metadata|spec|containers|restartPolicy)":/g),
    ];
    expect(keys.map(([, key]) => key)).toEqual([
      'spec',
      '$patch',
      'metadata',
      'spec',
      'containers',
      'restartPolicy',
    ]);
    await setImage(daemonSets, 'agent', 'meshctl/tool:2');
    await haveImages('agent', ['meshctl/tool:2', 'meshctl/tool:2']);
    expect((await revisionsOf('agent')).map((each) => each.revision)).toEqual([1, 2]);
    // What `kubectl rollout undo` sends: the data of the revision as a strategic merge patch.
    await plane.client.patch(
      { resource: daemonSets, name: 'agent', namespace },
      first.data as KubeObject,
      'strategic',
    );
    await haveImages('agent', ['meshctl/tool:1', 'meshctl/tool:1']);
    const after = await eventually(
      async () => {
        const found = await revisionsOf('agent');
        return found.at(-1)?.revision === 3 ? found : undefined;
      },
      { what: 'revision 3' },
    );
    expect(after.map((each) => [each.metadata.name === first.metadata.name, each.revision])).toEqual([
      [false, 2],
      [true, 3],
    ]);
  });

  it('forgets the oldest beyond revisionHistoryLimit', async () => {
    await create(daemonSets, 'forgetful', { revisionHistoryLimit: 1 });
    for (const tag of ['1', '2', '3', '4']) {
      await setImage(daemonSets, 'forgetful', `meshctl/tool:${tag}`);
      await haveImages('forgetful', [`meshctl/tool:${tag}`, `meshctl/tool:${tag}`]);
    }
    await eventually(
      async () => {
        const numbers = (await revisionsOf('forgetful')).map((each) => each.revision);
        return JSON.stringify(numbers) === '[3,4]' ? true : undefined;
      },
      { what: 'two revisions left' },
    );
  });
});

describe('stateful sets', () => {
  it('gives a pod below the partition its old template back', async () => {
    await create(statefulSets, 'db', {
      serviceName: 'db',
      replicas: 3,
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 2 } },
    });
    await haveImages('db', Array<string>(3).fill('meshctl/tool:1'));
    await setImage(statefulSets, 'db', 'meshctl/tool:2');
    await haveImages('db', ['meshctl/tool:1', 'meshctl/tool:1', 'meshctl/tool:2']);
    const before = await plane.client.get<Pod>({ resource: pods, name: 'db-0', namespace });
    await plane.client.delete({ resource: pods, name: 'db-0', namespace });
    await eventually(
      async () => {
        const pod = await plane.client.getOrUndefined<Pod>({ resource: pods, name: 'db-0', namespace });
        return pod !== undefined && pod.metadata.uid !== before.metadata.uid ? true : undefined;
      },
      { what: 'db-0 to come back' },
    );
    await haveImages('db', ['meshctl/tool:1', 'meshctl/tool:1', 'meshctl/tool:2']);
    const { status } = await plane.client.get<StatefulSet>({ resource: statefulSets, name: 'db', namespace });
    const names = (await revisionsOf('db')).map((each) => each.metadata.name);
    expect([status?.currentRevision, status?.updateRevision]).toEqual(names);
  });

  it('keeps claims, or ties them to what goes, as the retention policy says', async () => {
    const claim = {
      metadata: { name: 'data' },
      spec: {
        accessModes: ['ReadWriteOnce'],
        storageClassName: 'standard',
        resources: { requests: { storage: '1Gi' } },
      },
    };
    await create(statefulSets, 'store', {
      serviceName: 'store',
      replicas: 2,
      volumeClaimTemplates: [claim],
      persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Delete' },
    });
    const claimOf = (n: number): Promise<PersistentVolumeClaim | undefined> =>
      plane.client.getOrUndefined({ resource: persistentVolumeClaims, name: `data-store-${n}`, namespace });
    await eventually(async () => claimOf(1), { what: 'the claim of store-1' });
    await haveImages('store', ['meshctl/tool:1', 'meshctl/tool:1']);
    const gone = await plane.client.get<Pod>({ resource: pods, name: 'store-1', namespace });
    await plane.client.patch({ resource: statefulSets, name: 'store', namespace }, { spec: { replicas: 1 } });
    await eventually(
      async () => {
        const found = await claimOf(1);
        // Owned by the pod that left, and so deleted with it.
        return found === undefined || found.metadata.ownerReferences?.[0]?.uid === gone.metadata.uid
          ? true
          : undefined;
      },
      { what: 'the claim of store-1 to go with its pod' },
    );
    expect((await claimOf(0))?.metadata.ownerReferences ?? []).toEqual([]);
  });
});
