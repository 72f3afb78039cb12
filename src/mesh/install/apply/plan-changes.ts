import { MeshError } from '#base/errors/mesh-error.js';
import { isConflict, KubeApiError } from '#base/kube/api-error.js';
import type { KubeClient } from '#base/kube/client.js';
import type { CustomResourceDefinition, KubeObject } from '#base/kube/types.js';
import { mapConcurrently } from '../concurrency.js';
import { resourceOf } from '../kinds.js';
import { managedBy, managedByLabel, type PlannedObject } from '../render/installation.js';
import { type FieldChange, objectDiff } from './object-diff.js';

/** Name under which the installer owns fields. */
export const fieldManager = 'meshctl';

/** What applying an object would do. */
export interface PlannedChange {
  readonly planned: PlannedObject;
  readonly action: 'create' | 'update' | 'unchanged' | 'keep';
  readonly changes: readonly FieldChange[];
  /** Why an object is kept as it is. */
  readonly note: string | undefined;
  /** Whether fields that others set are taken over. */
  readonly isForced: boolean;
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
    if (live !== undefined && planned.onlyIfAbsent && !isOurs(live)) return kept(planned, live);
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
      return { planned, action, changes: diff, note: undefined, isForced };
    } catch (error) {
      if (isConflict(error)) {
        conflicts.push(`${nameOf(object)}: ${conflictText(error)}`);
        return { planned, action: 'keep', changes: [], note: 'conflict', isForced };
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

/** Whether an object belongs to an installation made by meshctl. */
export function isOurs(object: KubeObject): boolean {
  return object.metadata.labels?.[managedByLabel] === managedBy;
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

function created(planned: PlannedObject): PlannedChange {
  return { planned, action: 'create', changes: [], note: undefined, isForced: false };
}

function kept(planned: PlannedObject, live: KubeObject): PlannedChange {
  if (planned.object.kind !== 'CustomResourceDefinition') {
    const note = 'made by somebody else, left alone';
    return { planned, action: 'keep', changes: [], note, isForced: false };
  }
  const wanted = versionsOf(planned.object);
  const served = versionsOf(live);
  const missing = wanted.filter((v) => !served.includes(v));
  const note =
    missing.length === 0
      ? 'installed by somebody else, left alone'
      : `installed by somebody else, left alone; it does not serve ${missing.join(', ')}`;
  return { planned, action: 'keep', changes: [], note, isForced: false };
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
