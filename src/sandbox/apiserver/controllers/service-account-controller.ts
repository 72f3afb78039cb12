import { systemUser } from '../auth/user.js';
import { ApiError } from '../http/api-error.js';
import { isObject } from '../json.js';
import type { KubeObject } from '../object.js';
import type { ControllerDeps, Stoppable } from './builtin-controllers.js';
import { WorkQueue } from './work-queue.js';

const caConfigMap = 'kube-root-ca.crt';
const options = { user: systemUser, manager: 'kube-controller-manager' };

/** Every namespace has a `default` service account and the cluster's CA in a ConfigMap; both come back when deleted. */
export function startServiceAccountController({ operations, caPem, logger }: ControllerDeps): Stoppable {
  const { store, registry } = operations;
  const ensure = async (object: KubeObject): Promise<void> => {
    const resource = registry.findKind('v1', object.kind);
    if (resource === undefined) return;
    try {
      await operations.create(resource, object.metadata.namespace, object, options);
    } catch (error) {
      if (!(error instanceof ApiError && error.reason === 'AlreadyExists')) throw error;
    }
  };
  const meta = (name: string, namespace: string) => ({ name, namespace }) as KubeObject['metadata'];
  const queue = new WorkQueue(
    async (namespace) => {
      const stored = store.get('namespaces', undefined, namespace);
      if (stored === undefined || stored.metadata.deletionTimestamp !== undefined) return 'done';
      if (store.get('serviceaccounts', namespace, 'default') === undefined) {
        await ensure({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: meta('default', namespace) });
      }
      const current = store.get('configmaps', namespace, caConfigMap);
      const data = { 'ca.crt': caPem };
      if (current === undefined) {
        await ensure({ apiVersion: 'v1', kind: 'ConfigMap', metadata: meta(caConfigMap, namespace), data });
      } else if (!isObject(current.data) || current.data['ca.crt'] !== caPem) {
        const resource = registry.findKind('v1', 'ConfigMap');
        if (resource !== undefined) {
          await operations.modify(
            resource,
            { namespace, name: caConfigMap },
            (o) => ({ ...structuredClone(o), data }),
            options,
          );
        }
      }
      return 'done';
    },
    (namespace, error) => {
      logger.warn('namespace is not furnished yet', { namespace, error: String(error) });
    },
  );
  for (const namespace of store.list('namespaces')) queue.add(namespace.metadata.name);
  const unsubscribe = store.subscribeAll(({ type, resource, object }) => {
    if (resource === 'namespaces' && type !== 'DELETED') queue.add(object.metadata.name);
    const isOurs =
      (resource === 'serviceaccounts' && object.metadata.name === 'default') ||
      (resource === 'configmaps' && object.metadata.name === caConfigMap);
    if (isOurs && type !== 'ADDED' && object.metadata.namespace !== undefined)
      queue.add(object.metadata.namespace);
  });
  return {
    stop: async () => {
      unsubscribe();
      await queue.stop();
    },
  };
}
