import { keyOfObject } from '../cache/object-cache.js';
import { type HorizontalPodAutoscaler, horizontalPodAutoscalers } from '../objects.js';
import { deployments, replicaSets, statefulSets } from '../../../kube/resource.js';
import type { KubeObject } from '../../../kube/types.js';
import { withCondition } from './conditions.js';
import { type Controller, type ControllerDeps, type ControllerQueue, splitKey } from './controller.js';
import { writeStatus } from './status-writer.js';

const scalable = { Deployment: deployments, StatefulSet: statefulSets, ReplicaSet: replicaSets } as const;

type Scalable = KubeObject & { spec?: { replicas?: number }; status?: { replicas?: number } };

/**
 * Accepts HorizontalPodAutoscalers and says plainly that nothing is scaled: the
 * sandbox measures no pod's use of resources.
 */
export function podAutoscalerController(deps: ControllerDeps, queue: ControllerQueue): Controller {
  const autoscalers = deps.caches.of<HorizontalPodAutoscaler>(horizontalPodAutoscalers);
  autoscalers.onChange(({ object }) => queue.add(keyOfObject(object)));
  return {
    name: 'pod-autoscaler',
    keys: () => autoscalers.list().map(keyOfObject),
    reconcile: async (key) => {
      const { namespace, name } = splitKey(key);
      const autoscaler = autoscalers.get(namespace, name);
      if (autoscaler === undefined) return;
      const { kind, name: target } = autoscaler.spec.scaleTargetRef;
      const resource = kind in scalable ? scalable[kind as keyof typeof scalable] : undefined;
      const object =
        resource === undefined ? undefined : deps.caches.of<Scalable>(resource).get(namespace, target);
      const replicas = object?.status?.replicas ?? object?.spec?.replicas ?? 0;
      const nowMs = Date.now();
      const able =
        object === undefined
          ? { status: 'False' as const, reason: 'FailedGetScale', message: `${kind} ${target} not found` }
          : { status: 'True' as const, reason: 'SucceededGetScale', message: 'the target can be scaled' };
      let conditions = withCondition(
        autoscaler.status?.conditions,
        { type: 'AbleToScale', ...able },
        { nowMs },
      );
      conditions = withCondition(
        conditions,
        {
          type: 'ScalingActive',
          status: 'False',
          reason: 'FailedGetResourceMetric',
          message: 'this cluster serves no metrics API; the number of replicas is left alone',
        },
        { nowMs },
      );
      await writeStatus(deps.client, { resource: horizontalPodAutoscalers, cache: autoscalers }, autoscaler, {
        ...autoscaler.status,
        currentReplicas: replicas,
        desiredReplicas: replicas,
        conditions,
      });
    },
  };
}
