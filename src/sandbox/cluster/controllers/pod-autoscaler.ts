import { messageOf } from '#base/errors/mesh-error.js';
import {
  deployments,
  groupVersionOf,
  replicaSets,
  type Resource,
  statefulSets,
} from '#base/kube/resource.js';
import type { Condition, KubeObject } from '#base/kube/types.js';
import { keyOfObject } from '../cache/object-cache.js';
import {
  type HorizontalPodAutoscaler,
  horizontalPodAutoscalers,
  replicationControllers,
} from '../objects.js';
import { withCondition } from './conditions.js';
import { timestamp } from '../../base/timestamp.js';
import { type Controller, type ClusterControllerDeps, type ControllerQueue, splitKey } from './controller.js';
import { findScale, qualifiedResourceName, type ScaleOfObject } from './scale-subresource.js';
import { reportAfter } from './report-after.js';
import { writeStatus } from './status-writer.js';

const scalable: readonly Resource[] = [deployments, replicaSets, statefulSets, replicationControllers];

/** Other kinds are asked for their scale this often, as nothing tells when it changes. */
const askAgainMs = 15_000;

type Scalable = KubeObject & { spec?: { replicas?: number }; status?: { replicas?: number } };
type Target = Pick<ScaleOfObject, 'resource' | 'replicas' | 'currentReplicas'>;

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
export function podAutoscalerController(deps: ClusterControllerDeps, queue: ControllerQueue): Controller {
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
      if (builtinOf(autoscaler) === undefined) queue.addAfter(key, askAgainMs);
      const found = await targetOf(deps, autoscaler).catch((error: unknown) => messageOf(error));
      const target = typeof found === 'string' ? undefined : found;
      const verdict = target === undefined ? undefined : judgeScale(autoscaler, target.replicas);
      const at = { resource: horizontalPodAutoscalers, cache: autoscalers };
      await reportAfter(
        async () => {
          if (target !== undefined && verdict?.desired !== undefined)
            await scale(deps, { autoscaler, target, verdict });
        },
        (failure) =>
          writeStatus(deps.client, at, autoscaler, statusOf({ autoscaler, found, verdict, failure })),
      );
    },
  };
}

/** The resource of a target whose objects are watched. */
function builtinOf({ spec }: HorizontalPodAutoscaler): Resource | undefined {
  const { apiVersion = '', kind } = spec.scaleTargetRef;
  return scalable.find((each) => each.kind === kind && each.group === groupVersionOf(apiVersion).group);
}

/** What is to be scaled. Throws when that is not there or has no scale. */
async function targetOf(deps: ClusterControllerDeps, autoscaler: HorizontalPodAutoscaler): Promise<Target> {
  const { apiVersion = '', kind, name } = autoscaler.spec.scaleTargetRef;
  const namespace = autoscaler.metadata.namespace ?? '';
  const resource = builtinOf(autoscaler);
  if (resource === undefined) {
    const found = await findScale(deps.client, { apiVersion, kind, name, namespace });
    if (found === undefined) throw new Error(`${kind} "${name}" not found`);
    return found;
  }
  const object = deps.caches.of<Scalable>(resource).get(namespace, name);
  if (object === undefined) throw new Error(`${qualifiedResourceName(resource)} "${name}" not found`);
  const { spec, status } = object;
  return { resource, replicas: spec?.replicas ?? 1, currentReplicas: status?.replicas ?? 0 };
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
  deps: ClusterControllerDeps,
  o: {
    readonly autoscaler: HorizontalPodAutoscaler;
    readonly target: Target;
    readonly verdict: AutoscalerVerdict;
  },
): Promise<void> {
  const { name } = o.autoscaler.spec.scaleTargetRef;
  const { namespace } = o.autoscaler.metadata;
  const replicas = o.verdict.desired;
  const message = `New size: ${replicas ?? 0}; reason: ${o.verdict.reason}`;
  const note = (type: 'Normal' | 'Warning', reason: string, text: string): void =>
    deps.events.record({ about: o.autoscaler, type, reason, message: text });
  try {
    await deps.client.patch(
      { resource: o.target.resource, name, namespace, subresource: 'scale' },
      { spec: { replicas } },
    );
  } catch (error) {
    note('Warning', 'FailedRescale', `${message}; error: ${messageOf(error)}`);
    throw error;
  }
  note('Normal', 'SuccessfulRescale', message);
}

function statusOf(o: {
  readonly autoscaler: HorizontalPodAutoscaler;
  readonly found: Target | string;
  readonly verdict: AutoscalerVerdict | undefined;
  readonly failure: unknown;
}): NonNullable<HorizontalPodAutoscaler['status']> {
  const { autoscaler, found, verdict, failure } = o;
  const nowMs = Date.now();
  const target = typeof found === 'string' ? undefined : found;
  const isScaled = verdict?.desired !== undefined && failure === undefined;
  const able = abilityOf(found, failure);
  let conditions = withCondition(autoscaler.status?.conditions, { type: 'AbleToScale', ...able }, { nowMs });
  if (verdict !== undefined)
    conditions = withCondition(conditions, { type: 'ScalingActive', ...verdict.active }, { nowMs });
  return {
    ...autoscaler.status,
    ...(isScaled ? { lastScaleTime: timestamp(nowMs) } : {}),
    currentReplicas: target?.currentReplicas ?? 0,
    desiredReplicas: verdict?.desired ?? target?.replicas ?? 0,
    conditions,
  };
}

function abilityOf(
  found: Target | string,
  failure: unknown,
): { readonly status: 'True' | 'False'; readonly reason: string; readonly message: string } {
  const unable = (reason: string, what: string) =>
    ({ status: 'False', reason, message: `the HPA controller was unable to ${what}` }) as const;
  if (typeof found === 'string') return unable('FailedGetScale', `get the target's current scale: ${found}`);
  if (failure !== undefined)
    return unable('FailedUpdateScale', `update the target scale: ${messageOf(failure)}`);
  const message = "the HPA controller was able to get the target's current scale";
  return { status: 'True', reason: 'SucceededGetScale', message };
}
