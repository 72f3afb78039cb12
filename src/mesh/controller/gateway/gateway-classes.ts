import { isAlreadyExists, isNotFound } from '#base/kube/api-error.js';
import { messageOf } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import type { Reflector } from '#base/kube/reflector.js';
import { gatewayClasses } from '#base/kube/resource.js';
import type { GatewayClass } from '#base/kube/types.js';
import type { Logger } from '#base/telemetry/log.js';
import { hasConditions, withTransitionTimes, type WantedCondition } from '../status/conditions.js';
import { untilAborted } from '#base/system/until.js';
import { WorkQueue } from '../work-queue.js';
import { builtInClasses, isOurController } from './classes.js';

/** While the Gateway API is not installed, its absence is looked at this often, in milliseconds. */
const absentPollMs = 3_000;

/**
 * Creates the built-in Gateway classes when they are absent, never changing one that exists, and
 * accepts every class of our controllers. Any replica may do it: creating is idempotent.
 */
export async function runGatewayClasses(
  deps: { readonly client: KubeClient; readonly classes: Reflector<GatewayClass>; readonly log: Logger },
  signal: AbortSignal,
): Promise<void> {
  const queue = new WorkQueue({
    reconcile: (name) => reconcile(deps.client, deps.classes.get(undefined, name), name),
    onError: (name, error) => {
      // Absent kinds come with the Gateway API; the queue's back-off is the wait for it.
      if (!isNotFound(error))
        deps.log.warn('a GatewayClass could not be reconciled', { name, error: messageOf(error) });
    },
    concurrency: 1,
  });
  const stop = deps.classes.onChange(({ object }) => queue.add(object.metadata.name));
  for (const { name } of builtInClasses) queue.add(name);
  for (const { metadata } of deps.classes.list()) queue.add(metadata.name);
  queue.start(signal);
  const timer = setInterval(() => {
    for (const { name } of builtInClasses)
      if (deps.classes.get(undefined, name) === undefined) queue.add(name);
  }, absentPollMs);
  await untilAborted(signal);
  clearInterval(timer);
  stop();
}

async function reconcile(
  client: KubeClient,
  existing: GatewayClass | undefined,
  name: string,
): Promise<void> {
  const builtIn = builtInClasses.find((candidate) => candidate.name === name);
  let current = existing;
  if (current === undefined) {
    if (builtIn === undefined) return;
    try {
      current = await client.create<GatewayClass>(gatewayClasses, {
        apiVersion: 'gateway.networking.k8s.io/v1',
        kind: 'GatewayClass',
        metadata: { name },
        spec: { controllerName: builtIn.controllerName, description: builtIn.description },
      });
    } catch (error) {
      // Another replica was faster; its watch event brings the class here.
      if (isAlreadyExists(error)) return;
      throw error;
    }
  }
  if (isOurController(current.spec.controllerName)) await accept(client, current);
}

async function accept(client: KubeClient, current: GatewayClass): Promise<void> {
  const wanted: WantedCondition[] = [
    {
      type: 'Accepted',
      status: 'True',
      reason: 'Accepted',
      message: 'Handled by the mesh controller',
      observedGeneration: current.metadata.generation,
    },
  ];
  if (hasConditions(current.status?.conditions, wanted, ['Accepted'])) return;
  const others = (current.status?.conditions ?? []).filter(({ type }) => type !== 'Accepted');
  const conditions = [...others, ...withTransitionTimes(wanted, current.status?.conditions, new Date())];
  await client.patch<GatewayClass>(
    { resource: gatewayClasses, name: current.metadata.name, subresource: 'status' },
    { status: { conditions } },
    'merge',
  );
}
