import { messageOf } from '../../../../errors/mesh-error.js';
import { isNotFound } from '../../../../kube/api-error.js';
import type { KubeClient } from '../../../../kube/client.js';
import { pods } from '../../../../kube/resource.js';
import type { Logger } from '../../../../telemetry/log.js';
import { type Pod, type PodCondition, podKey, type PodStatus } from '../../model/pod.js';

/** Writes one pod's status to the API, when it differs from what was written last or somebody overwrote that. */
export class StatusPublisher {
  readonly #client: KubeClient;
  readonly #logger: Logger;
  #last: PodStatus | undefined;

  constructor({ client, logger }: { client: KubeClient; logger: Logger }) {
    this.#client = client;
    this.#logger = logger;
  }

  /** Conditions as last written; empty before the first time. */
  get conditions(): readonly PodCondition[] {
    return this.#last?.conditions ?? [];
  }

  /** Resolves to false when the write failed and should be tried again. */
  async publish(pod: Pod, status: PodStatus): Promise<boolean> {
    if (JSON.stringify(status) === JSON.stringify(this.#last) && isAsWritten(pod, status)) return true;
    const { namespace, name, uid } = pod.metadata;
    try {
      // The uid makes sure that a namesake created meanwhile is not meant.
      await this.#client.patch(
        { resource: pods, namespace, name, subresource: 'status' },
        { metadata: { uid }, status },
      );
      this.#last = status;
      return true;
    } catch (error) {
      if (isNotFound(error)) return true; // deleted meanwhile: the watch will say so
      this.#logger.warn('pod status not written', { pod: podKey(pod), error: messageOf(error) });
      return false;
    }
  }
}

/**
 * Whether the object still says what was written: while a node is silent, its pods are called not ready, and
 * nobody but its kubelet takes that back.
 */
function isAsWritten(pod: Pod, { phase, conditions = [] }: PodStatus): boolean {
  const present = new Map((pod.status?.conditions ?? []).map((c) => [c.type, c.status]));
  return pod.status?.phase === phase && conditions.every((c) => present.get(c.type) === c.status);
}
