import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { WorkQueue } from '#base/kube/work-queue.js';
import { isConflict, isNotFound } from '#base/kube/api-error.js';
import { messageOf } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import type { KubeObject } from '#base/kube/types.js';
import type { Logger } from '#base/telemetry/log.js';
import { untilAborted } from '#base/system/until.js';
import type { Collection } from '../graph/collection.js';
import type { Graph } from '../graph/graph.js';
import { kinds, type StatusLease } from '../model/kinds.js';
import { type StatusChange, withTimes } from './desired-status.js';

/** Statuses written at a time. */
const concurrency = 4;
/** Writes in a second, and how many may come at once after a pause: a policy for a whole mesh must not flood the API. */
const writesPerSecond = 50;
const burst = 100;

export interface StatusWriterDeps {
  readonly client: KubeClient;
  readonly graph: Graph;
  /** Everything that is to be written now. */
  readonly changes: Collection<StatusChange>;
  readonly log: Logger;
}

/**
 * Writes what objects' statuses lack, nothing else: a status that says already what is wanted is not touched. Only
 * kinds whose lease this replica holds are written; a write that meets another's is made anew from what that left.
 */
export class StatusWriter {
  readonly #deps: StatusWriterDeps;
  readonly #queues = new Map<StatusLease, WorkQueue>();
  readonly #rate = new WriteRate();
  /** What the API server did not keep when it was written: written again it would be dropped again, for ever. */
  readonly #unkept = new Map<string, string>();

  constructor(deps: StatusWriterDeps) {
    this.#deps = deps;
    deps.graph.onFlush(deps.changes, (keys) => {
      for (const key of keys) this.#enqueue(key);
    });
  }

  /** Writes the statuses of the lease's kinds; ends with the signal. */
  async lead(lease: StatusLease, signal: AbortSignal): Promise<void> {
    const queue = new WorkQueue({
      reconcile: (key, workSignal) => this.#write(key, workSignal),
      onError: (key, error) => {
        // A conflict only means that our copy is behind; the retry works on the newer one.
        const level = isConflict(error) ? 'debug' : 'warn';
        this.#deps.log[level]('a status could not be written, retrying', {
          object: key,
          error: messageOf(error),
        });
      },
      workersMax: concurrency,
      retryMinMs: 200,
    });
    this.#queues.set(lease, queue);
    for (const key of this.#deps.changes.keys()) this.#enqueue(key);
    queue.start(signal);
    await untilAborted(signal);
    this.#queues.delete(lease);
  }

  #enqueue(key: string): void {
    const change = this.#deps.changes.get(key);
    const lease = change === undefined ? undefined : kinds[change.kind].status?.lease;
    if (lease !== undefined) this.#queues.get(lease)?.add(key);
  }

  async #write(key: string, signal: AbortSignal): Promise<void> {
    await this.#rate.take(signal);
    const change = this.#deps.changes.get(key);
    if (change === undefined || signal.aborted) return;
    const content = JSON.stringify(change.status);
    if (this.#unkept.get(key) === content) return;
    this.#unkept.delete(key);
    const { namespace, name, resourceVersion } = change;
    const status = withTimes(change.status, new Date());
    try {
      const answer = await this.#deps.client.patch<KubeObject & { readonly status?: typeof status }>(
        {
          resource: kinds[change.kind].resource,
          name,
          ...(namespace === '' ? {} : { namespace }),
          subresource: 'status',
        },
        { metadata: { resourceVersion }, status },
      );
      const lost = Object.keys(status).filter(
        (field) => !isDeepStrictEqual(answer.status?.[field], status[field]),
      );
      if (lost.length === 0) return;
      this.#unkept.set(key, content);
      this.#deps.log.warn('the API server does not keep all of a status', {
        object: key,
        fields: lost.join(' '),
      });
    } catch (error) {
      // Deleted meanwhile: there is nothing left to describe.
      if (!isNotFound(error)) throw error;
    }
  }
}

/** Spaces writes out: `burst` at once, then `writesPerSecond`. */
class WriteRate {
  /** When the next write would be due if all came evenly, in milliseconds of the monotonic clock. */
  #dueMs = 0;

  async take(signal: AbortSignal): Promise<void> {
    const spacingMs = 1_000 / writesPerSecond;
    const nowMs = performance.now();
    this.#dueMs = Math.max(this.#dueMs, nowMs - burst * spacingMs) + spacingMs;
    const waitMs = this.#dueMs - nowMs;
    if (waitMs > 0) await delay(waitMs, undefined, { signal }).catch(() => undefined);
  }
}
