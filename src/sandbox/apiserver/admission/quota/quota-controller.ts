import type { Logger } from '../../../../telemetry/log.js';
import { systemUser } from '../../auth/user.js';
import { ApiError } from '../../http/api-error.js';
import { cloneJson, equalJson, type JsonObject } from '../../json.js';
import type { Operations } from '../../registry/operations.js';
import { WorkQueue } from '../../work-queue.js';
import { hardOf, usedOf } from './quota-usage.js';

const storage = 'resourcequotas';
const options = { user: systemUser, manager: 'kube-controller-manager', subresource: 'status' };
/** Pods stop counting when their grace period is over, which no event tells. */
const resyncMs = 30_000;

/** Keeps status.hard and status.used of resource quotas true, whatever is created, changed or deleted. */
export function startQuotaController({
  operations,
  logger,
}: {
  readonly operations: Operations;
  readonly logger: Logger;
}): { stop(): Promise<void> } {
  const { store, registry } = operations;
  const queue = new WorkQueue(
    async (key) => {
      const [namespace = '', name = ''] = key.split('/');
      const quota = store.get(storage, namespace, name);
      const resource = registry.findStorage(storage);
      if (quota === undefined || resource === undefined) return 'done';
      const texts = (amounts: ReadonlyMap<string, { toString(): string }>): JsonObject =>
        Object.fromEntries([...amounts].map(([k, v]) => [k, v.toString()]));
      const status: JsonObject = { hard: texts(hardOf(quota)), used: texts(usedOf(quota, registry, store)) };
      if (equalJson(quota.status, status)) return 'done';
      await operations.modify(resource, { namespace, name }, (o) => ({ ...cloneJson(o), status }), options);
      return 'done';
    },
    (key, error) => {
      if (!(error instanceof ApiError && error.code === 404)) {
        logger.warn('resource quota is not counted', { quota: key, error: String(error) });
      }
    },
  );
  const addNamespace = (namespace: string | undefined): void => {
    if (namespace === undefined) return;
    for (const quota of store.list(storage, namespace)) queue.add(`${namespace}/${quota.metadata.name}`);
  };
  const addAll = (): void => {
    for (const quota of store.list(storage)) queue.add(`${quota.metadata.namespace}/${quota.metadata.name}`);
  };
  addAll();
  const unsubscribe = store.subscribeAll(({ object }) => addNamespace(object.metadata.namespace));
  const timer = setInterval(addAll, resyncMs);
  timer.unref();
  return {
    stop: async () => {
      clearInterval(timer);
      unsubscribe();
      await queue.stop();
    },
  };
}
