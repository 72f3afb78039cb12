import { someOf } from '#base/collections/some-of.js';
import { messageOf } from '#base/errors/mesh-error.js';
import type { Reflector } from '#base/kube/reflector.js';
import type { Pod } from '#base/kube/types.js';
import type { Logger } from '#base/telemetry/log.js';
import { annotatedState } from '../../rules/enrollment.js';
import type { Installer } from '../installer/installer.js';
import type { CleanupReport } from './cleanup.js';
import type { DecisionRecord } from './decision-record.js';
import type { Departure } from './departure.js';
import type { NodeAgent } from './node-agent.js';
import type { NodeContext } from './node-context.js';
import { isTerminal, podIps, workloadOf } from './pod-facts.js';
import type { PodMesh } from './pod-mesh.js';

export interface DepartDeps {
  readonly departure: Departure;
  readonly node: NodeContext;
  readonly pods: Reflector<Pod>;
  readonly agent: NodeAgent;
  readonly mesh: PodMesh;
  readonly installer: Installer;
  readonly record: DecisionRecord;
  /** Takes the mesh off the node altogether. */
  readonly cleanUp: () => Promise<CleanupReport>;
  /** Tells people, on the Node. Never rejects. */
  readonly report: (type: 'Normal' | 'Warning', message: string) => Promise<void>;
  readonly log: Logger;
}

/** The kubelet kills an agent that takes longer than its grace period, 30 seconds. */
const cleanUpMaxMs = 20_000;
const namedMax = 10;

/**
 * The agent's last steps on a node it does not come back to. Whatever stays captured keeps the rules that let the
 * kubelet's probes in; a node with nothing captured is left as if there had never been a mesh.
 */
export async function depart(deps: DepartDeps): Promise<void> {
  const { departure, log, report } = deps;
  if (departure.kind === 'restart') {
    log.info('leaving the node as it is', { reason: departure.reason });
    return;
  }
  log.info('leaving the node for good', { reason: departure.reason });
  try {
    if (departure.kind === 'removed') await takeAllAway(deps);
    else await stepBack(deps);
  } catch (error) {
    log.error('could not leave the node in good order', { error: messageOf(error) });
    await report('Warning', `The CNI agent left (${departure.reason}) and failed: ${messageOf(error)}`);
  }
}

async function takeAllAway({ cleanUp, report, departure, log }: DepartDeps): Promise<void> {
  const result = await Promise.race([cleanUp(), timeout(cleanUpMaxMs)]);
  const problems = result === undefined ? ['it took too long'] : [...result.left, ...result.errors];
  if (problems.length === 0) return;
  log.warn('not everything of the mesh is gone', { left: problems });
  await report(
    'Warning',
    `The mesh was removed (${departure.reason}), but on this node stays: ${someOf(problems, namedMax)}`,
  );
}

async function stepBack(deps: DepartDeps): Promise<void> {
  const { departure, node, mesh, installer, record, report } = deps;
  const unreleased = await releaseUnwanted(deps);
  const known = mesh.list().map(({ workload }) => `${workload.namespace}/${workload.name}`);
  const captured = [...new Set([...known, ...unreleased])];
  if (captured.length === 0) {
    await installer.uninstall();
    await node.hostProbes.uninstall();
    await record.discard();
    await report(
      'Normal',
      `The CNI agent left this node: ${departure.reason}. New pods of the mesh start uncaptured.`,
    );
    return;
  }
  await node.hostProbes.prune();
  await node.hostProbes.repair();
  if (departure.isGuarded) await record.close(departure.reason);
  else await installer.uninstall();
  const ofNew = departure.isGuarded
    ? 'New pods of the mesh are held back'
    : 'New pods of the mesh start uncaptured';
  await report(
    'Warning',
    `The CNI agent left this node: ${departure.reason}. Nobody repairs or releases what stays captured: ${someOf(captured, namedMax)}. ${ofNew}.`,
  );
}

/** Releases pods whose labels want them out: nobody would do it later. Returns those that could not be released. */
async function releaseUnwanted({ pods, agent, mesh, log }: DepartDeps): Promise<readonly string[]> {
  const leaving = pods.list().flatMap((pod) => {
    const isCaptured = mesh.get(pod.metadata.uid ?? '') !== undefined || annotatedState(pod) !== undefined;
    if (!isCaptured || isTerminal(pod) || agent.decide(pod)?.isEnrolled !== false) return [];
    const netns = agent.openNetnsOf(pod);
    return netns === undefined ? [] : [{ workload: workloadOf(pod), netns, ips: podIps(pod) }];
  });
  try {
    await mesh.removeRunning(leaving);
    return [];
  } catch (error) {
    log.warn('a pod could not be released', { error: messageOf(error) });
    return leaving.map(({ workload }) => `${workload.namespace}/${workload.name}`);
  } finally {
    for (const { netns } of leaving) netns.release();
  }
}

function timeout(ms: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(resolve, ms, undefined).unref());
}
