import { isAlreadyExists } from '#base/kube/api-error.js';
import { nodes as nodeResource, persistentVolumeClaims, persistentVolumes } from '#base/kube/resource.js';
import type { Node } from '#base/kube/types.js';
import { keyOfObject, type ObjectCache } from '../../cache/object-cache.js';
import {
  type Controller,
  type ClusterControllerDeps,
  type ControllerQueue,
  splitKey,
} from '../controller.js';
import { writeStatus } from '../status-writer.js';
import { nodePathProvisioner, nodePathVolume } from './node-path-volume.js';
import {
  type PersistentVolume,
  type PersistentVolumeClaim,
  type StorageClass,
  storageClasses,
  volumeKeys,
} from './storage-objects.js';
import { findVolume, isFor } from './volume-match.js';

interface Context {
  readonly deps: ClusterControllerDeps;
  readonly claims: ObjectCache<PersistentVolumeClaim>;
  readonly volumes: ObjectCache<PersistentVolume>;
  readonly classes: ObjectCache<StorageClass>;
  readonly nodes: ObjectCache<Node>;
}

/** Finds or makes the volume of each claim and binds the two to each other. */
export function claimBinderController(deps: ClusterControllerDeps, queue: ControllerQueue): Controller {
  const context: Context = {
    deps,
    claims: deps.caches.of<PersistentVolumeClaim>(persistentVolumeClaims),
    volumes: deps.caches.of<PersistentVolume>(persistentVolumes),
    classes: deps.caches.of<StorageClass>(storageClasses),
    nodes: deps.caches.of<Node>(nodeResource),
  };
  const unbound = (): string[] =>
    context.claims
      .list()
      .filter((claim) => claim.status?.phase !== 'Bound')
      .map(keyOfObject);
  context.claims.onChange(({ object, isGone }) => {
    if (!isGone) queue.add(keyOfObject(object));
  });
  context.volumes.onChange(({ object }) => {
    const { claimRef } = object.spec;
    if (claimRef !== undefined) queue.add(`${claimRef.namespace}/${claimRef.name}`);
    else for (const key of unbound()) queue.add(key);
  });
  context.classes.onChange(() => {
    for (const key of unbound()) queue.add(key);
  });
  return {
    name: 'claim-binder',
    keys: () => context.claims.list().map(keyOfObject),
    reconcile: async (key) => {
      const { namespace, name } = splitKey(key);
      const claim = context.claims.get(namespace, name);
      if (claim === undefined) return;
      if (claim.metadata.annotations?.[volumeKeys.bindCompleted] !== undefined)
        await checkBound(context, claim);
      else if (claim.metadata.deletionTimestamp === undefined) await bindOrProvision(context, claim);
    },
  };
}

/** A bound claim whose volume is gone, or belongs to someone else, has lost it for good. */
async function checkBound(context: Context, claim: PersistentVolumeClaim): Promise<void> {
  const name = claim.spec.volumeName ?? '';
  // Asked directly: losing a volume is final, and the cache may only be late.
  const volume =
    context.volumes.get(undefined, name) ??
    (await context.deps.client.getOrUndefined<PersistentVolume>({ resource: persistentVolumes, name }));
  if (volume !== undefined && isFor(volume, claim)) {
    await setBound(context, claim, volume);
    return;
  }
  if (claim.status?.phase === 'Lost') return;
  await setStatus(context, claim, { ...claim.status, phase: 'Lost' });
  note(
    context,
    claim,
    'Warning',
    'ClaimLost',
    'Bound claim has lost its PersistentVolume. Data on the volume is lost!',
  );
}

async function bindOrProvision(context: Context, claim: PersistentVolumeClaim): Promise<void> {
  const className = claim.spec.storageClassName ?? '';
  const storageClass = className === '' ? undefined : context.classes.get(undefined, className);
  const nodeName = claim.metadata.annotations?.[volumeKeys.selectedNode] ?? '';
  const isWaiting = storageClass?.volumeBindingMode === 'WaitForFirstConsumer' && nodeName === '';
  const node = nodeName === '' ? undefined : context.nodes.get(undefined, nodeName);
  const volume = chosenVolume(context, claim, { isWaiting, node });
  if (volume !== undefined) await bind(context, claim, volume);
  else if (isWaiting) {
    await setStatus(context, claim, { ...claim.status, phase: 'Pending' });
    note(
      context,
      claim,
      'Normal',
      'WaitForFirstConsumer',
      'waiting for first consumer to be created before binding',
    );
  } else await provision(context, claim, { storageClass, className, nodeName });
}

function chosenVolume(
  context: Context,
  claim: PersistentVolumeClaim,
  o: { readonly isWaiting: boolean; readonly node: Node | undefined },
): PersistentVolume | undefined {
  const wanted = claim.spec.volumeName ?? '';
  if (wanted !== '') {
    const volume = context.volumes.get(undefined, wanted);
    const isFree = volume?.spec.claimRef === undefined || isFor(volume, claim);
    return isFree ? volume : undefined;
  }
  const volumes = context.volumes.list();
  // While the first user has no node yet, only a volume reserved for this claim is taken.
  return o.isWaiting ? volumes.find((volume) => isFor(volume, claim)) : findVolume(claim, volumes, o.node);
}

async function provision(
  context: Context,
  claim: PersistentVolumeClaim,
  o: {
    readonly storageClass: StorageClass | undefined;
    readonly className: string;
    readonly nodeName: string;
  },
): Promise<void> {
  await setStatus(context, claim, { ...claim.status, phase: 'Pending' });
  const { storageClass, className } = o;
  if ((claim.spec.volumeName ?? '') !== '') {
    const message = `volume "${claim.spec.volumeName ?? ''}" not found, or already bound to a different claim.`;
    note(context, claim, 'Warning', 'FailedBinding', message);
  } else if (className === '') {
    const message = 'no persistent volumes available for this claim and no storage class is set';
    note(context, claim, 'Normal', 'FailedBinding', message);
  } else if (storageClass === undefined)
    note(
      context,
      claim,
      'Warning',
      'ProvisioningFailed',
      `storageclass.storage.k8s.io "${className}" not found`,
    );
  else if (storageClass.provisioner !== nodePathProvisioner) {
    const message = `Waiting for a volume to be created either by the external provisioner '${storageClass.provisioner}' or manually by the system administrator. A sandbox itself provisions with ${nodePathProvisioner} only.`;
    note(context, claim, 'Normal', 'ExternalProvisioning', message);
    await nameProvisioner(context, claim, storageClass.provisioner);
  } else await provisionNodePath(context, claim, { storageClass, nodeName: o.nodeName });
}

/** By this annotation an external provisioner knows the claims that are its own. */
async function nameProvisioner(
  context: Context,
  claim: PersistentVolumeClaim,
  provisioner: string,
): Promise<void> {
  if (claim.metadata.annotations?.[volumeKeys.storageProvisioner] === provisioner) return;
  const { name, namespace } = claim.metadata;
  const patched = await context.deps.client.patch<PersistentVolumeClaim>(
    { resource: persistentVolumeClaims, name, namespace },
    { metadata: { annotations: { [volumeKeys.storageProvisioner]: provisioner } } },
  );
  context.claims.remember(patched);
}

async function provisionNodePath(
  context: Context,
  claim: PersistentVolumeClaim,
  o: { readonly storageClass: StorageClass; readonly nodeName: string },
): Promise<void> {
  if (claim.spec.volumeMode === 'Block') {
    const message = `${nodePathProvisioner} makes folders: volumeMode Block cannot be provisioned`;
    note(context, claim, 'Warning', 'ProvisioningFailed', message);
    return;
  }
  const [anyNode] = context.nodes.list().map((node) => node.metadata.name);
  const node = o.nodeName === '' ? anyNode : o.nodeName;
  if (node === undefined) return;
  const body = nodePathVolume(claim, { storageClass: o.storageClass, node });
  const { name } = body.metadata;
  let volume: PersistentVolume;
  try {
    volume = await context.deps.client.create<PersistentVolume>(persistentVolumes, body);
    note(context, claim, 'Normal', 'ProvisioningSucceeded', `Successfully provisioned volume ${name}`);
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    volume = await context.deps.client.get<PersistentVolume>({ resource: persistentVolumes, name });
  }
  context.volumes.remember(volume);
  await bind(context, claim, volume);
}

/** First the volume names the claim, then the claim the volume: a crash in between is taken up where it ended. */
async function bind(context: Context, seen: PersistentVolumeClaim, free: PersistentVolume): Promise<void> {
  const { client } = context.deps;
  let volume = free;
  const { name, namespace = '', uid = '' } = seen.metadata;
  if (free.spec.claimRef?.uid !== uid) {
    volume = await client.patch<PersistentVolume>(
      { resource: persistentVolumes, name: free.metadata.name },
      {
        metadata: {
          resourceVersion: free.metadata.resourceVersion,
          annotations: { [volumeKeys.boundByController]: 'yes' },
        },
        spec: { claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', name, namespace, uid } },
      },
    );
    context.volumes.remember(volume);
  }
  const isChosenByUser = (seen.spec.volumeName ?? '') !== '';
  const claim = await client.patch<PersistentVolumeClaim>(
    { resource: persistentVolumeClaims, name, namespace },
    {
      metadata: {
        resourceVersion: seen.metadata.resourceVersion,
        annotations: {
          [volumeKeys.bindCompleted]: 'yes',
          ...(isChosenByUser ? {} : { [volumeKeys.boundByController]: 'yes' }),
        },
      },
      spec: { volumeName: volume.metadata.name },
    },
  );
  context.claims.remember(claim);
  await setBound(context, claim, volume);
}

async function setBound(
  context: Context,
  claim: PersistentVolumeClaim,
  volume: PersistentVolume,
): Promise<void> {
  await setStatus(context, claim, {
    ...claim.status,
    phase: 'Bound',
    accessModes: volume.spec.accessModes ?? [],
    capacity: volume.spec.capacity ?? {},
  });
}

async function setStatus(
  context: Context,
  claim: PersistentVolumeClaim,
  status: NonNullable<PersistentVolumeClaim['status']>,
): Promise<void> {
  const at = { resource: persistentVolumeClaims, cache: context.claims };
  await writeStatus(context.deps.client, at, claim, status);
}

function note(
  context: Context,
  about: PersistentVolumeClaim,
  type: 'Normal' | 'Warning',
  reason: string,
  message: string,
): void {
  context.deps.events.record({ about, type, reason, message });
}
