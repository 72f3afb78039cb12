import { messageOf } from '#base/errors/mesh-error.js';
import type { Reflector } from '#base/kube/reflector.js';
import type { Pod } from '#base/kube/types.js';
import type { Logger } from '#base/telemetry/log.js';
import { annotatedState } from '../../rules/enrollment.js';
import type { NodeAgent } from './node-agent.js';
import { isTerminal, podKeyOf, podIps } from './pod-facts.js';
import type { PodMesh } from './pod-mesh.js';

export interface ReleaseSweepDeps {
  readonly pods: Reflector<Pod>;
  readonly agent: NodeAgent;
  readonly mesh: PodMesh;
  readonly log: Logger;
}

/**
 * Once after the start: removes rules from pods outside the mesh. An agent that was
 * killed while it released a pod leaves them, with no annotation to tell. A namespace
 * that belongs to no known pod is not touched: its pod may just be starting.
 */
export async function sweepReleased(deps: ReleaseSweepDeps, signal: AbortSignal): Promise<void> {
  for (const { metadata } of deps.pods.list()) {
    if (signal.aborted) return;
    const { namespace = '', name } = metadata;
    const key = `${namespace}/${name}`;
    try {
      await deps.agent.queue.exclusive(key, () => sweep(deps, namespace, name));
    } catch (error) {
      deps.log.warn('a pod could not be checked for old rules', { pod: key, error: messageOf(error) });
    }
  }
}

async function sweep({ pods, agent, mesh, log }: ReleaseSweepDeps, namespace: string, name: string) {
  const pod = pods.get(namespace, name);
  if (pod === undefined || isTerminal(pod) || pod.spec.hostNetwork === true) return;
  const isOutside = agent.decide(pod)?.isEnrolled === false && annotatedState(pod) === undefined;
  if (!isOutside || podIps(pod).length === 0) return;
  const netns = agent.openNetnsOf(pod);
  if (netns === undefined) return;
  try {
    const left = await mesh.clean(netns);
    if (left.length > 0) log.warn('old rules removed', { pod: podKeyOf(pod), count: left.length });
  } finally {
    netns.release();
  }
}
