import { WorkQueue } from '#base/kube/work-queue.js';
import { isAlreadyExists, isNotFound } from '#base/kube/api-error.js';
import { messageOf } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { gatewayClasses } from '#base/kube/resource.js';
import type { GatewayClass } from '#base/kube/types.js';
import type { Logger } from '#base/telemetry/log.js';
import { untilAborted } from '#base/system/until.js';
import type { Collection } from '../graph/collection.js';
import type { Graph } from '../graph/graph.js';
import { statusKey } from '../model/inputs.js';
import type { DesiredStatus } from '../status/desired-status.js';
import { builtInClasses, isOurController, supportedFeatures } from './classes.js';

/** While the Gateway API is not installed, its absence is looked at this often, in milliseconds. */
const absentPollMs = 3_000;

/** What to say of Gateway classes: those of our controllers are accepted, and what they can do. */
export function createGatewayClassStatuses(
  graph: Graph,
  classes: Collection<GatewayClass>,
): Collection<DesiredStatus> {
  return graph.derive<GatewayClass, DesiredStatus>({
    name: 'gateway-class-statuses',
    from: classes,
    compute: ({ metadata, spec }) => {
      if (!isOurController(spec.controllerName)) return [];
      const accepted = {
        type: 'Accepted',
        status: 'True',
        reason: 'Accepted',
        message: 'Handled by the mesh controller',
        observedGeneration: metadata.generation,
      } as const;
      const value = {
        kind: 'gatewayClasses',
        namespace: '',
        name: metadata.name,
        conditions: [accepted],
        fields: { supportedFeatures: supportedFeatures(spec.controllerName) },
      } as const;
      return [{ key: statusKey('gatewayClasses', metadata.name), value }];
    },
  });
}

/**
 * Creates the built-in Gateway classes when they are absent, never changing one that exists. Any replica may do it:
 * creating is idempotent.
 */
export async function runGatewayClasses(
  deps: { readonly client: KubeClient; readonly classes: Collection<GatewayClass>; readonly log: Logger },
  signal: AbortSignal,
): Promise<void> {
  const queue = new WorkQueue({
    reconcile: (name) => createWhenAbsent(deps, name),
    onError: (name, error) => {
      // Absent kinds come with the Gateway API; the queue's back-off is the wait for it.
      if (!isNotFound(error))
        deps.log.warn('a GatewayClass could not be created', { name, error: messageOf(error) });
    },
    workersMax: 1,
    retryMinMs: 200,
  });
  const addAbsent = () => {
    for (const { name } of builtInClasses) if (deps.classes.get(name) === undefined) queue.add(name);
  };
  addAbsent();
  queue.start(signal);
  const timer = setInterval(addAbsent, absentPollMs);
  await untilAborted(signal);
  clearInterval(timer);
}

async function createWhenAbsent(
  { client, classes }: { readonly client: KubeClient; readonly classes: Collection<GatewayClass> },
  name: string,
): Promise<void> {
  const builtIn = builtInClasses.find((candidate) => candidate.name === name);
  if (builtIn === undefined || classes.get(name) !== undefined) return;
  try {
    await client.create<GatewayClass>(gatewayClasses, {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'GatewayClass',
      metadata: { name },
      spec: { controllerName: builtIn.controllerName, description: builtIn.description },
    });
  } catch (error) {
    // Another replica was faster; its watch event brings the class here.
    if (!isAlreadyExists(error)) throw error;
  }
}
