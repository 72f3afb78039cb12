import { deployments, replicaSets, type Resource, statefulSets } from '../../../kube/resource.js';
import type { Condition, KubeObject } from '../../../kube/types.js';
import { keyOfObject } from '../cache/object-cache.js';
import {
  type HorizontalPodAutoscaler,
  horizontalPodAutoscalers,
  replicationControllers,
} from '../objects.js';
import { timestamp, withCondition } from './conditions.js';
import { type Controller, type ControllerDeps, type ControllerQueue, splitKey } from './controller.js';
import { writeStatus } from './status-writer.js';

const scalable: readonly Resource[] = [deployments, replicaSets, statefulSets, replicationControllers];

type Scalable = KubeObject & { spec?: { replicas?: number }; status?: { replicas?: number } };

/** What an autoscaler makes of its target without any metrics. */
export interface AutoscalerVerdict {
  /** Replicas to set; undefined leaves the target alone. */
  readonly desired: number | undefined;
  readonly reason: string;
  readonly active: Pick<Condition, 'status' | 'reason' | 'message'>;
}

/**
 * Keeps targets of HorizontalPodAutoscalers within their bounds, and says plainly
 * that nothing more is done: the sandbox measures no pod's use of resources.
 */
export function podAutoscalerController(deps: ControllerDeps, queue: ControllerQueue): Controller {
  const autoscalers = deps.caches.of<HorizontalPodAutoscaler>(horizontalPodAutoscalers);
  autoscalers.onChange(({ object }) => queue.add(keyOfObject(object)));
  for (const resource of scalable) {
    deps.caches.of<Scalable>(resource).onChange(({ object }) => {
      for (const each of autoscalers.inNamespace(object.metadata.namespace ?? '')) {
        const { kind, name } = each.spec.scaleTargetRef;
        if (kind === resource.kind && name === object.metadata.name) queue.add(keyOfObject(each));
      }
    });
  }
  return {
    name: 'pod-autoscaler',
    keys: () => autoscalers.list().map(keyOfObject),
    reconcile: async (key) => {
      const { namespace, name } = splitKey(key);
      const autoscaler = autoscalers.get(namespace, name);
      if (autoscaler === undefined) return;
      const { kind, name: targetName } = autoscaler.spec.scaleTargetRef;
      const resource = scalable.find((each) => each.kind === kind);
      const target =
        resource === undefined ? undefined : deps.caches.of<Scalable>(resource).get(namespace, targetName);
      const verdict = target === undefined ? undefined : judgeScale(autoscaler, target.spec?.replicas ?? 1);
      if (resource !== undefined && target !== undefined && verdict?.desired !== undefined)
        await scale(deps, { autoscaler, resource, target, verdict });
      const at = { resource: horizontalPodAutoscalers, cache: autoscalers };
      await writeStatus(deps.client, at, autoscaler, statusOf(autoscaler, target, verdict));
    },
  };
}

/** Bounds first; what lies between them only metrics could tell. */
export function judgeScale(autoscaler: HorizontalPodAutoscaler, replicas: number): AutoscalerVerdict {
  const { minReplicas = 1, maxReplicas } = autoscaler.spec;
  const ok = { status: 'True', reason: 'ValidMetricFound', message: 'the bounds alone decide' } as const;
  if (replicas === 0) {
    const message = 'scaling is disabled since the replica count of the target is zero';
    return {
      desired: undefined,
      reason: '',
      active: { status: 'False', reason: 'ScalingDisabled', message },
    };
  }
  if (replicas > maxReplicas)
    return { desired: maxReplicas, reason: 'Current number of replicas above Spec.MaxReplicas', active: ok };
  if (replicas < minReplicas)
    return { desired: minReplicas, reason: 'Current number of replicas below Spec.MinReplicas', active: ok };
  return {
    desired: undefined,
    reason: '',
    active: {
      status: 'False',
      reason: 'FailedGetResourceMetric',
      message: 'this cluster serves no metrics API (metrics.k8s.io); the number of replicas is left alone',
    },
  };
}

async function scale(
  deps: ControllerDeps,
  o: {
    readonly autoscaler: HorizontalPodAutoscaler;
    readonly resource: Resource;
    readonly target: Scalable;
    readonly verdict: AutoscalerVerdict;
  },
): Promise<void> {
  const { name, namespace } = o.target.metadata;
  const replicas = o.verdict.desired;
  await deps.client.patch(
    { resource: o.resource, name, namespace, subresource: 'scale' },
    { spec: { replicas } },
  );
  deps.events.record({
    about: o.autoscaler,
    type: 'Normal',
    reason: 'SuccessfulRescale',
    message: `New size: ${replicas ?? 0}; reason: ${o.verdict.reason}`,
  });
}

function statusOf(
  autoscaler: HorizontalPodAutoscaler,
  target: Scalable | undefined,
  verdict: AutoscalerVerdict | undefined,
): NonNullable<HorizontalPodAutoscaler['status']> {
  const { kind, name } = autoscaler.spec.scaleTargetRef;
  const nowMs = Date.now();
  const able =
    target === undefined
      ? { status: 'False' as const, reason: 'FailedGetScale', message: `${kind} ${name} not found` }
      : { status: 'True' as const, reason: 'SucceededGetScale', message: 'the target can be scaled' };
  let conditions = withCondition(autoscaler.status?.conditions, { type: 'AbleToScale', ...able }, { nowMs });
  if (verdict !== undefined)
    conditions = withCondition(conditions, { type: 'ScalingActive', ...verdict.active }, { nowMs });
  const current = target?.status?.replicas ?? 0;
  return {
    ...autoscaler.status,
    ...(verdict?.desired === undefined ? {} : { lastScaleTime: timestamp(nowMs) }),
    currentReplicas: current,
    desiredReplicas: verdict?.desired ?? target?.spec?.replicas ?? 0,
    conditions,
  };
}
