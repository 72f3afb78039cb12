import { MeshError } from '#base/errors/mesh-error.js';
import { isConflict, KubeApiError } from '#base/kube/api-error.js';
import type { KubeClient } from '#base/kube/client.js';
import type { CustomResourceDefinition, KubeObject } from '#base/kube/types.js';
import { mapConcurrently } from '#base/system/concurrency.js';
import { resourceOf } from '../kinds.js';
import type { PlannedObject } from '../render/installation.js';
import { bundleVersion, declarerOf, isNewerBundle, isOurCrd, isToBeReleased } from './crd-ownership.js';
import { fieldManager, isOurs } from './field-manager.js';
import { type FieldChange, objectDiff } from './object-diff.js';

/** What applying an object would do. */
export interface PlannedChange {
  readonly planned: PlannedObject;
  /** `release`: it became somebody else's after an installation; what we put on it is taken off. */
  readonly action: 'create' | 'update' | 'unchanged' | 'keep' | 'release';
  readonly changes: readonly FieldChange[];
  /** Why an object is kept as it is. */
  readonly note: string | undefined;
  /** Whether fields that others set are taken over. */
  readonly isForced: boolean;
  /** Whether the object belongs to the installation: the inventory lists it, uninstall removes it. */
  readonly isOwn: boolean;
}

/**
 * Asks the API server, by a dry run of every object, what an installation would
 * change. What would fail later (conflict, refusal, missing permission) fails here,
 * before anything is written.
 * @throws MESH0307, MESH0311
 */
export async function planChanges(
  client: KubeClient,
  objects: readonly PlannedObject[],
  options: { force: boolean; signal: AbortSignal },
): Promise<PlannedChange[]> {
  const hasNamespace = new Map<string, boolean>();
  for (const { object } of objects) {
    if (object.kind === 'Namespace') {
      const live = await client.getOrUndefined({ resource: resourceOf(object), name: object.metadata.name });
      hasNamespace.set(object.metadata.name, live !== undefined);
    }
  }
  const conflicts: string[] = [];
  const changes = await mapConcurrently(objects, async (planned): Promise<PlannedChange> => {
    options.signal.throwIfAborted();
    const { object } = planned;
    // Nothing can be tried inside a namespace that is still to be created.
    if (hasNamespace.get(object.metadata.namespace ?? '') === false) return created(planned);
    const live = await client.getOrUndefined<KubeObject>(refOf(object));
    const standing = live === undefined ? undefined : keptAsItIs(planned, live);
    if (standing !== undefined) return standing;
    // What somebody changed in an object of ours is put back; only foreign objects need asking.
    const isForced = options.force || (live !== undefined && isOurs(live));
    try {
      const after = await client.apply<KubeObject>(resourceOf(object), object, {
        fieldManager,
        force: isForced,
        dryRun: true,
        signal: options.signal,
      });
      if (live === undefined) return created(planned);
      const diff = objectDiff(live, after);
      const action = diff.length === 0 ? 'unchanged' : 'update';
      return { ...ofUs(planned, action), changes: diff, isForced };
    } catch (error) {
      if (isConflict(error)) {
        conflicts.push(`${nameOf(object)}: ${conflictText(error)}`);
        return { ...ofUs(planned, 'keep'), note: 'conflict' };
      }
      throw asRefusal(error, object);
    }
  });
  if (conflicts.length > 0) {
    throw new MeshError('MESH0307', 'somebody else owns fields of the installation; nothing was changed', {
      evidence: conflicts.join('\n'),
    });
  }
  return changes;
}

/** Where an object is. */
export function refOf(object: KubeObject): {
  resource: ReturnType<typeof resourceOf>;
  name: string;
  namespace?: string;
} {
  const { name, namespace } = object.metadata;
  return { resource: resourceOf(object), name, ...(namespace === undefined ? {} : { namespace }) };
}

/** `Deployment istio-system/istiod`. */
export function nameOf(object: KubeObject): string {
  const { namespace, name } = object.metadata;
  return `${object.kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`;
}

/** The error for an object that the API server refused. */
export function asRefusal(error: unknown, object: KubeObject): unknown {
  // Not permitted, not reachable, too slow: the client's own error says it best.
  if (!(error instanceof KubeApiError) || error.status === 401 || error.status === 403) return error;
  return new MeshError('MESH0311', `the API server refused ${nameOf(object)}`, {
    evidence: error.message,
    cause: error,
  });
}

function ofUs(planned: PlannedObject, action: PlannedChange['action']): PlannedChange {
  return { planned, action, changes: [], note: undefined, isForced: false, isOwn: true };
}

function created(planned: PlannedObject): PlannedChange {
  return ofUs(planned, 'create');
}

/** The plan for a live object that is not written at all: somebody else's, or a newer one of ours. */
function keptAsItIs(planned: PlannedObject, live: KubeObject): PlannedChange | undefined {
  if (!planned.onlyIfAbsent) return undefined;
  if (planned.object.kind !== 'CustomResourceDefinition') {
    if (isOurs(live)) return undefined;
    return { ...ofUs(planned, 'keep'), isOwn: false, note: 'made by somebody else, left alone' };
  }
  if (isOurCrd(live)) {
    if (!isNewerBundle(live, planned.object)) return undefined;
    const release = live.metadata.annotations?.[bundleVersion] ?? '';
    return { ...ofUs(planned, 'keep'), note: `is of the newer ${release}, left alone` };
  }
  const action = isToBeReleased(live) ? 'release' : 'keep';
  const missing = versionsOf(planned.object).filter((v) => !versionsOf(live).includes(v));
  const note = [
    action === 'release'
      ? `replaced by ${declarerOf(live)} and theirs from now on`
      : 'installed by somebody else, left alone',
    ...(missing.length > 0 ? [`it does not serve ${missing.join(', ')}`] : []),
  ].join('; ');
  return { ...ofUs(planned, action), isOwn: false, note };
}

function versionsOf(object: KubeObject): string[] {
  const { spec } = object as CustomResourceDefinition;
  return spec.versions.filter((v) => v.served).map((v) => v.name);
}

function conflictText(error: unknown): string {
  if (!(error instanceof KubeApiError)) return '';
  const causes = (error.details?.causes ?? []).map((c) => `${c.field ?? ''} ${c.message ?? ''}`.trim());
  return causes.length > 0 ? causes.join('; ') : error.message;
}
