import type { Logger } from '../../../telemetry/log.js';
import { systemUser } from '../auth/user.js';
import { ApiError } from '../http/api-error.js';
import { cloneJson, isObject, type JsonObject, objectOf, objectsOf } from '../json.js';
import { localCondition, remoteCondition } from '../kinds/machinery/api-service.js';
import type { KubeObject } from '../object.js';
import type { Operations } from '../registry/operations.js';
import type { Resource } from '../registry/resource.js';
import { WorkQueue } from '../work-queue.js';

const storage = 'apiservices.apiregistration.k8s.io';
const managedLabel = 'kube-aggregator.kubernetes.io/automanaged';
const options = { user: systemUser, manager: 'kube-apiserver' };
const crdStorage = 'customresourcedefinitions.apiextensions.k8s.io';

/** How early discovery lists a group, and its versions: [group, version]. Custom resources come after all of these. */
const priorities: Readonly<Record<string, readonly [number, number]>> = {
  '': [18_000, 1],
  apps: [17_800, 15],
  'events.k8s.io': [17_750, 15],
  'authentication.k8s.io': [17_700, 15],
  'authorization.k8s.io': [17_600, 15],
  autoscaling: [17_500, 15],
  batch: [17_400, 15],
  'certificates.k8s.io': [17_300, 15],
  'networking.k8s.io': [17_200, 15],
  policy: [17_100, 15],
  'rbac.authorization.k8s.io': [17_000, 15],
  'storage.k8s.io': [16_800, 15],
  'admissionregistration.k8s.io': [16_700, 15],
  'apiextensions.k8s.io': [16_700, 15],
  'scheduling.k8s.io': [16_600, 15],
  'coordination.k8s.io': [16_500, 15],
  'node.k8s.io': [16_300, 15],
  'discovery.k8s.io': [16_200, 15],
  'flowcontrol.apiserver.k8s.io': [16_100, 21],
};
const customPriority = [1000, 100] as const;

/** The object that says that this server answers for a group version. */
function serviceFor(resource: Resource): JsonObject {
  const { group, version, isCustom } = resource;
  const [groupPriorityMinimum, own] = isCustom ? customPriority : (priorities[group] ?? customPriority);
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

/**
 * Keeps an APIService for every group version that is served here, and says of
 * those that point to another server why they are not.
 */
export function startApiServiceController({
  operations,
  logger,
}: {
  operations: Operations;
  logger: Logger;
}): { stop(): Promise<void> } {
  const { store, registry } = operations;
  const services = registry.findStorage(storage);
  const served = (): Map<string, Resource> =>
    new Map(registry.all().map((r) => [`${r.version}.${r.group}`, r]));

  async function settle(name: string, resource: Resource): Promise<void> {
    const wanted = served().get(name);
    const current = store.get(storage, undefined, name);
    if (current === undefined) {
      // Written out in full above.
      if (wanted !== undefined)
        await operations.create(resource, undefined, serviceFor(wanted) as KubeObject, options);
      return;
    }
    const isManaged = current.metadata.labels?.[managedLabel] !== undefined;
    if (wanted === undefined && isManaged) {
      await operations.delete(resource, { namespace: undefined, name }, {}, options);
      return;
    }
    const isRemote = isObject(objectOf(current.spec).service);
    const condition = isRemote ? remoteCondition() : localCondition();
    const known = objectsOf(objectOf(current.status).conditions);
    if (known.some((c) => c.type === condition.type && c.reason === condition.reason)) return;
    await operations.modify(
      resource,
      { namespace: undefined, name },
      (o) => ({ ...cloneJson(o), status: { conditions: [condition] } }),
      { ...options, subresource: 'status' },
    );
  }

  const queue = new WorkQueue(
    async (name) => {
      if (services !== undefined) await settle(name, services);
      return 'done';
    },
    (name, error) => {
      if (!(error instanceof ApiError && error.code === 404))
        logger.warn('APIService is not up to date yet', { name, error: String(error) });
    },
  );
  const enqueueAll = (): void => {
    const names = new Set([...served().keys(), ...store.list(storage).map((o) => o.metadata.name)]);
    for (const name of names) queue.add(name);
  };
  enqueueAll();
  const stops = [
    store.subscribe(storage, ({ object }) => queue.add(object.metadata.name)),
    store.subscribe(crdStorage, enqueueAll),
  ];
  return {
    stop: async () => {
      for (const stop of stops) stop();
      await queue.stop();
    },
  };
}
