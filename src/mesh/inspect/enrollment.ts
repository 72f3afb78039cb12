import { formatSpiffeId } from '../identity/spiffe.js';
import { decideEnrollment, type EnrollmentDecision } from '../rules/enrollment.js';
import { messageOf } from '#base/errors/mesh-error.js';
import { isForbidden } from '#base/kube/api-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { redirection } from '#base/kube/labels.js';
import { podAsksMax } from '#base/kube/port-forward.js';
import { mapConcurrently } from '#base/system/concurrency.js';
import { namespaces, pods } from '#base/kube/resource.js';
import type { Namespace, Pod } from '#base/kube/types.js';
import { capturePorts } from '../rules/capture-ports.js';
import { type CaptureReport, isCaptured, type PodCapture } from './capture-report.js';
import { certificateOf } from './certificate-report.js';
import { adminGet, type Component, componentPods, podOnNode } from './component-pods.js';
import type { MeshSettings } from './mesh-settings.js';
import type { Observation } from './mesh-observer.js';
import { isHeldUp, podReason } from './pod-reason.js';
import { ownPartOf, podInDump, type ZtunnelDump } from './ztunnel-dump.js';
import { fetchZtunnelDump } from './ztunnel-target.js';

/**
 * What the network namespace of a pod shows: everything of the capture, nothing of it, or something. `notStarted`:
 * the pod has no network namespace yet. `unknown`: the agent of the node could not be asked.
 */
export type ObservedRedirection = 'captured' | 'free' | 'partly' | 'notStarted' | 'unknown';

/** How a pod stands to the mesh: what labels ask for, and what three witnesses saw. */
export interface PodEnrollment {
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  readonly phase: string;
  readonly intent: EnrollmentDecision;
  /** Annotation of the CNI agent: `enabled`, `pending` or absent. */
  readonly annotation: string | undefined;
  readonly redirection: ObservedRedirection;
  /** The verdict of all witnesses: `captured` and `free` only when none of them has an objection. */
  readonly observed: ObservedRedirection;
  /** `Up`, `Pending`, `absent`, or `unknown` when the node proxy could not be asked. */
  readonly ztunnel: string;
  /** State of the certificate of the pod's identity; undefined when it needs none. */
  readonly certificate: string | undefined;
  /** Why observation and intent differ; empty when they agree, and while there is nothing to observe. */
  readonly missing: readonly string[];
  /** Why the pod has no network namespace yet, and whether more than a moment is missing; set when it has none. */
  readonly notStarted?: { readonly why: string; readonly isHeldUp: boolean };
  /** Why the pod's network namespace could not be looked at. */
  readonly unobserved?: string;
}

/** What the components of one node told; undefined: could not be asked, and why. */
export interface NodeWitnesses {
  readonly captures: ReadonlyMap<string, PodCapture> | undefined;
  readonly captureError?: string;
  readonly dump: ZtunnelDump | undefined;
  readonly dumpError?: string;
}

export interface EnrollmentQuery {
  readonly meshNamespace: string;
  /** undefined: every namespace. */
  readonly namespaces: readonly string[] | undefined;
  readonly settings: MeshSettings;
}

/** The pods whose enrollment can be judged: not ending, not over. */
export async function enrollablePods(
  client: KubeClient,
  query: EnrollmentQuery,
): Promise<readonly { readonly pod: Pod; readonly intent: EnrollmentDecision }[]> {
  const [spaces, lists] = await Promise.all([
    namespacesOf(client, query.namespaces),
    query.namespaces === undefined
      ? client.list<Pod>(pods).then((all) => [all])
      : Promise.all(query.namespaces.map((namespace) => client.list<Pod>(pods, { namespace }))),
  ]);
  const byName = new Map(spaces.map((n) => [n.metadata.name, n]));
  return lists
    .flat()
    .filter(
      ({ metadata, status }) =>
        metadata.deletionTimestamp === undefined &&
        metadata.namespace !== query.meshNamespace &&
        status?.phase !== 'Succeeded' &&
        status?.phase !== 'Failed',
    )
    .map((pod) => ({
      pod,
      intent: decideEnrollment(
        pod,
        byName.get(pod.metadata.namespace ?? '')?.metadata.labels,
        query.settings.enrollment,
      ),
    }))
    .sort((a, b) => keyOf(a.pod).localeCompare(keyOf(b.pod)));
}

/** All namespaces; of a user who may not list them, those asked about, one by one. */
async function namespacesOf(
  client: KubeClient,
  asked: readonly string[] | undefined,
): Promise<readonly Namespace[]> {
  try {
    return await client.list<Namespace>(namespaces);
  } catch (error) {
    if (!isForbidden(error) || asked === undefined) throw error;
    return Promise.all(asked.map((name) => client.get<Namespace>({ resource: namespaces, name })));
  }
}

/** Asks the witnesses of every node concerned and compares them with the labels. `now` in milliseconds. */
export async function observeEnrollment(
  client: KubeClient,
  query: EnrollmentQuery,
  now: () => number,
): Promise<readonly PodEnrollment[]> {
  const subjects = await enrollablePods(client, query);
  const nodes = [...new Set(subjects.map(({ pod }) => pod.spec.nodeName ?? '').filter((n) => n !== ''))];
  const [agents, proxies] = await Promise.all([
    seenPods(client, 'cni', query.meshNamespace),
    seenPods(client, 'ztunnel', query.meshNamespace),
  ]);
  const witnesses = new Map(
    await mapConcurrently(
      nodes,
      async (node) => {
        const [captures, dump] = await Promise.all([
          ask(onNode(agents, node), 'CNI agent', (agent) => capturesOf(client, agent, query.namespaces)),
          ask(onNode(proxies, node), 'ztunnel', async (proxy) =>
            ownPartOf(await fetchZtunnelDump(client, proxy), node),
          ),
        ]);
        return [
          node,
          {
            captures: captures.value,
            ...(captures.error === undefined ? {} : { captureError: captures.error }),
            dump: dump.value,
            ...(dump.error === undefined ? {} : { dumpError: dump.error }),
          },
        ] as const;
      },
      podAsksMax,
    ),
  );
  return subjects.map(({ pod, intent }) =>
    assessEnrollment({
      pod,
      intent,
      trustDomain: query.settings.mesh.trustDomain,
      witnesses: witnesses.get(pod.spec.nodeName ?? ''),
      now: now(),
    }),
  );
}

/** What a node's components told, from looks that others share. */
export function witnessesOf(
  captures: Observation<CaptureReport>,
  dump: Observation<ZtunnelDump>,
): NodeWitnesses {
  return {
    captures:
      captures.value === undefined
        ? undefined
        : new Map(captures.value.pods.map((p) => [`${p.namespace}/${p.name}`, p])),
    ...(captures.value === undefined ? { captureError: captures.why } : {}),
    dump: dump.value,
    ...(dump.value === undefined ? { dumpError: dump.why } : {}),
  };
}

/** Compares one pod's labels with what the witnesses of its node saw, whatever the pod's readiness. */
export function assessEnrollment(from: {
  readonly pod: Pod;
  readonly intent: EnrollmentDecision;
  /** Of the mesh; the node proxy's own word counts where there is one. */
  readonly trustDomain: string;
  /** undefined: the pod has no node yet. */
  readonly witnesses: NodeWitnesses | undefined;
  readonly now: number;
}): PodEnrollment {
  const { pod, intent, witnesses } = from;
  const capture = witnesses?.captures?.get(keyOf(pod));
  const workload = witnesses?.dump?.workloadState[pod.metadata.uid ?? ''];
  const common = {
    namespace: pod.metadata.namespace ?? '',
    name: pod.metadata.name,
    node: pod.spec.nodeName ?? '',
    phase: pod.status?.phase ?? 'Unknown',
    intent,
    annotation: pod.metadata.annotations?.[redirection],
    ztunnel: witnesses?.dump === undefined ? 'unknown' : (workload?.state ?? 'absent'),
  };
  if (!hasStarted({ pod, intent }, witnesses, capture)) {
    // The plugin captures it before the first of its containers starts; until then there is nothing to observe.
    const state = { redirection: 'notStarted', observed: 'notStarted' } as const;
    const notStarted = { why: podReason(pod), isHeldUp: isHeldUp(pod) };
    return { ...common, ...state, certificate: undefined, missing: [], notStarted };
  }
  const isUnobserved = witnesses?.captures === undefined && pod.spec.hostNetwork !== true;
  const seen = {
    ...common,
    redirection: isUnobserved ? ('unknown' as const) : redirectionState(capture, common.ztunnel),
    ...(isUnobserved ? { unobserved: whyUnobserved(witnesses) } : {}),
  };
  if (!intent.isEnrolled) {
    const left = stillThere(seen, capture, witnesses);
    const observed = left.length > 0 && seen.redirection === 'free' ? 'partly' : seen.redirection;
    return {
      ...seen,
      observed,
      certificate: undefined,
      missing: [...disagreement(intent, capture), ...left],
    };
  }
  const identity = identityOf(pod, witnesses?.dump, from.trustDomain);
  const certificate =
    witnesses?.dump === undefined ? undefined : certificateOf(witnesses.dump, identity, from.now);
  const lacking = [
    ...(seen.annotation === 'enabled' ? [] : [`annotation ${redirection} is ${seen.annotation ?? 'absent'}`]),
    ...missingCapture(witnesses, capture),
    ...(witnesses?.dump === undefined
      ? [`ztunnel not observed: ${witnesses?.dumpError ?? 'no node'}`]
      : workload?.state === 'Up'
        ? []
        : [`ztunnel has the workload ${workload?.state ?? 'not at all'}`]),
    ...(certificate === undefined || certificate.isValid
      ? []
      : [`certificate of ${identity} is ${certificate.state}`]),
  ];
  const observed = lacking.length > 0 && seen.redirection === 'captured' ? 'partly' : seen.redirection;
  const missing = [...disagreement(intent, capture), ...lacking];
  return { ...seen, observed, certificate: certificate?.state, missing };
}

/** Whether the pod has a network namespace (its own, or its node's): by its phase, or because the agent found one. */
function hasStarted(
  { pod, intent }: { readonly pod: Pod; readonly intent: EnrollmentDecision },
  witnesses: NodeWitnesses | undefined,
  capture: PodCapture | undefined,
): boolean {
  if (pod.status?.phase !== 'Pending' || pod.spec.hostNetwork === true) return true;
  if (witnesses === undefined) return false;
  // An agent that is not asked for one namespace tells of the pods of the mesh only.
  if (witnesses.captures !== undefined && capture === undefined) return !intent.isEnrolled;
  if (capture !== undefined) return capture.netnsInode !== null;
  // Nobody can tell: containers that have run, or run now, need one.
  const { initContainerStatuses = [], containerStatuses = [] } = pod.status;
  return [...initContainerStatuses, ...containerStatuses].some(
    ({ state }) => state?.running !== undefined || state?.terminated !== undefined,
  );
}

function stillThere(
  seen: { readonly annotation: string | undefined; readonly ztunnel: string },
  capture: PodCapture | undefined,
  witnesses: NodeWitnesses | undefined,
): string[] {
  const listening = capture === undefined ? [] : proxyListeners(capture, seen.ztunnel);
  return [
    ...(seen.annotation === undefined ? [] : [`annotation ${redirection} is still ${seen.annotation}`]),
    ...(capture !== undefined && hasRules(capture) ? ['redirection rules are still in place'] : []),
    ...(capture !== undefined && capture.state !== 'none'
      ? [`the CNI agent still has the pod as ${capture.state}`]
      : []),
    ...(listening.length === 0 ? [] : [`ztunnel still listens on ${listening.join(', ')}`]),
    ...(witnesses?.dump === undefined || seen.ztunnel === 'absent' ? [] : ['ztunnel still has the workload']),
  ];
}

/** The agent goes by the settings it was started with, which may have changed since. */
function disagreement(intent: EnrollmentDecision, capture: PodCapture | undefined): string[] {
  const wanted = capture?.wanted;
  if (wanted === undefined || wanted.enroll === intent.isEnrolled) return [];
  return [`the CNI agent ${wanted.enroll ? 'takes it in' : 'leaves it out'}: ${wanted.reason}`];
}

/** Capture ports somebody listens on. A waypoint listens on 15008 itself: ztunnel's only while it has the workload. */
function proxyListeners(capture: PodCapture, ztunnel: string): readonly string[] {
  return ztunnel === 'absent' ? [] : capturePorts.filter((port) => capture.listeners[port] === true);
}

function hasRules({ rules }: PodCapture): boolean {
  return rules.presentCount === undefined ? rules.ok : rules.presentCount > 0;
}

function missingCapture(witnesses: NodeWitnesses | undefined, capture: PodCapture | undefined): string[] {
  if (witnesses?.captures === undefined) {
    return [`capture not observed: ${whyUnobserved(witnesses)}`];
  }
  if (capture === undefined) return ['the CNI agent does not know the pod'];
  const shownMax = 3;
  const silent = capturePorts.filter((port) => capture.listeners[port] !== true);
  const { ok, missing, overriding = [] } = capture.rules;
  return [
    ...(capture.error === undefined ? [] : [capture.error]),
    ...(overriding.length === 0
      ? []
      : [`redirection overridden by rules of others: ${overriding.slice(0, shownMax).join('; ')}`]),
    ...(ok || (missing.length === 0 && overriding.length > 0)
      ? []
      : [`redirection rules missing: ${missing.slice(0, shownMax).join('; ') || 'all'}`]),
    ...(silent.length === 0 ? [] : [`nothing listens on ${silent.join(', ')}`]),
  ];
}

function redirectionState(capture: PodCapture | undefined, ztunnel: string): 'captured' | 'free' | 'partly' {
  if (capture === undefined) return 'free';
  if (isCaptured(capture)) return 'captured';
  const isSomethingThere =
    hasRules(capture) || capture.state !== 'none' || proxyListeners(capture, ztunnel).length > 0;
  return isSomethingThere ? 'partly' : 'free';
}

function whyUnobserved(witnesses: NodeWitnesses | undefined): string {
  return witnesses?.captureError ?? 'the pod has no node';
}

function identityOf(pod: Pod, dump: ZtunnelDump | undefined, trustDomain: string): string {
  const { namespace = '', name } = pod.metadata;
  const workload = dump === undefined ? undefined : podInDump(dump, { namespace, name });
  return formatSpiffeId({
    trustDomain: workload?.trustDomain ?? trustDomain,
    namespace,
    serviceAccount: pod.spec.serviceAccountName ?? 'default',
  });
}

async function capturesOf(
  client: KubeClient,
  agent: Pod,
  of: readonly string[] | undefined,
): Promise<ReadonlyMap<string, PodCapture>> {
  const paths =
    of === undefined
      ? ['/debug/enrollment']
      : of.map((namespace) => `/debug/enrollment?namespace=${encodeURIComponent(namespace)}`);
  const reports = await Promise.all(
    paths.map((path) => adminGet(client, agent, path, (text) => JSON.parse(text) as CaptureReport)),
  );
  return new Map(reports.flatMap((r) => r.pods).map((p) => [`${p.namespace}/${p.name}`, p]));
}

/** Pods of a component, or why the user may not see them. */
async function seenPods(
  client: KubeClient,
  component: Component,
  meshNamespace: string,
): Promise<readonly Pod[] | string> {
  try {
    return await componentPods(client, component, meshNamespace);
  } catch (error) {
    if (isForbidden(error)) return messageOf(error);
    throw error;
  }
}

function onNode(candidates: readonly Pod[] | string, node: string): Pod | string | undefined {
  return typeof candidates === 'string' ? candidates : podOnNode(candidates, node);
}

async function ask<T>(
  pod: Pod | string | undefined,
  component: string,
  question: (pod: Pod) => Promise<T>,
): Promise<{ value?: T; error?: string }> {
  if (typeof pod === 'string') return { error: pod };
  if (pod === undefined) return { error: `no running ${component} on the node` };
  try {
    return { value: await question(pod) };
  } catch (error) {
    return { error: messageOf(error) };
  }
}

function keyOf(pod: Pod): string {
  return `${pod.metadata.namespace ?? ''}/${pod.metadata.name}`;
}
