import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '#base/errors/mesh-error.js';
import type { Logger } from '#base/telemetry/log.js';
import type { AnnotatedRedirection } from '../../rules/enrollment.js';
import type { NetnsHandle } from '../netns-handle.js';
import type { HostProbes } from '../redirection/host-probes.js';
import type { PodRedirection } from '../redirection/pod-redirection.js';
import type { PodRuleOptions } from '../redirection/pod-rules.js';
import type { ZdsWorkload } from '../zds/messages.js';
import type { SnapshotEntry, ZdsServer } from '../zds/zds-server.js';

/** An enrolled pod: rules are in its namespace, or (without `netns`) an earlier agent put them there. */
export interface EnrolledPod {
  readonly workload: ZdsWorkload;
  readonly ips: readonly string[];
  readonly netns: NetnsHandle | undefined;
  readonly rules: PodRuleOptions;
  /** `pending`: captured, but ztunnel has not taken it: its traffic fails until it does. */
  readonly state: AnnotatedRedirection;
}

export interface PodMeshDeps {
  readonly redirection: PodRedirection;
  readonly hostProbes: HostProbes;
  readonly zds: Pick<ZdsServer, 'add' | 'del'>;
  /** Writes the redirection annotation; undefined removes it. */
  readonly annotate: (workload: ZdsWorkload, state: AnnotatedRedirection | undefined) => Promise<void>;
  readonly log: Logger;
  /**
   * Milliseconds for peers to learn that a pod leaves before its capture ends, and again for
   * the proxy to accept what was captured last before it lets go.
   */
  readonly leaveGraceMs: number;
}

/** What {@link PodMesh.repair} found and put right. */
export interface Repair {
  /** Rules of ours that were missing, and rules in our chains that are not ours. */
  readonly repaired: readonly string[];
  /** Rules of others that came before ours. */
  readonly ahead: readonly string[];
}

/** A pod to enroll, with the namespace it was found in. The handle is retained when it is kept. */
export interface EnrollRequest {
  readonly workload: ZdsWorkload;
  readonly ips: readonly string[];
  readonly netns: NetnsHandle;
  readonly rules: PodRuleOptions;
}

/** A running pod that leaves the mesh. The caller keeps the handle open meanwhile. */
export interface LeavingPod {
  readonly workload: ZdsWorkload;
  readonly netns: NetnsHandle;
  readonly ips: readonly string[];
}

/**
 * The enrolled pods of the node and the steps in and out. All steps can be repeated; callers never run two for the
 * same pod at once.
 */
export class PodMesh {
  readonly #deps: PodMeshDeps;
  readonly #pods = new Map<string, EnrolledPod>();

  constructor(deps: PodMeshDeps) {
    this.#deps = deps;
  }

  get(uid: string): EnrolledPod | undefined {
    return this.#pods.get(uid);
  }

  list(): readonly EnrolledPod[] {
    return [...this.#pods.values()];
  }

  /** What a node proxy is told when it connects. */
  snapshot(): readonly SnapshotEntry[] {
    return this.list().map(({ workload, netns }) => ({ workload, netns }));
  }

  /** Takes over a pod that an earlier agent enrolled, without touching it. */
  adopt(pod: Omit<EnrolledPod, 'netns'>, netns: NetnsHandle | undefined): void {
    this.#remember({ ...pod, netns });
  }

  /**
   * Enrolls a pod that has not started yet: rules first, so that nothing of it ever
   * leaves uncaptured. Any failure undoes the record and rejects; the runtime tries again.
   */
  async addStarting(request: EnrollRequest): Promise<void> {
    const { workload, ips, netns, rules } = request;
    await this.#deps.redirection.apply(netns.fd, rules);
    this.#remember({ workload, ips, netns, rules, state: 'pending' });
    try {
      await this.#deps.hostProbes.add(workload.uid, ips);
      await this.#deps.zds.add(workload, netns);
    } catch (error) {
      await this.forget(workload.uid);
      throw error;
    }
    this.#remember({ workload, ips, netns, rules, state: 'enabled' });
  }

  /**
   * Enrolls a running pod. ztunnel listens before the rules send anything to it, so
   * no connection fails on the way in. With ztunnel away the rules go in all the
   * same: a pod that should be captured does not talk in plaintext. Rejects with the
   * reason when the pod ends up `pending` (annotated) or not captured (not annotated).
   */
  async addRunning(request: EnrollRequest): Promise<void> {
    const { workload, ips, netns, rules } = request;
    const refusal = await this.#tellZtunnel(request);
    try {
      // Before the rules: a probe in between would be captured, and refused where plaintext is.
      await this.#deps.hostProbes.add(workload.uid, ips);
      if (!(await this.#deps.redirection.spareEstablished(netns.fd))) {
        this.#deps.log.warn('established connections of a pod may break while it is captured', {
          pod: `${workload.namespace}/${workload.name}`,
        });
      }
      await this.#deps.redirection.apply(netns.fd, rules);
    } catch (error) {
      if (refusal === undefined) await this.#deps.zds.del(workload.uid);
      await this.#deps.hostProbes.remove(workload.uid, ips);
      this.#drop(workload.uid);
      throw error;
    }
    this.#remember({ workload, ips, netns, rules, state: refusal === undefined ? 'enabled' : 'pending' });
    await this.#deps.annotate(workload, refusal === undefined ? 'enabled' : 'pending');
    if (refusal !== undefined) throw refusal;
  }

  /** Follows a change of the pod's addresses. */
  async syncAddresses(uid: string, ips: readonly string[]): Promise<void> {
    const pod = this.#pods.get(uid);
    if (pod === undefined) return;
    const gone = pod.ips.filter((ip) => !ips.includes(ip));
    if (gone.length > 0) await this.#deps.hostProbes.remove(uid, gone);
    await this.#deps.hostProbes.add(uid, ips);
    if (gone.length > 0 || ips.length !== pod.ips.length) this.#pods.set(uid, { ...pod, ips });
  }

  /** Writes the annotation of a pod's state again. */
  async annotate(uid: string): Promise<void> {
    const pod = this.#pods.get(uid);
    if (pod !== undefined) await this.#deps.annotate(pod.workload, pod.state);
  }

  /** Puts back rules that are missing or came too late; returns what was. The pod must have a namespace. */
  async repair(pod: EnrolledPod): Promise<Repair> {
    if (pod.netns === undefined) return { repaired: [], ahead: [] };
    pod.netns.retain();
    try {
      const found = await this.#deps.redirection.apply(pod.netns.fd, pod.rules);
      const repaired = [...found.missing, ...found.unexpected.map((rule) => `unexpected ${rule}`)];
      return { repaired, ahead: found.ahead };
    } finally {
      pod.netns.release();
    }
  }

  /**
   * Releases running pods. Peers first stop sending encrypted traffic (the annotation
   * goes, the control plane tells them), then no new connection is captured, then the
   * proxy takes what was captured last and lets go, which ends captured connections in
   * the sight of both ends, and only then the rules go: at no moment is a new connection
   * without a listener, and none is left hanging.
   */
  async removeRunning(leaving: readonly LeavingPod[]): Promise<void> {
    const errors: string[] = [];
    /** Does a step for each pod; returns those for which it worked. */
    const forEach = async (
      pods: readonly LeavingPod[],
      task: (pod: LeavingPod) => Promise<void>,
    ): Promise<readonly LeavingPod[]> => {
      const done: LeavingPod[] = [];
      for (const pod of pods) {
        try {
          await task(pod);
          done.push(pod);
        } catch (error) {
          // The others still leave, and this one goes as far as it can.
          errors.push(`Pod ${pod.workload.namespace}/${pod.workload.name}: ${messageOf(error)}`);
        }
      }
      return done;
    };
    const grace = (): Promise<void> =>
      leaving.length === 0 ? Promise.resolve() : delay(this.#deps.leaveGraceMs);
    await forEach(leaving, ({ workload }) => this.#deps.annotate(workload, undefined));
    await grace();
    const released = await forEach(leaving, ({ netns }) => this.#deps.redirection.endCapture(netns.fd));
    await grace();
    await forEach(released, async ({ workload, netns, ips }) => {
      try {
        await this.#deps.zds.del(workload.uid);
      } finally {
        await this.#deps.redirection.remove(netns.fd);
      }
      await this.#deps.hostProbes.remove(workload.uid, ips);
      this.#drop(workload.uid);
    });
    if (errors.length > 0) throw new Error(errors.join('; '));
  }

  /** Removes rules an earlier agent left in a namespace outside the mesh; returns what they were. */
  async clean(netns: NetnsHandle): Promise<readonly string[]> {
    const left = await this.#deps.redirection.leftovers(netns.fd);
    if (left.length > 0) await this.#deps.redirection.remove(netns.fd);
    return left;
  }

  /** Lets go of a pod that is no longer there: its namespace takes the rules with it. */
  async forget(uid: string): Promise<void> {
    const pod = this.#pods.get(uid);
    if (pod === undefined) return;
    await this.#deps.zds.del(uid);
    await this.#deps.hostProbes.remove(uid, pod.ips);
    this.#drop(uid);
  }

  async #tellZtunnel({ workload, netns }: EnrollRequest): Promise<Error | undefined> {
    try {
      await this.#deps.zds.add(workload, netns);
      return undefined;
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  }

  #remember(pod: EnrolledPod): void {
    const old = this.#pods.get(pod.workload.uid);
    if (pod.netns !== old?.netns) {
      pod.netns?.retain();
      old?.netns?.release();
    }
    this.#pods.set(pod.workload.uid, pod);
  }

  #drop(uid: string): void {
    this.#pods.get(uid)?.netns?.release();
    this.#pods.delete(uid);
  }
}
