import { replicaSets, type Resource } from '#base/kube/resource.js';
import type { Condition, LabelSelector, Pod, ReplicaSet } from '#base/kube/types.js';
import { messageOf } from '#base/errors/mesh-error.js';
import { controllerOf, keyOfObject } from '../../cache/object-cache.js';
import { replicationControllers } from '../../objects.js';
import { withCondition, withoutCondition } from '../conditions.js';
import {
  type Controller,
  type ClusterControllerDeps,
  type ControllerQueue,
  splitKey,
} from '../controller.js';
import { PodControl, podFromTemplate } from '../pod-control.js';
import { compareForDeletion, isActive, isAvailable, isReady, nextAvailabilityMs } from '../pod-state.js';
import { reportAfter } from '../report-after.js';
import { writeStatus } from '../status-writer.js';

/** Pods created or deleted in one pass; the rest follows in the next. */
const burstMax = 500;

type Status = NonNullable<ReplicaSet['status']> & { conditions?: Condition[] };

/** Keeps as many pods of a template as a ReplicaSet asks for. */
export function replicaSetController(deps: ClusterControllerDeps, queue: ControllerQueue): Controller {
  return replicaController(deps, queue, {
    name: 'replicaset',
    resource: replicaSets,
    selectorOf: (set) => set.spec.selector,
  });
}

/** The same for core/v1 ReplicationControllers, the ReplicaSet's predecessor: only the form of the selector differs. */
export function replicationController(deps: ClusterControllerDeps, queue: ControllerQueue): Controller {
  return replicaController(deps, queue, {
    name: 'replication-controller',
    resource: replicationControllers,
    // Its selector is the bare map of labels.
    selectorOf: (set) => ({ matchLabels: set.spec.selector as Record<string, string> }),
  });
}

function replicaController(
  deps: ClusterControllerDeps,
  queue: ControllerQueue,
  o: {
    readonly name: string;
    readonly resource: Resource;
    readonly selectorOf: (set: ReplicaSet) => LabelSelector;
  },
): Controller {
  const sets = deps.caches.of<ReplicaSet>(o.resource);
  const control = new PodControl(deps);
  sets.onChange(({ object }) => queue.add(keyOfObject(object)));
  control.pods.onChange(({ object, old }) => {
    for (const pod of [object, old]) {
      if (pod === undefined) continue;
      const controller = controllerOf(pod);
      if (controller?.kind === o.resource.kind)
        queue.add(`${pod.metadata.namespace ?? ''}/${controller.name}`);
    }
    // An orphan may belong to any set of its namespace.
    if (controllerOf(object) === undefined) {
      for (const set of sets.inNamespace(object.metadata.namespace ?? '')) queue.add(keyOfObject(set));
    }
  });
  return {
    name: o.name,
    keys: () => sets.list().map(keyOfObject),
    reconcile: async (key) => {
      const { namespace, name } = splitKey(key);
      const set = sets.get(namespace, name);
      if (set === undefined) return;
      const pods = (await control.claim(set, o.selectorOf(set))).filter(isActive);
      const report = async (failure: unknown): Promise<void> => {
        const current = control.pods.ownedBy(set.metadata.uid).filter(isActive);
        const status = statusOf({ set, pods: current, failure });
        await writeStatus(deps.client, { resource: o.resource, cache: sets }, set, status);
        const wait = nextAvailabilityMs(current, set.spec.minReadySeconds ?? 0, Date.now());
        if (wait !== undefined) queue.addAfter(key, wait);
      };
      if (set.metadata.deletionTimestamp !== undefined) await report(undefined);
      else await reportAfter(() => adjust(control, set, pods), report);
    },
  };
}

async function adjust(control: PodControl, set: ReplicaSet, pods: readonly Pod[]): Promise<void> {
  const missing = (set.spec.replicas ?? 1) - pods.length;
  const { template } = set.spec;
  if (missing > 0 && template !== undefined) {
    const count = Math.min(missing, burstMax);
    const pod = podFromTemplate(template);
    const generateName = `${set.metadata.name}-`;
    await control.createMany(
      set,
      Array.from({ length: count }, () => ({ ...pod, metadata: { ...pod.metadata, generateName } })),
    );
  } else if (missing < 0) {
    await control.deleteMany(set, podsToDelete(pods, Math.min(-missing, burstMax)));
  }
}

/** The `count` pods whose loss matters least. */
export function podsToDelete(pods: readonly Pod[], count: number): readonly Pod[] {
  const crowds = new Map<string, number>();
  for (const pod of pods) {
    const node = pod.spec.nodeName ?? '';
    crowds.set(node, (crowds.get(node) ?? 0) + 1);
  }
  return pods
    .map((pod) => ({ pod, crowd: crowds.get(pod.spec.nodeName ?? '') ?? 0 }))
    .toSorted(compareForDeletion)
    .slice(0, count)
    .map(({ pod }) => pod);
}

function statusOf(o: {
  readonly set: ReplicaSet;
  readonly pods: readonly Pod[];
  readonly failure: unknown;
}): Status {
  const { set, pods } = o;
  const old: Status = set.status ?? {};
  const nowMs = Date.now();
  const templateLabels = Object.entries(set.spec.template?.metadata?.labels ?? {});
  const minReadySeconds = set.spec.minReadySeconds ?? 0;
  const conditions =
    o.failure === undefined
      ? withoutCondition(old.conditions, 'ReplicaFailure')
      : withCondition(
          old.conditions,
          { type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message: messageOf(o.failure) },
          { nowMs },
        );
  return {
    replicas: pods.length,
    fullyLabeledReplicas: pods.filter((pod) =>
      templateLabels.every(([k, v]) => pod.metadata.labels?.[k] === v),
    ).length,
    readyReplicas: pods.filter(isReady).length,
    availableReplicas: pods.filter((pod) => isAvailable(pod, minReadySeconds, nowMs)).length,
    ...(set.metadata.generation === undefined ? {} : { observedGeneration: set.metadata.generation }),
    ...(conditions.length === 0 ? {} : { conditions }),
  };
}
