import { messageOf } from '#base/errors/mesh-error.js';
import type { Pod } from '#base/kube/types.js';
import { annotatedState, type EnrollmentDecision } from '../../rules/enrollment.js';
import type { NetnsHandle } from '../netns-handle.js';
import type { HostProbes } from '../redirection/host-probes.js';
import type { CapturePort } from '../../rules/capture-ports.js';
import { listenersIn } from '../redirection/netns-view.js';
import type { PodRedirection } from '../redirection/pod-redirection.js';
import type { NodeAgent } from './node-agent.js';
import { podKeyOf, podIps, workloadOf } from './pod-facts.js';
import type { PodMesh } from './pod-mesh.js';

/** One pod in the answer of GET /debug/enrollment. */
export interface PodReport {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly ips: readonly string[];
  /** The agent's own record. */
  readonly state: 'enabled' | 'pending' | 'none';
  /** What the labels ask for, and why. */
  readonly wanted: { readonly enroll: boolean; readonly reason: string };
  readonly netnsInode: string | null;
  /** Observed in the pod's namespace while answering: are all capture rules there and in effect, and how many rules, chains and routes of the mesh are? */
  readonly rules: {
    readonly ok: boolean;
    readonly missing: readonly string[];
    /** Rules of others with which packets do not come to the capture rules that are there. */
    readonly overriding: readonly string[];
    readonly presentCount: number;
  };
  /** Observed likewise: ports of the proxy with a listening socket. */
  readonly listeners: Readonly<Record<CapturePort, boolean>>;
  readonly error?: string;
}

/** The answer of GET /debug/enrollment. */
export interface EnrollmentReport {
  readonly node: string;
  readonly ztunnel: { readonly connected: boolean; readonly connections: number };
  readonly hostRules: { readonly ok: boolean; readonly missing: readonly string[] };
  readonly pods: readonly PodReport[];
}

export interface ReportDeps {
  readonly nodeName: string;
  readonly agent: NodeAgent;
  readonly mesh: PodMesh;
  readonly redirection: PodRedirection;
  readonly hostProbes: HostProbes;
  readonly pods: () => readonly Pod[];
  readonly connectionCount: () => number;
}

export interface ReportFilter {
  readonly namespace?: string | undefined;
  readonly pod?: string | undefined;
}

/** Pods observed at once; each starts a few processes. */
const concurrencyMax = 4;

/**
 * Reports enrollment as observed now. Without a filter: the pods in the mesh, and those
 * that should be. With a namespace or pod: those, enrolled or not.
 */
export async function reportEnrollment(deps: ReportDeps, filter: ReportFilter): Promise<EnrollmentReport> {
  const selected = deps.pods().filter((pod) => isSelected(deps, pod, filter));
  const connections = deps.connectionCount();
  const [hostRules, pods] = await Promise.all([
    observeHost(deps.hostProbes),
    mapBounded(selected, (pod) => observePod(deps, pod)),
  ]);
  return { node: deps.nodeName, ztunnel: { connected: connections > 0, connections }, hostRules, pods };
}

function isSelected(deps: ReportDeps, pod: Pod, filter: ReportFilter): boolean {
  if (filter.namespace !== undefined && pod.metadata.namespace !== filter.namespace) return false;
  if (filter.pod !== undefined && pod.metadata.name !== filter.pod) return false;
  if (filter.namespace !== undefined || filter.pod !== undefined) return true;
  const isKnown = deps.mesh.get(pod.metadata.uid ?? '') !== undefined || annotatedState(pod) !== undefined;
  return isKnown || deps.agent.decide(pod)?.isEnrolled === true;
}

async function observeHost(hostProbes: HostProbes): Promise<EnrollmentReport['hostRules']> {
  try {
    const missing = await hostProbes.missing();
    return { ok: missing.length === 0, missing };
  } catch (error) {
    return { ok: false, missing: [messageOf(error)] };
  }
}

async function observePod(deps: ReportDeps, pod: Pod): Promise<PodReport> {
  const record = deps.mesh.get(pod.metadata.uid ?? '');
  const base = {
    ...workloadOf(pod),
    ips: podIps(pod),
    state: record?.state ?? ('none' as const),
    wanted: wantedOf(deps.agent.decide(pod)),
  };
  const unseen = {
    netnsInode: null,
    rules: { ok: false, missing: [], overriding: [], presentCount: 0 },
    listeners: { '15001': false, '15006': false, '15008': false },
  };
  const lastError = deps.agent.errorOf(podKeyOf(pod));
  if (pod.spec?.hostNetwork === true) return { ...base, ...unseen };
  const netns = deps.agent.openNetnsOf(pod);
  if (netns === undefined) {
    return { ...base, ...unseen, error: lastError ?? 'its network namespace was not found' };
  }
  try {
    const seen = await observeNetns(deps, pod, netns);
    return { ...base, ...seen, ...(lastError === undefined ? {} : { error: lastError }) };
  } catch (error) {
    return { ...base, ...unseen, netnsInode: String(netns.inode), error: messageOf(error) };
  } finally {
    netns.release();
  }
}

function wantedOf(decision: EnrollmentDecision | undefined): PodReport['wanted'] {
  if (decision === undefined) return { enroll: false, reason: 'its namespace is not known yet' };
  return { enroll: decision.isEnrolled, reason: decision.reason };
}

async function observeNetns(deps: ReportDeps, pod: Pod, netns: NetnsHandle) {
  const rules = deps.mesh.get(pod.metadata.uid ?? '')?.rules ?? deps.agent.rulesFor(pod);
  const found = await deps.redirection.inspect(netns.fd, rules);
  const uncaptured = deps.redirection
    .uncaptured(netns.fd)
    .map((ip) => `v6: IPv6 is not captured here, and the pod has ${ip}`);
  const missing = [...found.missing, ...uncaptured];
  const overriding = [...found.unexpected, ...found.ahead, ...found.immovable];
  return {
    netnsInode: String(netns.inode),
    rules: {
      ok: missing.length === 0 && overriding.length === 0,
      missing,
      overriding,
      presentCount: found.present.length,
    },
    listeners: listenersIn(netns.fd),
  };
}

async function mapBounded<T, R>(items: readonly T[], task: (item: T) => Promise<R>): Promise<readonly R[]> {
  const results: R[] = [];
  for (let at = 0; at < items.length; at += concurrencyMax) {
    results.push(...(await Promise.all(items.slice(at, at + concurrencyMax).map(task))));
  }
  return results;
}
