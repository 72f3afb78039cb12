import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '#base/errors/mesh-error.js';
import { isNotFound } from '#base/kube/api-error.js';
import type { KubeClient } from '#base/kube/client.js';
import type { Reflector } from '#base/kube/reflector.js';
import { namespaces as namespaceResource, pods as podResource } from '#base/kube/resource.js';
import type { Namespace, Pod } from '#base/kube/types.js';
import type { Logger } from '#base/telemetry/log.js';
import { decideEnrollment, type EnrollmentRules } from '../../rules/enrollment.js';
import { NetnsHandle } from '../netns-handle.js';
import type { NetnsFinderOptions } from '../netns-finder.js';
import type { StartingPod } from '../requests/cni-answers.js';
import { CniError, cniErrorCodes } from '../requests/cni-error.js';
import type { NodeAgent } from './node-agent.js';
import { mountedNetnsPath } from './plugin-events.js';
import { podKeyOf, podIps, workloadOf } from './pod-facts.js';
import type { PodMesh } from './pod-mesh.js';

export interface StartingPodsDeps {
  readonly client: KubeClient;
  readonly pods: Reflector<Pod>;
  readonly namespaces: Reflector<Namespace>;
  readonly agent: NodeAgent;
  readonly mesh: PodMesh;
  readonly finder: NetnsFinderOptions;
  readonly rules: EnrollmentRules;
  /** How often the API server is asked about a pod, a second apart, before the runtime has to ask again. */
  readonly lookupsMax: number;
  readonly log: Logger;
}

/** Pods worked on at once: each starts a dozen processes. */
const concurrencyMax = 4;
const lookupPauseMs = 1_000;
/** For the watches to tell what the API server said when it was asked. */
const watchLagMs = 5_000;
const watchPauseMs = 20;

/**
 * Pods that a container runtime is about to start. It waits for the answer, so that no pod of the mesh begins
 * uncaptured: one that the labels select is captured first, one that cannot be looked up does not start.
 */
export class StartingPods {
  readonly #deps: StartingPodsDeps;
  #activeCount = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(deps: StartingPodsDeps) {
    this.#deps = deps;
  }

  /** Resolves when the pod may start: captured, or not in the mesh. Rejects when it must not start yet. */
  async admit(starting: StartingPod): Promise<void> {
    const { agent, log } = this.#deps;
    if (agent.isDraining) return;
    const pod = await this.#selected(starting);
    if (pod === undefined) return;
    await this.#inTurn(() => agent.queue.exclusive(podKeyOf(pod), () => this.#capture(starting, pod)));
    log.info('pod enrolled before its start', { pod: podKeyOf(pod) });
    // The annotation is written by the queue: the pod may start without it.
    agent.queue.add(podKeyOf(pod));
  }

  /** The pod, when it belongs in the mesh; undefined when it does not. */
  async #selected(starting: StartingPod): Promise<Pod | undefined> {
    const { pods, agent, rules } = this.#deps;
    const cached = this.#cached(starting);
    if (cached !== undefined && agent.decide(cached)?.isEnrolled === true) return cached;
    // The watches may be late: only the API server can say that a pod is not in the mesh.
    const { pod, namespace } = await this.#lookUp(starting);
    if (!decideEnrollment(pod, namespace.metadata.labels, rules).isEnrolled) return undefined;
    // What the watches do not know yet would be released again at once.
    const deadline = performance.now() + watchLagMs;
    for (;;) {
      const now = pods.get(starting.namespace, starting.name);
      const isSame = now?.metadata.uid === pod.metadata.uid;
      if (now !== undefined && isSame && agent.decide(now)?.isEnrolled === true) return now;
      if (performance.now() > deadline) {
        throw tryAgain(starting, 'the watches of the agent are behind what the API server says');
      }
      await delay(watchPauseMs);
    }
  }

  /** The pod as the informer knows it: the one that starts, not a predecessor of the same name. */
  #cached({ namespace, name, uid }: StartingPod): Pod | undefined {
    const pod = this.#deps.pods.get(namespace, name);
    return uid === undefined || pod?.metadata.uid === uid ? pod : undefined;
  }

  async #lookUp(starting: StartingPod): Promise<{ pod: Pod; namespace: Namespace }> {
    const { client, namespaces, lookupsMax } = this.#deps;
    const { namespace, name, uid } = starting;
    for (let attempt = 1; ; attempt++) {
      try {
        const [pod, ofPod] = await Promise.all([
          client.get<Pod>({ resource: podResource, namespace, name }),
          client.get<Namespace>({ resource: namespaceResource, name: namespace }),
        ]);
        if (uid !== undefined && pod.metadata.uid !== uid) {
          throw tryAgain(starting, `the API server has a pod of that name with the UID ${pod.metadata.uid}`);
        }
        return { pod, namespace: ofPod };
      } catch (error) {
        if (error instanceof CniError) throw error;
        if (attempt < lookupsMax) {
          await delay(lookupPauseMs);
          continue;
        }
        // Without the API server what it said last counts; it said nothing of a pod that is not there.
        const pod = this.#cached(starting);
        const ofPod = namespaces.get(undefined, namespace);
        if (!isNotFound(error) && pod !== undefined && ofPod !== undefined) return { pod, namespace: ofPod };
        throw tryAgain(starting, messageOf(error));
      }
    }
  }

  async #capture({ netns: path, ips }: StartingPod, pod: Pod): Promise<void> {
    const { agent, mesh, finder } = this.#deps;
    if (agent.isDraining) return;
    const netns = NetnsHandle.open(mountedNetnsPath(path, finder));
    try {
      if (netns.inode === finder.hostInode) throw new Error('the namespace is that of the node');
      await mesh.addStarting({
        workload: workloadOf(pod),
        ips: ips.length > 0 ? ips : podIps(pod),
        netns,
        rules: agent.rulesFor(pod),
      });
    } finally {
      netns.release();
    }
  }

  async #inTurn(task: () => Promise<void>): Promise<void> {
    if (this.#activeCount >= concurrencyMax) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#activeCount++;
    try {
      await task();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#activeCount--;
      else next();
    }
  }
}

function tryAgain({ namespace, name }: StartingPod, details: string): CniError {
  return new CniError(
    cniErrorCodes.tryAgainLater,
    `cannot find out whether Pod ${namespace}/${name} belongs in the mesh`,
    details,
  );
}
