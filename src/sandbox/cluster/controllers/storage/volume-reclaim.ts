import { persistentVolumeClaims, persistentVolumes } from '#base/kube/resource.js';
import type { ObjectCache } from '../../cache/object-cache.js';
import { type Controller, type ClusterControllerDeps, type ControllerQueue } from '../controller.js';
import { writeStatus } from '../status-writer.js';
import { provisionedFolder } from './node-path-volume.js';
import type { PersistentVolume, PersistentVolumeClaim } from './storage-objects.js';
import { isFor } from './volume-match.js';

/** Removes a folder of a node's disk; one that is not there is fine. */
export type RemoveNodeFolder = (node: string, path: string) => Promise<void>;

interface Context {
  readonly deps: ClusterControllerDeps;
  readonly volumes: ObjectCache<PersistentVolume>;
  readonly claims: ObjectCache<PersistentVolumeClaim>;
  readonly removeFolder: RemoveNodeFolder;
}

/** Keeps the phase of volumes, and does what their reclaim policy says when their claim is gone. */
export function volumeReclaimController(
  removeFolder: RemoveNodeFolder,
): (deps: ClusterControllerDeps, queue: ControllerQueue) => Controller {
  return (deps, queue) => {
    const context: Context = {
      deps,
      volumes: deps.caches.of<PersistentVolume>(persistentVolumes),
      claims: deps.caches.of<PersistentVolumeClaim>(persistentVolumeClaims),
      removeFolder,
    };
    context.volumes.onChange(({ object, isGone }) => {
      if (!isGone) queue.add(object.metadata.name);
    });
    context.claims.onChange(({ object }) => {
      const volume = object.spec.volumeName ?? '';
      if (volume !== '') queue.add(volume);
    });
    return {
      name: 'volume-reclaim',
      keys: () => context.volumes.list().map((volume) => volume.metadata.name),
      reconcile: async (name) => {
        const volume = context.volumes.get(undefined, name);
        if (volume === undefined) return;
        const phase = await phaseOf(context, volume);
        if (phase === 'Released' && volume.spec.persistentVolumeReclaimPolicy === 'Delete')
          await reclaim(context, volume);
        else await setPhase(context, volume, phase);
      },
    };
  };
}

async function phaseOf(context: Context, volume: PersistentVolume): Promise<string> {
  const { claimRef } = volume.spec;
  if (claimRef === undefined || (claimRef.uid ?? '') === '') return 'Available';
  const { name, namespace } = claimRef;
  // Asked directly when the cache knows nothing: deleting data is final.
  const claim =
    context.claims.get(namespace, name) ??
    (await context.deps.client.getOrUndefined<PersistentVolumeClaim>({
      resource: persistentVolumeClaims,
      namespace,
      name,
    }));
  return claim !== undefined && isFor(volume, claim) ? 'Bound' : 'Released';
}

async function reclaim(context: Context, volume: PersistentVolume): Promise<void> {
  const folder = provisionedFolder(volume);
  if (folder === undefined) {
    const message = 'this volume was not provisioned by the sandbox: delete it, and its data, by hand';
    await setPhase(context, volume, 'Failed', message);
    return;
  }
  await setPhase(context, volume, 'Released');
  await context.removeFolder(folder.node, folder.path);
  await context.deps.client.delete(
    { resource: persistentVolumes, name: volume.metadata.name },
    volume.metadata.uid === undefined ? {} : { preconditions: { uid: volume.metadata.uid } },
  );
}

async function setPhase(
  context: Context,
  volume: PersistentVolume,
  phase: string,
  message?: string,
): Promise<void> {
  if (volume.metadata.deletionTimestamp !== undefined && phase === 'Available') return;
  const at = { resource: persistentVolumes, cache: context.volumes };
  const { message: _, ...status } = volume.status ?? {};
  await writeStatus(context.deps.client, at, volume, {
    ...status,
    phase,
    ...(message === undefined ? {} : { message }),
  });
}
