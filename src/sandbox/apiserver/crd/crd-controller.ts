import { WorkQueue } from '#base/kube/work-queue.js';
import { WebhookClient } from '../admission/webhook/client.js';
import { systemUser } from '../user.js';
import { ApiError } from '../api-error.js';
import { cloneJson, equalJson, objectOf, stringOf } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import type { Operations } from '../registry/operations.js';
import type { Logger } from '#base/telemetry/log.js';
import { beginTermination, cleanup, crdStatus, endTermination, isTerminating } from './crd-status.js';
import { resourcesOf } from './custom-resource.js';
import { isEstablished, NameBook } from './name-book.js';

const storage = 'customresourcedefinitions.apiextensions.k8s.io';
const options = { user: systemUser, manager: 'kube-apiserver' };
/** Also for the finalizer, as in kube-apiserver: rules about definitions do not see it, and cannot keep one for ever. */
const asStatus = { ...options, subresource: 'status' };

/** Serves what CRDs define: adds their resources to the registry, reports Established, cleans up when they go. */
export function startCrdController({
  operations,
  logger,
}: {
  readonly operations: Operations;
  readonly logger: Logger;
}): { stop(): Promise<void> } {
  const { store, registry } = operations;
  const client = new WebhookClient(store);
  const book = new NameBook();
  const register = (crd: ApiObject): void => {
    const { conflict } = book.decide(crd);
    if (conflict !== undefined && !isEstablished(crd)) return;
    const resources = resourcesOf(crd, client);
    const [first] = resources;
    if (first !== undefined) registry.remove(first.group, first.plural);
    for (const r of resources) registry.add(r);
  };
  const end = new AbortController();
  const queue = new WorkQueue({
    reconcile: async (name) => {
      // Callers are in the middle of a commit.
      await Promise.resolve();
      const crd = store.get(storage, undefined, name);
      const resource = registry.findStorage(storage);
      if (crd === undefined || resource === undefined) return 'done';
      const target = { namespace: undefined, name };
      if (crd.metadata.deletionTimestamp === undefined) {
        const status = crdStatus(crd, book.decide(crd));
        if (registry.findStorage(name) === undefined) register(crd);
        if (equalJson(crd.status, status)) return 'done';
        await operations.modify(
          resource,
          target,
          (o) => ({ ...cloneJson(o), status: cloneJson(crdStatus(o, book.decide(o))) }),
          asStatus,
        );
        return 'done';
      }
      if (crd.metadata.finalizers?.includes(cleanup) !== true) return 'done';
      if (!isTerminating(crd) && store.list(name).length > 0)
        await operations.modify(resource, target, beginTermination, asStatus);
      const custom = registry.findStorage(name);
      if (custom !== undefined) {
        for (const object of store.list(name)) {
          if (object.metadata.deletionTimestamp !== undefined) continue;
          await operations.delete(
            custom,
            { namespace: object.metadata.namespace, name: object.metadata.name },
            { propagationPolicy: 'Background' },
            // As in kube-apiserver, what guards single objects has no say when their kind goes.
            { ...options, isAdmitted: true },
          );
        }
      }
      if (store.list(name).length > 0) return 'again';
      await operations.modify(resource, target, endTermination, asStatus);
      return 'done';
    },
    onError: (name, error) => {
      if (!(error instanceof ApiError && error.code === 404)) {
        logger.warn('custom resource definition is not processed yet', { crd: name, error: String(error) });
      }
    },
    workersMax: 1,
    retryMaxMs: 5_000,
  });
  queue.start(end.signal);
  // Who was there first keeps its names.
  const existing = [...store.list(storage)].sort(
    (x, y) => Number(isEstablished(y)) - Number(isEstablished(x)),
  );
  for (const crd of existing) {
    register(crd);
    queue.add(crd.metadata.name);
  }
  const unsubscribe = store.subscribe(storage, ({ type, object, previous }) => {
    if (type === 'DELETED') {
      const spec = objectOf(object.spec);
      registry.remove(stringOf(spec.group), stringOf(objectOf(spec.names).plural));
      store.clear(object.metadata.name);
      book.release(object);
      // Others may have been waiting for the names.
      for (const other of store.list(storage)) queue.add(other.metadata.name);
      return;
    }
    // Served from the moment the definition is stored: clients that wait for Established find it there.
    const isSame =
      equalJson(previous?.spec, object.spec) && isTerminating(previous) === isTerminating(object);
    if (!isSame) register(object);
    queue.add(object.metadata.name);
  });
  return {
    stop: async () => {
      unsubscribe();
      end.abort();
      await queue.idle();
    },
  };
}
