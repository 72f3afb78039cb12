import { statefulSets } from '../../../../kube/resource.js';
import { isAlreadyExists } from '../../../../kube/api-error.js';
import type { Pod } from '../../../../kube/types.js';
import { controllerOf, keyOfObject, type ObjectCache } from '../../cache/object-cache.js';
import { type PersistentVolumeClaim, persistentVolumeClaims, type StatefulSet } from '../../objects.js';
import { type Controller, type ControllerDeps, type ControllerQueue, splitKey } from '../controller.js';
import { type NewPod, PodControl, podFromTemplate } from '../pod-control.js';
import { isAvailable, isReady, nextAvailabilityMs } from '../pod-state.js';
import { ordinalOf, partitionOf, statefulPlan } from './stateful-rollout.js';
import { writeStatus } from '../status-writer.js';
import { hashOf } from '../template-hash.js';

const hashLabel = 'controller-revision-hash';

interface Context {
  readonly deps: ControllerDeps;
  readonly sets: ObjectCache<StatefulSet>;
  readonly claims: ObjectCache<PersistentVolumeClaim>;
  readonly control: PodControl;
}

/** Keeps numbered pods with stable names, in order. Volume claims are created and accepted, but nothing provisions them. */
export function statefulSetController(deps: ControllerDeps, queue: ControllerQueue): Controller {
  const context: Context = {
    deps,
    sets: deps.caches.of<StatefulSet>(statefulSets),
    claims: deps.caches.of<PersistentVolumeClaim>(persistentVolumeClaims),
    control: new PodControl(deps),
  };
  context.sets.onChange(({ object }) => queue.add(keyOfObject(object)));
  context.control.pods.onChange(({ object }) => {
    const owner = controllerOf(object);
    if (owner?.kind === 'StatefulSet') queue.add(`${object.metadata.namespace ?? ''}/${owner.name}`);
  });
  return {
    name: 'statefulset',
    keys: () => context.sets.list().map(keyOfObject),
    reconcile: async (key) => {
      const { namespace, name } = splitKey(key);
      const set = context.sets.get(namespace, name);
      if (set === undefined) return;
      const update = `${name}-${hashOf(set.spec.template)}`;
      if (set.metadata.deletionTimestamp === undefined) {
        const pods = await context.control.claim(set, set.spec.selector);
        const isUpdated = (pod: Pod): boolean => pod.metadata.labels?.[hashLabel] === update;
        const plan = statefulPlan({ set, pods, isUpdated, nowMs: Date.now() });
        for (const ordinal of plan.toCreate) {
          await createClaims(context, set, ordinal);
          await context.control.create(set, podFor({ set, ordinal, revision: update }));
        }
        await context.control.deleteMany(set, plan.toDelete);
      }
      const pods = context.control.pods
        .ownedBy(set.metadata.uid)
        .filter((pod) => ordinalOf(set, pod) !== undefined);
      await writeStatus(
        deps.client,
        { resource: statefulSets, cache: context.sets },
        set,
        statusOf({ set, pods, update, nowMs: Date.now() }),
      );
      const wait = nextAvailabilityMs(pods, set.spec.minReadySeconds ?? 0, Date.now());
      if (wait !== undefined) queue.addAfter(key, wait);
    },
  };
}

function podFor(o: {
  readonly set: StatefulSet;
  readonly ordinal: number;
  readonly revision: string;
}): NewPod {
  const { set, ordinal } = o;
  const pod = podFromTemplate(set.spec.template);
  const name = `${set.metadata.name}-${ordinal}`;
  const claimed = (set.spec.volumeClaimTemplates ?? []).map((template) => template.metadata.name ?? '');
  const volumes = (pod.spec.volumes ?? []).filter((volume) => !claimed.includes(volume.name));
  for (const claim of claimed) {
    volumes.push({ name: claim, persistentVolumeClaim: { claimName: `${claim}-${name}` } });
  }
  return {
    metadata: {
      ...pod.metadata,
      name,
      labels: {
        ...pod.metadata.labels,
        [hashLabel]: o.revision,
        'statefulset.kubernetes.io/pod-name': name,
        'apps.kubernetes.io/pod-index': String(ordinal),
      },
    },
    spec: {
      ...pod.spec,
      hostname: name,
      ...(set.spec.serviceName === undefined || set.spec.serviceName === ''
        ? {}
        : { subdomain: set.spec.serviceName }),
      ...(volumes.length === 0 ? {} : { volumes }),
    },
  };
}

async function createClaims(context: Context, set: StatefulSet, ordinal: number): Promise<void> {
  const namespace = set.metadata.namespace ?? '';
  for (const template of set.spec.volumeClaimTemplates ?? []) {
    const name = `${template.metadata.name ?? ''}-${set.metadata.name}-${ordinal}`;
    if (context.claims.get(namespace, name) !== undefined) continue;
    const labels = { ...template.metadata.labels, ...set.spec.selector.matchLabels };
    try {
      const created = await context.deps.client.create<PersistentVolumeClaim>(
        persistentVolumeClaims,
        {
          apiVersion: 'v1',
          kind: 'PersistentVolumeClaim',
          metadata: { name, namespace, labels, annotations: { ...template.metadata.annotations } },
          spec: template.spec,
        },
        { namespace },
      );
      context.claims.remember(created);
    } catch (error) {
      // Claims outlive the set on purpose: data of an earlier life is used again.
      if (!isAlreadyExists(error)) throw error;
    }
  }
}

function statusOf(o: {
  readonly set: StatefulSet;
  readonly pods: readonly Pod[];
  readonly update: string;
  readonly nowMs: number;
}): NonNullable<StatefulSet['status']> {
  const { set, update } = o;
  const minReady = set.spec.minReadySeconds ?? 0;
  const living = o.pods.filter((pod) => pod.metadata.deletionTimestamp === undefined);
  const updated = living.filter((pod) => pod.metadata.labels?.[hashLabel] === update);
  const replicas = set.spec.replicas ?? 1;
  const isDone = updated.length === living.length && living.length === replicas && updated.every(isReady);
  const before = set.status?.currentRevision;
  // The revision that is being left stays "current" until every pod has the new one.
  const current = before === undefined || (isDone && partitionOf(set) === 0) ? update : before;
  return {
    ...(set.metadata.generation === undefined ? {} : { observedGeneration: set.metadata.generation }),
    replicas: o.pods.length,
    readyReplicas: living.filter(isReady).length,
    availableReplicas: living.filter((pod) => isAvailable(pod, minReady, o.nowMs)).length,
    currentReplicas: living.filter((pod) => pod.metadata.labels?.[hashLabel] === current).length,
    updatedReplicas: updated.length,
    currentRevision: current,
    updateRevision: update,
    collisionCount: 0,
  };
}
