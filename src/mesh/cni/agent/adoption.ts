import { messageOf } from '#base/errors/mesh-error.js';
import type { Reflector } from '#base/kube/reflector.js';
import type { Pod } from '#base/kube/types.js';
import type { Logger } from '#base/telemetry/log.js';
import { annotatedState } from '../../rules/enrollment.js';
import {
  chooseNetns,
  type FoundNetns,
  type NetnsFinderOptions,
  releaseAll,
  scanNamespaces,
} from '../netns-finder.js';
import type { HostProbes } from '../redirection/host-probes.js';
import type { NodeAgent } from './node-agent.js';
import { isTerminal, podKeyOf, podAddress, podIps, workloadOf } from './pod-facts.js';
import type { PodMesh } from './pod-mesh.js';

export interface AdoptionDeps {
  readonly pods: Reflector<Pod>;
  readonly agent: NodeAgent;
  readonly mesh: PodMesh;
  readonly hostProbes: HostProbes;
  readonly finder: NetnsFinderOptions;
  /** Looks at the rules of each and puts back what is missing. */
  readonly reconcileOnStartup: boolean;
  readonly log: Logger;
}

/**
 * Takes over the pods an earlier agent enrolled. Runs before ztunnel is let in, so
 * that its snapshot names them all; those whose namespace is not found are kept there.
 */
export async function adoptEnrolled(deps: AdoptionDeps): Promise<void> {
  const enrolled = deps.pods.list().filter((pod) => annotatedState(pod) !== undefined && !isTerminal(pod));
  const found = scanNamespaces(deps.finder);
  let isComplete = true;
  try {
    for (const pod of enrolled) {
      const ips = podIps(pod);
      if (ips.length === 0) isComplete = false;
      if (ips.length === 0 || !deps.agent.decide(pod)?.isEnrolled) continue;
      await adopt(deps, pod, { ips, found });
    }
  } finally {
    releaseAll(found);
  }
  // With a pod's address unknown, its probe entry would be taken for a stale one.
  if (isComplete) await deps.hostProbes.prune();
}

async function adopt(
  deps: AdoptionDeps,
  pod: Pod,
  { ips, found }: { readonly ips: readonly string[]; readonly found: readonly FoundNetns[] },
): Promise<void> {
  const { mesh, log, reconcileOnStartup } = deps;
  const workload = workloadOf(pod);
  const netns = chooseNetns(podAddress(pod), found)?.handle;
  const state = annotatedState(pod) ?? 'pending';
  mesh.adopt({ workload, ips, rules: deps.agent.rulesFor(pod), state }, netns);
  await deps.hostProbes.add(workload.uid, ips);
  const record = mesh.get(workload.uid);
  if (!reconcileOnStartup || record === undefined) return;
  try {
    const { repaired, ahead } = await mesh.repair(record);
    if (repaired.length > 0 || ahead.length > 0) {
      log.warn('rules of a running pod repaired', { pod: podKeyOf(pod), repaired, ahead });
    }
  } catch (error) {
    log.warn('rules of a running pod could not be checked', { pod: podKeyOf(pod), error: messageOf(error) });
  }
}
