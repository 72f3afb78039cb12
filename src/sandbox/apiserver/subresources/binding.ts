import { apiError } from '../api-error.js';
import { arrayOf, cloneJson, objectOf, valueIn, stringMapOf, stringOf } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import { timestamp } from '../../base/timestamp.js';
import type { Operations } from '../registry/operations.js';
import { type ServedResource, specOf } from '../registry/resource.js';
import type { WriteOptions } from '../registry/write-options.js';

const bindingName = { group: '', plural: 'pods/binding' } as const;

/** The node a Binding names. Throws 400. */
function nodeOf(binding: ApiObject): string {
  const kind = stringOf(valueIn(binding, 'target', 'kind'));
  if (kind !== '' && kind !== 'Node') {
    throw apiError.badRequest(
      `target.kind: Unsupported value: ${JSON.stringify(kind)}: supported values: "Node", "<empty>"`,
    );
  }
  const node = stringOf(valueIn(binding, 'target', 'name'));
  if (node === '') throw apiError.badRequest('target.name: Required value');
  return node;
}

/** Puts a pod on the node a Binding names. Throws 400, 404 and 409. */
export async function bindPod(
  operations: Operations,
  pods: ServedResource,
  target: { readonly namespace: string; readonly name: string },
  binding: ApiObject,
  options: WriteOptions,
): Promise<void> {
  const node = nodeOf(binding);
  const { name } = target;
  const conflict = (detail: string): Error => apiError.conflict(bindingName, name, detail);
  const build = (current: ApiObject): ApiObject => {
    const bound = stringOf(valueIn(current, 'spec', 'nodeName'));
    const { uid } = binding.metadata;
    if (uid !== undefined && uid !== '' && uid !== current.metadata.uid) {
      throw conflict(
        `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${current.metadata.uid}`,
      );
    }
    if (current.metadata.deletionTimestamp !== undefined)
      throw conflict(`pod ${name} is being deleted, cannot be assigned to a host`);
    if (bound !== '') throw conflict(`pod ${name} is already assigned to node "${bound}"`);
    if (arrayOf(valueIn(current, 'spec', 'schedulingGates')).length > 0)
      throw conflict(`pod ${name} has non-empty .spec.schedulingGates`);
    const next = cloneJson(current);
    specOf(next).nodeName = node;
    const annotations = stringMapOf(binding.metadata.annotations);
    if (Object.keys(annotations).length > 0)
      next.metadata.annotations = { ...next.metadata.annotations, ...annotations };
    next.status = withPodCondition(next, { type: 'PodScheduled', status: 'True' });
    return next;
  };
  // Kubernetes records no owner for what a binding sets.
  await operations.modify(pods, target, build, { ...options, manager: '' });
}

/** A pod's status with a condition set, in its old place if it had one. */
export function withPodCondition(
  pod: ApiObject,
  condition: {
    readonly type: string;
    readonly status: string;
    readonly reason?: string;
    readonly message?: string;
  },
): ApiObject['status'] {
  const status = objectOf(pod.status);
  const entry = { ...condition, lastProbeTime: null, lastTransitionTime: timestamp() };
  const conditions = Array.isArray(status.conditions) ? [...status.conditions] : [];
  const at = conditions.findIndex((c) => valueIn(c, 'type') === condition.type);
  if (at < 0) conditions.push(entry);
  else conditions[at] = entry;
  return { ...status, conditions };
}
