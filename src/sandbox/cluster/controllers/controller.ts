import { setTimeout as delay } from 'node:timers/promises';
import { WorkQueue } from '#base/kube/work-queue.js';
import { isConflict, isNotFound, KubeApiError } from '#base/kube/api-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { createLogger, type Logger } from '#base/telemetry/log.js';
import { messageOf } from '#base/errors/mesh-error.js';
import type { ClusterCaches } from '../cache/cluster-caches.js';
import type { EventRecorder } from '../../base/event-recorder.js';

/** What every controller is given. */
export interface ClusterControllerDeps {
  readonly client: KubeClient;
  readonly caches: ClusterCaches;
  readonly events: EventRecorder;
  readonly signal: AbortSignal;
}

/** One control loop: which keys to work on, and what to do for one. */
export interface Controller {
  readonly name: string;
  /** Brings the object `namespace/name` to its desired state. Throwing means: again, later. */
  reconcile(key: string): Promise<void>;
  /** Every key there is, for the periodic pass that covers missed events. */
  keys(): Iterable<string>;
}

/** Keys worked on at once by one controller. */
const workersMax = 8;
/** Every key is looked at again this often, whatever was missed. */
const resyncMs = 60_000;

/** The queue a controller feeds from its caches' changes. */
export interface ControllerQueue {
  add(key: string): void;
  addAfter(key: string, ms: number): void;
}

/**
 * Runs a controller until the signal ends: `make` subscribes it to its caches
 * and hands back the loop; work begins when all caches have their first list.
 */
export function startController(
  deps: ClusterControllerDeps,
  make: (deps: ClusterControllerDeps, queue: ControllerQueue) => Controller,
  o: { readonly workersMax?: number } = {},
): void {
  let reconcile: (key: string) => Promise<void> = () => Promise.resolve();
  let log: Logger = createLogger('cluster');
  const queue = new WorkQueue({
    reconcile: (key) => reconcile(key),
    workersMax: o.workersMax ?? workersMax,
    onError: (key, error, attempt) => {
      // Someone else changed the object first, or it is going away: nothing to report.
      const answers = [error, error instanceof Error ? error.cause : undefined];
      if (answers.some((each) => isConflict(each) || isNotFound(each) || isTerminatingNamespace(each)))
        return;
      const fields = { key, attempt, error: messageOf(error) };
      // A first failure is mostly a race that the next attempt settles.
      if (attempt > 2) log.warn('reconcile failed', fields);
      else log.debug('reconcile failed', fields);
    },
  });
  const controller = make(deps, queue);
  log = createLogger(`cluster::${controller.name}`);
  reconcile = (key) => controller.reconcile(key);
  void run(deps, controller, queue);
}

async function run(deps: ClusterControllerDeps, controller: Controller, queue: WorkQueue): Promise<void> {
  await deps.caches.synced();
  if (deps.signal.aborted) return;
  for (const key of controller.keys()) queue.add(key);
  queue.start(deps.signal);
  while (!deps.signal.aborted) {
    await delay(resyncMs, undefined, { signal: deps.signal, ref: false }).catch(() => undefined);
    if (deps.signal.aborted) return;
    for (const key of controller.keys()) queue.add(key);
  }
}

/** Splits `namespace/name`. */
export function splitKey(key: string): { readonly namespace: string; readonly name: string } {
  const slash = key.indexOf('/');
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

/** True when a create was refused because its namespace is being deleted. */
export function isTerminatingNamespace(error: unknown): boolean {
  return (
    error instanceof KubeApiError &&
    error.status === 403 &&
    /being terminated|is terminating/i.test(error.message)
  );
}
