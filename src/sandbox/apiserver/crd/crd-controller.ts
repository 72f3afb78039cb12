import { WebhookClient } from '../admission/webhook/client.js';
import { systemUser } from '../auth/user.js';
import { ApiError } from '../http/api-error.js';
import { cloneJson, equalJson, type JsonObject, objectOf, objectsOf, stringOf, stringsOf } from '../json.js';
import { type KubeObject, timestamp } from '../object.js';
import type { Operations } from '../registry/operations.js';
import type { Logger } from '../../../telemetry/log.js';
import { resourcesOf } from './custom-resource.js';
import { WorkQueue } from '../work-queue.js';

const storage = 'customresourcedefinitions.apiextensions.k8s.io';
const cleanup = 'customresourcecleanup.apiextensions.k8s.io';
const options = { user: systemUser, manager: 'kube-apiserver' };

function storedVersionsOf(crd: KubeObject): string[] {
  const current = objectsOf(objectOf(crd.spec).versions).find((v) => v.storage === true);
  return [...new Set([...stringsOf(objectOf(crd.status).storedVersions), stringOf(current?.name)])].filter(
    (v) => v !== '',
  );
}

function statusOf(crd: KubeObject): JsonObject {
  const before = objectOf(crd.status);
  const known = objectsOf(before.conditions);
  const condition = (type: string, reason: string, message: string): JsonObject => {
    const same = known.find((c) => c.type === type && c.status === 'True');
    return same ?? { type, status: 'True', lastTransitionTime: timestamp(), reason, message };
  };
  const others = known.filter((c) => c.type !== 'NamesAccepted' && c.type !== 'Established');
  return {
    ...before,
    acceptedNames: objectOf(objectOf(crd.spec).names),
    conditions: [
      condition('NamesAccepted', 'NoConflicts', 'no conflicts found'),
      condition('Established', 'InitialNamesAccepted', 'the initial names have been accepted'),
      ...others,
    ],
    storedVersions: storedVersionsOf(crd),
  };
}

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
  const register = (crd: KubeObject): void => {
    const resources = resourcesOf(crd, client);
    const [first] = resources;
    if (first !== undefined) registry.remove(first.group, first.plural);
    for (const r of resources) registry.add(r);
  };
  const queue = new WorkQueue(
    async (name) => {
      const crd = store.get(storage, undefined, name);
      const resource = registry.findStorage(storage);
      if (crd === undefined || resource === undefined) return 'done';
      const target = { namespace: undefined, name };
      if (crd.metadata.deletionTimestamp === undefined) {
        const status = statusOf(crd);
        if (equalJson(crd.status, status)) return 'done';
        await operations.modify(
          resource,
          target,
          (o) => ({ ...cloneJson(o), status: cloneJson(statusOf(o)) }),
          {
            ...options,
            subresource: 'status',
          },
        );
        return 'done';
      }
      const custom = registry.findStorage(name);
      if (custom !== undefined) {
        for (const object of store.list(name)) {
          if (object.metadata.deletionTimestamp !== undefined) continue;
          await operations.delete(
            custom,
            { namespace: object.metadata.namespace, name: object.metadata.name },
            { propagationPolicy: 'Background' },
            options,
          );
        }
      }
      if (store.list(name).length > 0) return 'again';
      await operations.modify(
        resource,
        target,
        (o) => {
          const next = cloneJson(o);
          next.metadata.finalizers = (next.metadata.finalizers ?? []).filter((f) => f !== cleanup);
          return next;
        },
        options,
      );
      return 'done';
    },
    (name, error) => {
      if (!(error instanceof ApiError && error.code === 404)) {
        logger.warn('custom resource definition is not processed yet', { crd: name, error: String(error) });
      }
    },
  );
  for (const crd of store.list(storage)) {
    register(crd);
    queue.add(crd.metadata.name);
  }
  const unsubscribe = store.subscribe(storage, ({ type, object, previous }) => {
    if (type === 'DELETED') {
      const spec = objectOf(object.spec);
      registry.remove(stringOf(spec.group), stringOf(objectOf(spec.names).plural));
      store.clear(object.metadata.name);
      return;
    }
    // Served from the moment the definition is stored: clients that wait for Established find it there.
    if (previous === undefined || !equalJson(previous.spec, object.spec)) register(object);
    queue.add(object.metadata.name);
  });
  return {
    stop: async () => {
      unsubscribe();
      await queue.stop();
    },
  };
}
