import { messageOf } from '#base/errors/mesh-error.js';
import { isNotFound } from '#base/kube/api-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { pods } from '#base/kube/resource.js';
import type { Logger } from '#base/telemetry/log.js';
import { type KubeletPod, podKey } from '../../model/pod.js';
import type { PodCondition, KubeletPodStatus } from '../../model/pod-status.js';
import { within } from '../../model/within.js';

/** A write that takes longer is tried again: its connection may be half-open. */
const answerTimeoutMs = 5_000;
/** Fields that may disappear from one status to the next: a patch must name them to remove them. */
const optionalFields = ['reason', 'message', 'podIP'] as const;

/** Writes one pod's status to the API, when it differs from what was written last or somebody overwrote that. */
export class StatusPublisher {
  readonly #client: KubeClient;
  readonly #logger: Logger;
  #last: KubeletPodStatus | undefined;
  /** The object when the last status was written; it shows that status only when it changes. */
  #lastPod: KubeletPod | undefined;
  #next: { pod: KubeletPod; build: () => KubeletPodStatus } | undefined;
  #writing: Promise<boolean> | undefined;

  constructor({ client, logger }: { client: KubeClient; logger: Logger }) {
    this.#client = client;
    this.#logger = logger;
  }

  /** Conditions as last written; empty before the first time. */
  get conditions(): readonly PodCondition[] {
    return this.#last?.conditions ?? [];
  }

  /**
   * Writes what `build` returns when its turn comes: calls made while a write is under
   * way share the next one. False: it failed and should be tried again.
   */
  publish(pod: KubeletPod, build: () => KubeletPodStatus): Promise<boolean> {
    this.#next = { pod, build };
    this.#writing ??= this.#drain();
    return this.#writing;
  }

  async #drain(): Promise<boolean> {
    let isWritten = true;
    for (let next = this.#take(); next !== undefined; next = this.#take())
      isWritten = await this.#write(next.pod, next.build());
    this.#writing = undefined;
    return isWritten;
  }

  #take(): { pod: KubeletPod; build: () => KubeletPodStatus } | undefined {
    const next = this.#next;
    this.#next = undefined;
    return next;
  }

  async #write(pod: KubeletPod, status: KubeletPodStatus): Promise<boolean> {
    const isChanged = JSON.stringify(status) !== JSON.stringify(this.#last);
    if (!isChanged && (pod === this.#lastPod || isAsWritten(pod, status))) return true;
    const { namespace, name, uid } = pod.metadata;
    try {
      const ref = { resource: pods, namespace, name, subresource: 'status' };
      // The uid makes sure that a namesake created meanwhile is not meant.
      const patch = { metadata: { uid }, status: statusPatch(status) };
      await within(answerTimeoutMs, this.#client.patch(ref, patch, 'strategic'));
      this.#last = status;
      this.#lastPod = pod;
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
function isAsWritten(pod: KubeletPod, { phase, conditions = [] }: KubeletPodStatus): boolean {
  const present = new Map((pod.status?.conditions ?? []).map((c) => [c.type, c.status]));
  return pod.status?.phase === phase && conditions.every((c) => present.get(c.type) === c.status);
}

/**
 * A strategic merge patch that makes the status this one and leaves conditions of other
 * writers (readiness gates) alone.
 */
export function statusPatch(status: KubeletPodStatus): Record<string, unknown> {
  const patch: Record<string, unknown> = { ...status };
  for (const field of optionalFields) patch[field] ??= null;
  // Merged by type: what a condition no longer says has to be removed by name.
  patch['conditions'] = (status.conditions ?? []).map((c) => ({ reason: null, message: null, ...c }));
  patch['$setElementOrder/conditions'] = (status.conditions ?? []).map(({ type }) => ({ type }));
  for (const list of ['podIPs', 'hostIPs'] as const) {
    const value = status[list];
    patch[list] = value === undefined ? null : [...value, { $patch: 'replace' }];
  }
  return patch;
}
