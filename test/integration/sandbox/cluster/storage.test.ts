import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { events, namespaces, persistentVolumeClaims, persistentVolumes, pods } from '#base/kube/resource.js';
import type { KubeEvent, Pod } from '#base/kube/types.js';
import {
  type PersistentVolume,
  type PersistentVolumeClaim,
} from '#sandbox/cluster/controllers/storage/storage-objects.js';
import { ensureDefaultStorageClass } from '#sandbox/cluster/index.js';
import { type ControlPlane, eventually, startControlPlane } from './control-plane.js';

let plane: ControlPlane;
const namespace = 'storage';
const removed: string[] = [];

beforeAll(async () => {
  plane = await startControlPlane({
    nodes: ['node-1', 'node-2'],
    removeNodeFolder: async (node, path) => {
      removed.push(`${node}:${path}`);
      await Promise.resolve();
    },
  });
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

async function createClaim(name: string, spec: object): Promise<void> {
  await plane.client.create(
    persistentVolumeClaims,
    {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } }, ...spec },
    },
    { namespace },
  );
}

async function createPod(name: string, volumes: object[], spec: object = {}): Promise<void> {
  await plane.client.create(
    pods,
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name },
      spec: { containers: [{ name: 'main', image: 'meshctl/tool' }], volumes, ...spec },
    },
    { namespace },
  );
}

const claimed = (claimName: string) => ({ name: 'data', persistentVolumeClaim: { claimName } });

const claim = (name: string): Promise<PersistentVolumeClaim | undefined> =>
  plane.client.getOrUndefined({ resource: persistentVolumeClaims, name, namespace });

async function bound(name: string): Promise<PersistentVolumeClaim> {
  return eventually(
    async () => {
      const found = await claim(name);
      return found?.status?.phase === 'Bound' ? found : undefined;
    },
    { what: `claim ${name} to be bound` },
  );
}

async function scheduled(name: string): Promise<string> {
  return eventually(
    async () => {
      const pod = await plane.client.getOrUndefined<Pod>({ resource: pods, name, namespace });
      return pod?.spec.nodeName === '' ? undefined : pod?.spec.nodeName;
    },
    { what: `pod ${name} to be scheduled` },
  );
}

async function noted(name: string, reason: string): Promise<string> {
  const found = await eventually(
    async () =>
      (await plane.client.list<KubeEvent>(events, { namespace })).find(
        (each) => each.involvedObject.name === name && each.reason === reason,
      ),
    { what: `an event ${reason} of ${name}` },
  );
  return found.message ?? '';
}

describe('provisioned volumes', () => {
  it('are made where the first pod runs, kept while it runs, and removed with their data', async () => {
    await createClaim('data', { storageClassName: 'standard' });
    expect(await noted('data', 'WaitForFirstConsumer')).toMatch(/first consumer/);
    await createPod('first', [claimed('data')]);
    const node = await scheduled('first');
    const { spec } = await bound('data');
    const name = spec.volumeName ?? '';
    const volume = await plane.client.get<PersistentVolume>({ resource: persistentVolumes, name });
    expect(volume.spec.nodeAffinity?.required?.nodeSelectorTerms[0]?.matchExpressions?.[0]?.values).toEqual([
      node,
    ]);

    // A second pod goes where the data are, even when that node is the fuller one.
    await createPod('second', [claimed('data')]);
    expect(await scheduled('second')).toBe(node);

    await plane.client.delete({ resource: persistentVolumeClaims, name: 'data', namespace });
    expect((await claim('data'))?.metadata.deletionTimestamp).toBeDefined();
    for (const pod of ['first', 'second'])
      await plane.client.delete({ resource: pods, name: pod, namespace });
    await eventually(
      async () => {
        const left = await plane.client.getOrUndefined({ resource: persistentVolumes, name });
        return left === undefined ? true : undefined;
      },
      { what: 'the volume to be deleted' },
    );
    expect(await claim('data')).toBeUndefined();
    expect([...new Set(removed)]).toEqual([`${node}:/var/lib/node-path-volumes/${name}`]);
  });

  it('follow generic ephemeral volumes of a pod', async () => {
    const volumeClaimTemplate = {
      spec: {
        accessModes: ['ReadWriteOnce'],
        storageClassName: 'standard',
        resources: { requests: { storage: '1Mi' } },
      },
    };
    await createPod('brief', [{ name: 'scratch', ephemeral: { volumeClaimTemplate } }]);
    await scheduled('brief');
    expect((await bound('brief-scratch')).metadata.ownerReferences?.[0]).toMatchObject({
      kind: 'Pod',
      name: 'brief',
    });
  });

  it('are not those that somebody else made under the name of an ephemeral volume', async () => {
    await createClaim('victim-scratch', { storageClassName: 'standard' });
    const volumeClaimTemplate = {
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Mi' } } },
    };
    await createPod('victim', [{ name: 'scratch', ephemeral: { volumeClaimTemplate } }]);
    const problem = 'PVC storage/victim-scratch was not created for pod storage/victim (pod is not owner)';
    expect(await noted('victim', 'FailedBinding')).toBe(`ephemeral volume scratch: ${problem}`);
    expect(await noted('victim', 'FailedScheduling')).toContain(problem);
    await plane.client.delete({ resource: persistentVolumeClaims, name: 'victim-scratch', namespace });
    await scheduled('victim');
    expect((await bound('victim-scratch')).metadata.ownerReferences?.[0]).toMatchObject({ name: 'victim' });
  });

  it('that are being deleted go although a pod without a node names them', async () => {
    await createClaim('leaving', { storageClassName: 'standard' });
    await createPod('homeless', [claimed('leaving')], { nodeSelector: { nowhere: 'x' } });
    await noted('homeless', 'FailedScheduling');
    await plane.client.delete({ resource: persistentVolumeClaims, name: 'leaving', namespace });
    await eventually(async () => ((await claim('leaving')) === undefined ? true : undefined), {
      what: 'the claim to be deleted',
    });
  });
});

describe('volumes made by hand', () => {
  const volume = (name: string, storage: string, spec: object = {}) => ({
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name },
    spec: {
      accessModes: ['ReadWriteOnce'],
      capacity: { storage },
      hostPath: { path: `/data/${name}` },
      persistentVolumeReclaimPolicy: 'Retain',
      ...spec,
    },
  });

  it('serve the claim they fit best, and stay when it goes', async () => {
    for (const [name, size] of [
      ['large', '10Gi'],
      ['small', '2Gi'],
      ['tiny', '1Mi'],
    ] as const)
      await plane.client.create(persistentVolumes, volume(name, size));
    await createClaim('manual', { storageClassName: '' });
    expect((await bound('manual')).spec.volumeName).toBe('small');
    await plane.client.delete({ resource: persistentVolumeClaims, name: 'manual', namespace });
    await eventually(
      async () => {
        const found = await plane.client.get<PersistentVolume>({
          resource: persistentVolumes,
          name: 'small',
        });
        return found.status?.phase === 'Released' ? true : undefined;
      },
      { what: 'the volume to be released' },
    );
    // Its data are still somebody's: the next claim gets another one.
    await createClaim('next', { storageClassName: '' });
    expect((await bound('next')).spec.volumeName).toBe('large');
  });

  it('leave a pod waiting, and say for what', async () => {
    await createPod('hopeful', [claimed('missing')]);
    expect(await noted('hopeful', 'FailedScheduling')).toBe(
      '0/2 nodes are available: persistentvolumeclaim "missing" not found. ' +
        'preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.',
    );
    await createClaim('missing', { storageClassName: '', resources: { requests: { storage: '900Gi' } } });
    expect(await noted('missing', 'FailedBinding')).toBe(
      'no persistent volumes available for this claim and no storage class is set',
    );
    await plane.client.create(persistentVolumes, volume('huge', '1Ti'));
    await scheduled('hopeful');
  });
});
