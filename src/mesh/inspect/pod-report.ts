import { labelSelectorMatches, redirection, useWaypoint, useWaypointNamespace } from '#base/kube/labels.js';
import { namespaces, pods, services } from '#base/kube/resource.js';
import type { Namespace, Pod, Service } from '#base/kube/types.js';
import { isCaptured, type PodCapture } from './capture-report.js';
import { certificateOf, type CertificateReport } from './certificate-report.js';
import { isPodReady } from './component-pods.js';
import { connectionReports, type ConnectionReport } from './connection-report.js';
import { type EnrollmentIntent, enrollmentIntent } from './enrollment-intent.js';
import type { Finding } from './finding.js';
import type { MeshObserver } from './mesh-observer.js';
import { type EffectiveMtls, effectiveMtls } from './mtls-mode.js';
import { podFindings } from './pod-findings.js';
import { type AppliedPolicy, appliedPolicies } from './policy-report.js';

/** How a pod stands to the mesh, in one word. */
export type PodVerdict =
  /** Every live connection was seen encrypted. */
  | 'mtls'
  /** Live connections in plaintext beside encrypted ones, or alone. */
  | 'plaintext'
  /** Captured, with a valid certificate; no live connection to look at. */
  | 'ready'
  /** Should be in the mesh and is not (or the reverse), or cannot prove its identity. */
  | 'broken'
  /** Something that would tell could not be asked. */
  | 'unknown'
  | 'not-in-mesh';

export interface ServiceBinding {
  readonly name: string;
  readonly address: string;
  readonly ports: readonly number[];
  /** Waypoint asked for by labels; `isReady` as observed. */
  readonly waypoint?: {
    readonly namespace: string;
    readonly name: string;
    readonly isReady: boolean;
    readonly why: string;
  };
}

export interface PodReport {
  readonly pod: {
    readonly namespace: string;
    readonly name: string;
    readonly uid: string;
    readonly node: string;
    readonly ips: readonly string[];
    readonly serviceAccount: string;
    readonly phase: string;
    readonly isReady: boolean;
  };
  readonly verdict: PodVerdict;
  readonly summary: string;
  readonly intent: EnrollmentIntent;
  readonly observed: {
    readonly annotation: string | undefined;
    /** As the CNI agent sees it in the pod's network namespace now; undefined when unknown. */
    readonly capture: PodCapture | undefined;
    readonly captureUnknown?: string;
    readonly ztunnel: string | undefined;
    readonly ztunnelState: string | undefined;
    readonly ztunnelUnknown?: string;
  };
  readonly identity: string;
  readonly certificate: CertificateReport | undefined;
  readonly mtls: EffectiveMtls;
  readonly services: readonly ServiceBinding[];
  readonly policies: readonly AppliedPolicy[];
  readonly connections: readonly ConnectionReport[];
  readonly findings: readonly Finding[];
}

/** Everything known of one pod: what is asked for, what is observed, and where they differ. */
export async function describePod(
  observer: MeshObserver,
  at: { readonly namespace: string; readonly name: string; readonly now: number },
): Promise<PodReport> {
  const { client } = observer;
  const pod = await client.get<Pod>({ resource: pods, name: at.name, namespace: at.namespace });
  const [namespace, allServices, peers, policies, dumpSeen, captureSeen] = await Promise.all([
    client.getOrUndefined<Namespace>({ resource: namespaces, name: at.namespace }),
    client.list<Service>(services, { namespace: at.namespace }),
    observer.peerAuthentications(),
    observer.authorizationPolicies(),
    observer.dump(pod.spec.nodeName ?? ''),
    observer.capture(pod),
  ]);
  const intent = enrollmentIntent(pod, namespace);
  const dump = dumpSeen.value;
  const capture = captureSeen.value?.pods.find((p) => p.name === at.name && p.namespace === at.namespace);
  const uid = pod.metadata.uid ?? '';
  const serviceAccount = pod.spec.serviceAccountName ?? 'default';
  const workload = dump?.workloads.find((w) => w.namespace === at.namespace && w.name === at.name);
  const identity = `spiffe://${workload?.trustDomain ?? 'cluster.local'}/ns/${at.namespace}/sa/${serviceAccount}`;
  const own = allServices.filter(
    (s) =>
      s.spec.selector !== undefined &&
      labelSelectorMatches({ matchLabels: s.spec.selector }, pod.metadata.labels),
  );
  const bindings = await Promise.all(own.map((s) => bindService(observer, s, namespace)));
  const bound = bindings.find((b) => b.waypoint !== undefined)?.waypoint;
  const loaded =
    bound === undefined ? undefined : await observer.waypointPolicies(bound.namespace, bound.name);
  const connections = dump === undefined ? [] : connectionReports(dump, uid);
  const facts = {
    pod: {
      namespace: at.namespace,
      name: at.name,
      uid,
      node: pod.spec.nodeName ?? '',
      ips: pod.status?.podIPs?.map((i) => i.ip) ?? [],
      serviceAccount,
      phase: pod.status?.phase ?? 'Unknown',
      isReady: isPodReady(pod),
    },
    intent,
    observed: {
      annotation: pod.metadata.annotations?.[redirection],
      capture,
      ...(captureSeen.value === undefined ? { captureUnknown: captureSeen.why } : {}),
      ztunnel: dumpSeen.value === undefined ? undefined : dumpSeen.by,
      ztunnelState: dump?.workloadState[uid]?.state,
      ...(dumpSeen.value === undefined ? { ztunnelUnknown: dumpSeen.why } : {}),
    },
    identity,
    certificate: dump === undefined ? undefined : certificateOf(dump, identity, at.now),
    mtls: effectiveMtls(pod, peers, observer.meshNamespace),
    services: bindings,
    policies: appliedPolicies({
      pod,
      policies,
      rootNamespace: observer.meshNamespace,
      dump: intent.isEnrolled ? dump : undefined,
      serviceNames: own.map((s) => s.metadata.name),
      waypoint: bound === undefined ? undefined : { ...bound, loaded: loaded?.value },
    }),
    connections,
  };
  return { ...facts, ...judge(facts), findings: podFindings(facts) };
}

/** What {@link describePod} gathered, before anything is concluded from it. */
export type PodFacts = Omit<PodReport, 'verdict' | 'summary' | 'findings'>;

/** The conclusion, from the weakest evidence up. Claims encryption only where it was seen. */
export function judge(facts: PodFacts): Pick<PodReport, 'verdict' | 'summary'> {
  const { intent, observed, certificate, connections } = facts;
  const hasCapture = observed.capture !== undefined && isCaptured(observed.capture);
  if (!intent.isEnrolled) {
    return hasCapture
      ? { verdict: 'broken', summary: `captured although it should not be: ${intent.reason}` }
      : { verdict: 'not-in-mesh', summary: `not in the mesh: ${intent.reason}` };
  }
  if (observed.capture !== undefined && !hasCapture) {
    return {
      verdict: 'broken',
      summary: 'enrolled, but not captured: its traffic does not go through the mesh',
    };
  }
  if (observed.capture === undefined || certificate === undefined) {
    return { verdict: 'unknown', summary: 'enrolled; what it really does could not be observed' };
  }
  if (!certificate.isValid || observed.ztunnelState !== 'Up') {
    return {
      verdict: 'broken',
      summary: 'captured, but without a working proxy and certificate: its traffic is refused',
    };
  }
  const encrypted = connections.filter((c) => c.isEncrypted);
  if (connections.length === 0) {
    return {
      verdict: 'ready',
      summary: 'captured and ready for mTLS; no live connection to observe right now',
    };
  }
  const first = encrypted[0];
  if (first !== undefined && encrypted.length === connections.length) {
    return {
      verdict: 'mtls',
      summary: `mTLS: ${connections.length} of ${connections.length} live connections encrypted (${first.evidence})`,
    };
  }
  return {
    verdict: 'plaintext',
    summary: `${encrypted.length} of ${connections.length} live connections encrypted`,
  };
}

async function bindService(
  observer: MeshObserver,
  service: Service,
  namespace: Namespace | undefined,
): Promise<ServiceBinding> {
  const common = {
    name: service.metadata.name,
    address: service.spec.clusterIP ?? 'None',
    ports: service.spec.ports?.map((p) => p.port) ?? [],
  };
  const labels =
    service.metadata.labels?.[useWaypoint] === undefined
      ? namespace?.metadata.labels
      : service.metadata.labels;
  const name = labels?.[useWaypoint];
  if (name === undefined || name === 'none') return common;
  const home = labels?.[useWaypointNamespace] ?? service.metadata.namespace ?? '';
  const report = await observer.waypoint(home, name);
  return {
    ...common,
    waypoint: {
      namespace: home,
      name,
      isReady: report?.isReady === true,
      why: report === undefined ? 'no such Gateway' : report.isReady ? 'ready' : report.programmed.message,
    },
  };
}
