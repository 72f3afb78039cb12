import { systemUser } from '../auth/user.js';
import { ApiError } from '../http/api-error.js';
import { cloneJson } from '../json.js';
import type { KubeObject } from '../object.js';
import type { Resource } from '../registry/resource.js';
import type { ControllerDeps, Stoppable } from './builtin-controllers.js';
import { WorkQueue } from './work-queue.js';

const options = { user: systemUser, manager: 'kube-controller-manager' };
const foreground = 'foregroundDeletion';
const orphan = 'orphan';

interface Place {
  readonly storage: string;
  readonly namespace: string | undefined;
  readonly name: string;
  readonly uid: string;
}

/**
 * Follows owner references: dependents of a deleted owner go (background),
 * before it goes (foreground), or are released (orphan).
 */
export function startGarbageCollector({ operations, logger }: ControllerDeps): Stoppable {
  const { store, registry } = operations;
  const places = new Map<string, Place>();
  const dependents = new Map<string, Set<string>>();

  const objectAt = (uid: string): KubeObject | undefined => {
    const place = places.get(uid);
    if (place === undefined) return undefined;
    const object = store.get(place.storage, place.namespace, place.name);
    return object?.metadata.uid === uid ? object : undefined;
  };
  const resourceAt = (uid: string): Resource | undefined => {
    const place = places.get(uid);
    return place === undefined ? undefined : registry.findStorage(place.storage);
  };
  const dependentsOf = (uid: string): KubeObject[] =>
    [...(dependents.get(uid) ?? [])].map(objectAt).filter((o) => o !== undefined);

  const releaseFrom = async (uid: string, ownerUids: ReadonlySet<string>): Promise<void> => {
    const resource = resourceAt(uid);
    const object = objectAt(uid);
    if (resource === undefined || object === undefined) return;
    await operations.modify(
      resource,
      { namespace: object.metadata.namespace, name: object.metadata.name },
      (o) => {
        const next = cloneJson(o);
        next.metadata.ownerReferences = (next.metadata.ownerReferences ?? []).filter(
          (r) => !ownerUids.has(r.uid),
        );
        return next;
      },
      options,
    );
  };

  const removeFinalizer = async (object: KubeObject, finalizer: string): Promise<void> => {
    const resource = resourceAt(object.metadata.uid);
    if (resource === undefined) return;
    await operations.modify(
      resource,
      { namespace: object.metadata.namespace, name: object.metadata.name },
      (o) => {
        const next = cloneJson(o);
        next.metadata.finalizers = (next.metadata.finalizers ?? []).filter((f) => f !== finalizer);
        return next;
      },
      options,
    );
  };

  const remove = async (
    object: KubeObject,
    propagationPolicy: 'Background' | 'Foreground',
  ): Promise<void> => {
    const resource = resourceAt(object.metadata.uid);
    if (resource === undefined) return;
    const { namespace, name, uid } = object.metadata;
    await operations.delete(
      resource,
      { namespace, name },
      { propagationPolicy, preconditions: { uid } },
      options,
    );
  };

  /** A deletion that waits for us: orphan or delete the dependents, then let the owner go. */
  const processOwner = async (owner: KubeObject): Promise<'done' | 'again'> => {
    const { finalizers = [], uid } = owner.metadata;
    if (finalizers.includes(orphan)) {
      for (const d of dependentsOf(uid)) await releaseFrom(d.metadata.uid, new Set([uid]));
      await removeFinalizer(owner, orphan);
      return 'done';
    }
    if (!finalizers.includes(foreground)) return 'done';
    const blocking = dependentsOf(uid).filter((d) =>
      d.metadata.ownerReferences?.some((r) => r.uid === uid && r.blockOwnerDeletion === true),
    );
    for (const d of dependentsOf(uid)) {
      if (d.metadata.deletionTimestamp === undefined) await processDependent(d);
    }
    const left = blocking.filter((d) => objectAt(d.metadata.uid) !== undefined);
    if (left.length === 0) await removeFinalizer(owner, foreground);
    // The removal of the last dependent queues the owner again.
    return 'done';
  };

  /** An object with owners: does one that counts still exist? */
  const processDependent = async (object: KubeObject): Promise<void> => {
    const references = object.metadata.ownerReferences ?? [];
    if (references.length === 0) return;
    const gone = new Set<string>();
    const going = new Set<string>();
    let hasSolidOwner = false;
    for (const r of references) {
      const owner = objectAt(r.uid);
      const isElsewhere =
        owner?.metadata.namespace !== undefined && owner.metadata.namespace !== object.metadata.namespace;
      if (owner === undefined || isElsewhere) gone.add(r.uid);
      else if (
        owner.metadata.deletionTimestamp !== undefined &&
        owner.metadata.finalizers?.includes(foreground)
      )
        going.add(r.uid);
      else hasSolidOwner = true;
    }
    if (gone.size === 0 && going.size === 0) return;
    if (hasSolidOwner) await releaseFrom(object.metadata.uid, new Set([...gone, ...going]));
    else await remove(object, going.size > 0 ? 'Foreground' : 'Background');
  };

  const queue = new WorkQueue(
    async (uid) => {
      const object = objectAt(uid);
      if (object === undefined) return 'done';
      try {
        if (object.metadata.deletionTimestamp !== undefined) return await processOwner(object);
        await processDependent(object);
      } catch (error) {
        // Gone or replaced in the meantime: nothing left to collect.
        if (!(error instanceof ApiError && (error.code === 404 || error.code === 409))) throw error;
        if (error.code === 409) return 'again';
      }
      return 'done';
    },
    (uid, error) => {
      logger.warn('garbage collection failed', { uid, error: String(error) });
    },
  );

  const link = (object: KubeObject, storage: string): void => {
    const { uid, namespace, name } = object.metadata;
    places.set(uid, { storage, namespace, name, uid });
    for (const r of object.metadata.ownerReferences ?? []) {
      const set = dependents.get(r.uid) ?? new Set();
      set.add(uid);
      dependents.set(r.uid, set);
    }
  };
  const unlink = (object: KubeObject): void => {
    for (const r of object.metadata.ownerReferences ?? []) {
      const set = dependents.get(r.uid);
      set?.delete(object.metadata.uid);
      if (set?.size === 0) dependents.delete(r.uid);
    }
  };
  for (const storage of store.resources()) for (const o of store.list(storage)) link(o, storage);
  for (const place of places.values()) queue.add(place.uid);

  const unsubscribe = store.subscribeAll(({ type, resource, object, previous }) => {
    if (previous !== undefined) unlink(previous);
    if (type === 'DELETED') {
      places.delete(object.metadata.uid);
      for (const uid of dependents.get(object.metadata.uid) ?? []) queue.add(uid);
      for (const r of object.metadata.ownerReferences ?? []) {
        const owner = objectAt(r.uid);
        if (owner?.metadata.deletionTimestamp !== undefined) queue.add(r.uid);
      }
      return;
    }
    link(object, resource);
    const isGoing = object.metadata.deletionTimestamp !== undefined;
    if (
      isGoing
        ? (object.metadata.finalizers?.length ?? 0) > 0
        : (object.metadata.ownerReferences?.length ?? 0) > 0
    ) {
      queue.add(object.metadata.uid);
    }
  });
  return {
    stop: async () => {
      unsubscribe();
      await queue.stop();
    },
  };
}
