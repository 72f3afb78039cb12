import { ApiError } from '../api-error.js';
import { cloneJson, isObject, numberOf } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import { timestamp } from '../../base/timestamp.js';
import type { ServedResource } from './resource.js';
import type { DeleteOptions } from './write-options.js';

const podGraceDefaultSeconds = 30;

/** Marked for deletion with nothing left to wait for. */
export function isReadyToGo(object: ApiObject): boolean {
  const { deletionTimestamp, deletionGracePeriodSeconds, finalizers } = object.metadata;
  if (deletionTimestamp === undefined) return false;
  if ((deletionGracePeriodSeconds ?? 0) > 0 || (finalizers?.length ?? 0) > 0) return false;
  const spec = object.kind === 'Namespace' && isObject(object.spec) ? object.spec : {};
  return !(Array.isArray(spec.finalizers) && spec.finalizers.length > 0);
}

/** Throws 409 when the object is not the one the deletion was meant for. */
export function checkPreconditions(
  resource: ServedResource,
  stored: ApiObject,
  request: DeleteOptions,
): void {
  const { uid, resourceVersion } = request.preconditions ?? {};
  const { metadata } = stored;
  // Kubernetes names the kind here, not the resource.
  const refuse = (detail: string): Error =>
    new ApiError(
      409,
      'Conflict',
      `Operation cannot be fulfilled on ${resource.kind}${resource.group === '' ? '' : `.${resource.group}`} "${metadata.name}": ${detail}`,
      {
        name: metadata.name,
        ...(resource.group === '' ? {} : { group: resource.group }),
        kind: resource.kind,
      },
    );
  if (uid !== undefined && uid !== metadata.uid) {
    throw refuse(
      `the UID in the precondition (${uid}) does not match the UID in record (${metadata.uid}). The object might have been deleted and then recreated`,
    );
  }
  if (resourceVersion !== undefined && resourceVersion !== metadata.resourceVersion) {
    throw refuse(
      `the ResourceVersion in the precondition (${resourceVersion}) does not match the ResourceVersion in record (${metadata.resourceVersion}). The object might have been modified`,
    );
  }
}

/** The seconds a pod may take to stop; 0 for everything else and for pods that never ran. */
function gracePeriod(stored: ApiObject, request: DeleteOptions): number {
  if (stored.kind !== 'Pod' || stored.apiVersion !== 'v1') return 0;
  const spec = isObject(stored.spec) ? stored.spec : {};
  const phase = isObject(stored.status) ? stored.status.phase : undefined;
  if (spec.nodeName === undefined || spec.nodeName === '' || phase === 'Succeeded' || phase === 'Failed')
    return 0;
  const asked =
    request.gracePeriodSeconds ?? numberOf(spec.terminationGracePeriodSeconds) ?? podGraceDefaultSeconds;
  return Math.max(0, asked);
}

/** The object with its deletion begun: time, grace period and the finalizers of the propagation policy. */
export function markDeleted(resource: ServedResource, stored: ApiObject, request: DeleteOptions): ApiObject {
  const next = cloneJson(stored);
  const meta = next.metadata;
  const grace = gracePeriod(stored, request);
  const before = meta.deletionGracePeriodSeconds;
  if (meta.deletionTimestamp === undefined || before === undefined || grace < before) {
    // A later request may shorten the grace period, never extend it.
    meta.deletionTimestamp = timestamp(new Date(Date.now() + grace * 1000));
    meta.deletionGracePeriodSeconds = grace;
    if (resource.hasGeneration && stored.metadata.deletionTimestamp === undefined) {
      meta.generation = (meta.generation ?? 1) + 1;
    }
  }
  const finalizers = new Set(meta.finalizers ?? []);
  if (request.propagationPolicy === 'Foreground') {
    finalizers.delete('orphan');
    finalizers.add('foregroundDeletion');
  } else if (request.propagationPolicy === 'Orphan') {
    finalizers.delete('foregroundDeletion');
    finalizers.add('orphan');
  } else if (request.propagationPolicy === 'Background') {
    finalizers.delete('foregroundDeletion');
    finalizers.delete('orphan');
  } else if (resource.orphansByDefault !== undefined && !finalizers.has('foregroundDeletion')) {
    finalizers.add('orphan');
  }
  if (finalizers.size > 0) meta.finalizers = [...finalizers];
  else delete meta.finalizers;
  if (next.kind === 'Namespace' && next.apiVersion === 'v1')
    next.status = { ...(isObject(next.status) ? next.status : {}), phase: 'Terminating' };
  return next;
}
