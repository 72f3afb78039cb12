import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import type { Reflector } from '#base/kube/reflector.js';
import type { Namespace, Pod } from '#base/kube/types.js';
import type { Logger } from '#base/telemetry/log.js';
import {
  annotatedState,
  decideEnrollment,
  type EnrollmentDecision,
  type EnrollmentRules,
  podPreferences,
} from '../../rules/enrollment.js';
import type { NetnsHandle } from '../netns-handle.js';
import { chooseNetns, type NetnsFinderOptions, releaseAll, scanNamespaces } from '../netns-finder.js';
import type { PodRuleOptions, ProbeAddresses } from '../redirection/pod-rules.js';
import type { AgentMetrics } from './agent-metrics.js';
import { KeyedQueue } from './keyed-queue.js';
import { isTerminal, podKeyOf, podAddress, podIps, workloadOf } from './pod-facts.js';
import type { PodMesh } from './pod-mesh.js';

export interface NodeAgentDeps {
  /** Pods of this node. */
  readonly pods: Reflector<Pod>;
  readonly namespaces: Reflector<Namespace>;
  readonly mesh: PodMesh;
  readonly finder: NetnsFinderOptions;
  readonly rules: EnrollmentRules;
  readonly dnsCapture: boolean;
  readonly probes: ProbeAddresses;
  readonly metrics: AgentMetrics;
  readonly log: Logger;
}

/**
 * Brings every pod of the node to the state its labels ask for. Triggers: pod and
 * namespace events, the plugin's report of a starting pod, and the retry of a failure.
 * States of a pod: outside, starting (plugin), enabled, pending (captured, ztunnel away).
 */
export class NodeAgent {
  readonly #deps: NodeAgentDeps;
  readonly queue: KeyedQueue;
  readonly #errors = new Map<string, string>();
  #isDraining = false;

  constructor(deps: NodeAgentDeps) {
    this.#deps = deps;
    this.queue = new KeyedQueue({ process: (key) => this.#processRecording(key), log: deps.log });
  }

  /** True once the node is being cleaned up: nothing is enrolled any more. */
  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** Last failure of a pod, by namespace/name. */
  errorOf(key: string): string | undefined {
    return this.#errors.get(key);
  }

  /** Follows pods and namespaces from now on, beginning with all that are there. */
  start(signal: AbortSignal): void {
    const { pods, namespaces, metrics } = this.#deps;
    const stops = [
      pods.onChange(({ type, object }) => {
        metrics.reconcileEvents.inc({ type });
        this.queue.add(podKeyOf(object));
      }),
      namespaces.onChange(({ object }) => {
        for (const pod of pods.list()) {
          if (pod.metadata.namespace === object.metadata.name) this.queue.add(podKeyOf(pod));
        }
      }),
    ];
    signal.addEventListener('abort', () => {
      for (const stop of stops) stop();
    });
    for (const pod of pods.list()) this.queue.add(podKeyOf(pod));
  }

  /** Works on the pods that wait for ztunnel at once: it has come. */
  retryPending(): void {
    for (const { workload, state } of this.#deps.mesh.list()) {
      if (state === 'pending') this.queue.add(`${workload.namespace}/${workload.name}`);
    }
  }

  /** Whether the pod belongs in the mesh; undefined while its namespace is not known yet. */
  decide(pod: Pod): EnrollmentDecision | undefined {
    const namespace = this.#deps.namespaces.get(undefined, pod.metadata.namespace ?? '');
    if (namespace === undefined) return undefined;
    return decideEnrollment(pod, namespace.metadata.labels, this.#deps.rules);
  }

  /** The rules that the pod's annotations and the mesh's settings ask for. */
  rulesFor(pod: Pod): PodRuleOptions {
    return { probes: this.#deps.probes, ...podPreferences(pod, { dnsCapture: this.#deps.dnsCapture }) };
  }

  /** Stops enrolling, for good: the node is being cleaned up. */
  beginDrain(): void {
    this.#isDraining = true;
  }

  async #processRecording(key: string): Promise<void> {
    try {
      await this.#process(key);
      this.#errors.delete(key);
    } catch (error) {
      this.#errors.set(key, messageOf(error));
      throw error;
    }
  }

  async #process(key: string): Promise<void> {
    const { pods, mesh } = this.#deps;
    const [namespace = '', name = ''] = key.split('/');
    const pod = pods.get(namespace, name);
    for (const record of mesh.list()) {
      const isSameName = record.workload.namespace === namespace && record.workload.name === name;
      const isGone = pod === undefined || record.workload.uid !== pod.metadata.uid || isTerminal(pod);
      if (isSameName && isGone) await mesh.forget(record.workload.uid);
    }
    if (pod === undefined || isTerminal(pod) || this.#isDraining) return;
    const decision = this.decide(pod);
    if (decision === undefined) return;
    if (decision.isEnrolled) await this.#enroll(pod);
    else await this.#release(pod);
  }

  async #enroll(pod: Pod): Promise<void> {
    const { mesh } = this.#deps;
    const ips = podIps(pod);
    const workload = workloadOf(pod);
    const rules = this.rulesFor(pod);
    const record = mesh.get(workload.uid);
    const isSettled =
      record?.state === 'enabled' &&
      record.netns !== undefined &&
      JSON.stringify(record.rules) === JSON.stringify(rules);
    if (isSettled) {
      if (ips.length > 0) await mesh.syncAddresses(workload.uid, ips);
      if (annotatedState(pod) !== 'enabled') await mesh.annotate(workload.uid);
      return;
    }
    // A pod without an address has not started; the plugin reports it when it does.
    if (ips.length === 0) return;
    await this.#withNetns(pod, (netns) => mesh.addRunning({ workload, ips, netns, rules }));
    this.#deps.log.info('running pod enrolled', { pod: podKeyOf(pod) });
  }

  async #release(pod: Pod): Promise<void> {
    const { mesh } = this.#deps;
    const workload = workloadOf(pod);
    if (mesh.get(workload.uid) === undefined && annotatedState(pod) === undefined) return;
    await this.#withNetns(pod, (netns) => mesh.removeRunning([{ workload, netns, ips: podIps(pod) }]));
    this.#deps.log.info('pod released', { pod: podKeyOf(pod) });
  }

  async #withNetns(pod: Pod, task: (netns: NetnsHandle) => Promise<void>): Promise<void> {
    const netns = this.openNetnsOf(pod);
    if (netns === undefined) {
      throw new MeshError('MESH0704', `the network namespace of Pod ${podKeyOf(pod)} was not found`, {
        evidence: `addresses ${podIps(pod).join(', ')}`,
      });
    }
    try {
      await task(netns);
    } finally {
      netns.release();
    }
  }

  /** The pod's namespace: remembered, or searched for on the node. The caller releases it. */
  openNetnsOf(pod: Pod): NetnsHandle | undefined {
    const uid = pod.metadata.uid ?? '';
    const known = this.#deps.mesh.get(uid)?.netns;
    if (known !== undefined) return known.retain();
    const found = scanNamespaces(this.#deps.finder);
    try {
      return chooseNetns(podAddress(pod), found)?.handle.retain();
    } finally {
      releaseAll(found);
    }
  }
}
