import { WorkQueue } from '#base/kube/work-queue.js';
import type { Logger } from '#base/telemetry/log.js';
import { systemUser } from '../user.js';
import { ApiError } from '../api-error.js';
import { checkAvailability } from '../aggregation/availability.js';
import {
  apiServiceStorage,
  type RemoteApi,
  remoteApiOf,
  type RemoteApis,
} from '../aggregation/remote-apis.js';
import type { RemoteDiscovery } from '../aggregation/remote-discovery.js';
import { cloneJson, type JsonObject, objectOf, objectsOf } from '../../base/json.js';
import { availableCondition, localCondition } from '../kinds/machinery/api-service.js';
import type { ApiObject } from '../object.js';
import type { Operations } from '../registry/operations.js';
import type { ServedResource } from '../registry/resource.js';
import { groupPriorityOf } from './priorities.js';

const managedLabel = 'kube-aggregator.kubernetes.io/automanaged';
const options = { user: systemUser, manager: 'kube-apiserver' };
const crdStorage = 'customresourcedefinitions.apiextensions.k8s.io';

/** The object that says that this server answers for a group version. */
function serviceFor(resource: ServedResource): JsonObject {
  const { group, version, isCustom } = resource;
  const [groupPriorityMinimum, own] = groupPriorityOf(group);
  const versionPriority = group === 'autoscaling' && version === 'v2' ? 30 : own;
  return {
    apiVersion: 'apiregistration.k8s.io/v1',
    kind: 'APIService',
    metadata: {
      name: `${version}.${group}`,
      labels: { [managedLabel]: isCustom ? 'true' : 'onstart' },
    },
    spec: {
      ...(group === '' ? {} : { group }),
      version,
      groupPriorityMinimum,
      versionPriority,
    },
  };
}

/** How often servers that answer for group versions are looked at when nothing happens. */
const checkIntervalMs = 30_000;

/** What changes whether another server can be reached. */
const reachStorages = ['services', 'endpoints'];

/**
 * Keeps an APIService for every group version that is served here, and says of
 * those that point to another server whether it can be reached.
 */
export function startApiServiceController({
  operations,
  remotes,
  discovery,
  logger,
}: {
  operations: Operations;
  remotes: RemoteApis;
  discovery: RemoteDiscovery;
  logger: Logger;
}): { stop(): Promise<void> } {
  const { store, registry } = operations;
  const services = registry.findStorage(apiServiceStorage);
  const served = (): Map<string, ServedResource> =>
    new Map(registry.all().map((r) => [`${r.version}.${r.group}`, r]));

  async function writeCondition(current: ApiObject, condition: JsonObject): Promise<void> {
    if (services === undefined || hasCondition(current, condition)) return;
    await operations.modify(
      services,
      { namespace: undefined, name: current.metadata.name },
      (o) => withCondition(o, condition),
      { ...options, subresource: 'status' },
    );
  }

  async function settle(name: string, resource: ServedResource): Promise<void> {
    const wanted = served().get(name);
    const current = store.get(apiServiceStorage, undefined, name);
    if (current === undefined) {
      discovery.forget(name);
      // Written out in full above.
      if (wanted !== undefined)
        await operations.create(resource, undefined, serviceFor(wanted) as ApiObject, options);
      return;
    }
    const isManaged = current.metadata.labels?.[managedLabel] !== undefined;
    if (wanted === undefined && isManaged) {
      await operations.delete(resource, { namespace: undefined, name }, {}, options);
      return;
    }
    if (remoteApiOf(current) === undefined) await writeCondition(current, localCondition());
    else checks.add(name);
  }

  /** Looks at the server behind an APIService; asks for another look while it is out of reach. */
  async function check(name: string): Promise<'done' | 'again'> {
    const current = store.get(apiServiceStorage, undefined, name);
    const remote = current === undefined ? undefined : remoteApiOf(current);
    if (current === undefined || remote === undefined) return 'done';
    const found = await checkAvailability(remote, store, remotes);
    if (found.resources !== undefined) discovery.remember(name, found.resources);
    await writeCondition(current, availableCondition(found));
    // What is missing here will be announced; a server that does not answer is not.
    return found.reason === 'FailedDiscoveryCheck' ? 'again' : 'done';
  }

  const warn = (name: string, error: unknown): void => {
    if (!(error instanceof ApiError && error.code === 404))
      logger.warn('APIService is not up to date yet', { name, error: String(error) });
  };
  const end = new AbortController();
  const started = (reconcile: (name: string) => Promise<unknown>): WorkQueue => {
    const queue = new WorkQueue({
      // Callers are in the middle of a commit.
      reconcile: (name) => Promise.resolve().then(() => reconcile(name)),
      onError: warn,
      workersMax: 1,
      retryMaxMs: 5_000,
    });
    queue.start(end.signal);
    return queue;
  };
  const queue = started(async (name) => {
    if (services !== undefined) await settle(name, services);
  });
  // Servers may take their time to answer: what is answered here does not wait for them.
  const checks = started(check);
  const enqueueAll = (): void => {
    const names = new Set([...served().keys(), ...store.list(apiServiceStorage).map((o) => o.metadata.name)]);
    for (const name of names) queue.add(name);
  };
  enqueueAll();
  const checkAll = (isConcerned: (remote: RemoteApi) => boolean): void => {
    for (const remote of remotes.all()) if (isConcerned(remote)) checks.add(remote.name);
  };
  const timer = setInterval(() => checkAll(() => true), checkIntervalMs);
  const stops = [
    store.subscribe(apiServiceStorage, ({ object }) => queue.add(object.metadata.name)),
    store.subscribe(crdStorage, enqueueAll),
    ...reachStorages.map((storage) =>
      store.subscribe(storage, ({ object: { metadata } }) =>
        checkAll(({ service: s }) => s.name === metadata.name && s.namespace === metadata.namespace),
      ),
    ),
  ];
  return {
    stop: async () => {
      clearInterval(timer);
      for (const stop of stops) stop();
      end.abort();
      await Promise.all([queue.idle(), checks.idle()]);
    },
  };
}

function conditionsOf(object: ApiObject): JsonObject[] {
  return objectsOf(objectOf(object.status).conditions);
}

function hasCondition(object: ApiObject, wanted: JsonObject): boolean {
  return conditionsOf(object).some(
    (c) =>
      c.type === wanted.type &&
      c.status === wanted.status &&
      c.reason === wanted.reason &&
      c.message === wanted.message,
  );
}

/** A copy with the condition in the place of the one of its type. */
function withCondition(object: ApiObject, condition: JsonObject): ApiObject {
  const draft = cloneJson(object);
  const conditions = conditionsOf(draft);
  const at = conditions.findIndex((c) => c.type === condition.type);
  const before = conditions[at];
  const isSameStatus = before?.status === condition.status;
  const next = isSameStatus ? { ...condition, lastTransitionTime: before?.lastTransitionTime } : condition;
  draft.status = {
    ...objectOf(draft.status),
    conditions: at < 0 ? [...conditions, next] : conditions.with(at, next),
  };
  return draft;
}
