import { systemUser } from '../auth/user.js';
import { ApiError } from '../http/api-error.js';
import { isObject, stringsOf } from '../json.js';
import { timestamp } from '../object.js';
import type { ControllerDeps, Stoppable } from './builtin-controllers.js';
import { WorkQueue } from './work-queue.js';

const options = { user: systemUser, manager: 'kube-controller-manager' };
/** Kept until everything else is gone: pods still use them while they stop. */
const last: ReadonlySet<string> = new Set(['serviceaccounts', 'configmaps', 'secrets']);

/** Empties namespaces that are being deleted, then lets them go. */
export function startNamespaceController({ operations, logger }: ControllerDeps): Stoppable {
  const { store, registry } = operations;

  /** Deletes what is left; returns the resources that still have objects, and the finalizers that hold them. */
  const empty = async (
    namespace: string,
  ): Promise<{ left: Map<string, number>; finalizers: Map<string, number> }> => {
    const left = new Map<string, number>();
    const finalizers = new Map<string, number>();
    const storages = store.resources().sort((a, b) => Number(last.has(a)) - Number(last.has(b)));
    for (const storage of storages) {
      const resource = registry.findStorage(storage);
      if (resource === undefined || !resource.namespaced) continue;
      if (last.has(storage) && left.has('pods')) continue;
      for (const object of store.list(storage, namespace)) {
        const target = { namespace, name: object.metadata.name };
        if (object.metadata.deletionTimestamp === undefined) {
          try {
            await operations.delete(resource, target, { propagationPolicy: 'Background' }, options);
          } catch (error) {
            if (!(error instanceof ApiError && error.code === 404)) throw error;
          }
        }
        const still = store.get(storage, namespace, target.name);
        if (still === undefined) continue;
        left.set(storage, (left.get(storage) ?? 0) + 1);
        for (const f of still.metadata.finalizers ?? []) finalizers.set(f, (finalizers.get(f) ?? 0) + 1);
      }
    }
    return { left, finalizers };
  };

  const queue = new WorkQueue(
    async (name) => {
      const namespace = store.get('namespaces', undefined, name);
      const resource = registry.findKind('v1', 'Namespace');
      if (namespace?.metadata.deletionTimestamp === undefined || resource === undefined) return 'done';
      const { left, finalizers } = await empty(name);
      const target = { namespace: undefined, name };
      if (left.size > 0) {
        const condition = (type: string, isTrue: boolean, reason: string, message: string) => ({
          type,
          status: isTrue ? 'True' : 'False',
          lastTransitionTime: namespace.metadata.deletionTimestamp ?? timestamp(),
          reason,
          message,
        });
        const kinds = [...left].map(([r, n]) => `${r}. has ${n} resource instances`).join(', ');
        const held = [...finalizers].map(([f, n]) => `${f} in ${n} resource instances`).join(', ');
        await operations.modify(
          resource,
          target,
          (o) => ({
            ...structuredClone(o),
            status: {
              ...(isObject(o.status) ? o.status : {}),
              phase: 'Terminating',
              conditions: [
                condition(
                  'NamespaceDeletionDiscoveryFailure',
                  false,
                  'ResourcesDiscovered',
                  'All resources successfully discovered',
                ),
                condition(
                  'NamespaceContentRemaining',
                  true,
                  'SomeResourcesRemain',
                  `Some resources are remaining: ${kinds}`,
                ),
                condition(
                  'NamespaceFinalizersRemaining',
                  finalizers.size > 0,
                  finalizers.size > 0 ? 'SomeFinalizersRemain' : 'ContentHasNoFinalizers',
                  finalizers.size > 0
                    ? `Some content in the namespace has finalizers remaining: ${held}`
                    : 'All content-preserving finalizers finished',
                ),
              ],
            },
          }),
          { ...options, subresource: 'status' },
        );
        return 'again';
      }
      await operations.modify(
        resource,
        target,
        (o) => {
          const kept = stringsOf(isObject(o.spec) ? o.spec.finalizers : undefined).filter(
            (f) => f !== 'kubernetes',
          );
          return { ...structuredClone(o), spec: kept.length > 0 ? { finalizers: kept } : {} };
        },
        { ...options, subresource: 'finalize' },
      );
      return 'done';
    },
    (name, error) => {
      if (!(error instanceof ApiError && error.code === 404)) {
        logger.warn('namespace is not empty yet', { namespace: name, error: String(error) });
      }
    },
  );
  for (const n of store.list('namespaces'))
    if (n.metadata.deletionTimestamp !== undefined) queue.add(n.metadata.name);
  const unsubscribe = store.subscribe('namespaces', ({ type, object }) => {
    if (type !== 'DELETED' && object.metadata.deletionTimestamp !== undefined)
      queue.add(object.metadata.name);
  });
  return {
    stop: async () => {
      unsubscribe();
      await queue.stop();
    },
  };
}
