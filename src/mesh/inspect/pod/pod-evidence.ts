import { redirection } from '#base/kube/labels.js';
import { pods } from '#base/kube/resource.js';
import type { Distrust } from '../trust.js';
import type { Pod } from '#base/kube/types.js';
import { formatSpiffeId } from '../../identity/spiffe.js';
import { decideEnrollment, type EnrollmentDecision } from '../../rules/enrollment.js';
import { serviceFacts } from '../../rules/facts.js';
import { selectsLabels } from '../../rules/policy-targets.js';
import type { PodCapture } from '../capture-report.js';
import { certificateOf, type CertificateReport } from '../certificate-report.js';
import { isPodReady } from '../component-pods.js';
import { meshRole } from '../mesh-role.js';
import type { Finding } from '../findings/finding.js';
import { isHeldUp, podReason } from '../pod-reason.js';
import { silentWaypoint } from '../runtime/silence-findings.js';
import { meshTrust } from '../runtime/trust-findings.js';
import { podEvents } from '../pod-trouble.js';
import { connectionReports, type ConnectionReport } from '../connection-report.js';
import type { MeshObserver } from '../mesh-observer.js';
import { type EffectiveMtls, effectiveMtls, type ObservedMtls, observedMtls } from '../mtls-report.js';
import type { AppliedPolicy } from '../policies/applied-policy.js';
import { appliedPolicies } from '../policies/policy-report.js';
import {
  observeBindings,
  type PodBindings,
  type ServiceBinding,
  serviceBinding,
  type WaypointUse,
} from '../waypoint-bindings.js';
import { podInDump, type ZtunnelDump } from '../ztunnel-dump.js';

/** What is asked for and what is observed of one pod, before anything is concluded from it. */
export interface PodEvidence {
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
  /** Set for a pod of the mesh itself: what it is, in words. */
  readonly role?: string;
  /** Why the pod has no network yet, and the events that tell of it. */
  readonly notStarted?: {
    readonly why: string;
    readonly isHeldUp: boolean;
    readonly events: readonly string[];
  };
  readonly meshNamespace: string;
  readonly intent: EnrollmentDecision;
  readonly observed: {
    readonly annotation: string | undefined;
    /** As the CNI agent sees it in the pod's network namespace now; undefined when unknown. */
    readonly capture: PodCapture | undefined;
    readonly captureUnknown?: string;
    /** The user may not ask those who would tell. */
    readonly isHidden?: boolean;
    readonly ztunnel: string | undefined;
    readonly ztunnelState: string | undefined;
    readonly ztunnelUnknown?: string;
    /** Pods of the mesh on the pod's node, ready or not. */
    readonly components: readonly string[];
    /** The inbound mode that the node proxy enforces; undefined when it has no such workload or could not be asked. */
    readonly mtls: ObservedMtls | undefined;
  };
  readonly identity: string;
  readonly certificate: CertificateReport | undefined;
  readonly mtls: EffectiveMtls;
  /** The waypoint for calls to the pod's own address. */
  readonly waypoint?: WaypointUse;
  readonly services: readonly ServiceBinding[];
  readonly policies: readonly AppliedPolicy[];
  readonly connections: readonly ConnectionReport[];
  /** Proxies with which the pod's node proxy cannot speak, in either direction. */
  readonly distrust: readonly Distrust[];
  /** Waypoints in the way of calls to the pod whose ready instance does not answer. */
  readonly silentWaypoints: readonly Finding[];
  /** Settings of the mesh that could not be read: there the defaults were assumed. */
  readonly assumptions: readonly string[];
}

/** Gathers everything known of a pod. Rejects with MESH0204 when there is no such pod. */
export async function gatherPodEvidence(
  observer: MeshObserver,
  at: { readonly namespace: string; readonly name: string; readonly now: number },
): Promise<PodEvidence> {
  const { client } = observer;
  const pod = await client.get<Pod>({ resource: pods, name: at.name, namespace: at.namespace });
  const [settings, namespace, services, peers, dumpSeen, captureSeen] = await Promise.all([
    observer.settings(),
    observer.namespace(at.namespace),
    observer.services(at.namespace),
    observer.peerAuthentications(at.namespace),
    observer.dump(pod.spec.nodeName ?? ''),
    observer.capture(pod),
  ]);
  const { mesh } = settings;
  const role = meshRole(pod, observer.meshNamespace);
  const isWaiting = pod.status?.phase === 'Pending' && (pod.status.podIPs ?? []).length === 0;
  const [events, components] = await Promise.all([
    isWaiting ? podEvents(client, pod) : [],
    Promise.all([observer.components('cni'), observer.components('ztunnel')]),
  ]);
  const intent = decideEnrollment(pod, namespace?.metadata.labels, settings.enrollment);
  const dump = dumpSeen.value;
  const capture = captureSeen.value?.pods.find((p) => p.name === at.name && p.namespace === at.namespace);
  const uid = pod.metadata.uid ?? '';
  const serviceAccount = pod.spec.serviceAccountName ?? 'default';
  const workload = dump === undefined ? undefined : podInDump(dump, at);
  const identity = formatSpiffeId({
    trustDomain: workload?.trustDomain ?? mesh.trustDomain,
    namespace: at.namespace,
    serviceAccount,
  });
  const account = await observer.serviceAccount(at.namespace, serviceAccount);
  const bindings = await observeBindings(observer, {
    home: at.namespace,
    pod,
    accountLabels: account?.metadata.labels,
    namespace,
    services: services
      .flatMap((service) => serviceFacts(service) ?? [])
      .filter(({ selector }) => selectsLabels(selector, pod.metadata.labels ?? {})),
  });
  return {
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
    ...(role === undefined ? {} : { role }),
    ...(isWaiting ? { notStarted: { why: podReason(pod), isHeldUp: isHeldUp(pod), events } } : {}),
    meshNamespace: observer.meshNamespace,
    intent,
    observed: {
      annotation: pod.metadata.annotations?.[redirection],
      capture,
      ...(captureSeen.value === undefined
        ? { captureUnknown: captureSeen.why, isHidden: captureSeen.isHidden === true }
        : {}),
      ztunnel: dumpSeen.value === undefined ? undefined : dumpSeen.by,
      ztunnelState: dump?.workloadState[uid]?.state,
      components: components
        .flat()
        .filter(({ spec }) => spec.nodeName === pod.spec.nodeName)
        .map(({ metadata }) => metadata.name),
      ...(dumpSeen.value === undefined ? { ztunnelUnknown: dumpSeen.why } : {}),
      mtls: dump === undefined || workload === undefined ? undefined : observedMtls(dump, workload),
    },
    identity,
    certificate: dump === undefined ? undefined : certificateOf(dump, identity, at.now),
    mtls: effectiveMtls(
      { namespace: at.namespace, labels: pod.metadata.labels ?? {} },
      peers,
      mesh.rootNamespace,
    ),
    ...(bindings.own === undefined ? {} : { waypoint: bindings.own }),
    services: bindings.services.map(serviceBinding),
    policies: await gatherPolicies(observer, { pod, isEnrolled: intent.isEnrolled, dump, bindings }),
    connections: dump === undefined ? [] : connectionReports(dump, uid),
    distrust:
      intent.isEnrolled && dumpSeen.value !== undefined
        ? await gatherDistrust(observer, pod, dumpSeen.by)
        : [],
    silentWaypoints: await gatherSilentWaypoints(observer, bindings),
    assumptions: [...new Set(observer.assumptions)],
  };
}

async function gatherSilentWaypoints(
  observer: MeshObserver,
  { waypoints }: PodBindings,
): Promise<readonly Finding[]> {
  const found = await Promise.all(
    [...waypoints.keys()].map(async (key) => {
      const [namespace = '', name = ''] = key.split('/');
      const { from, ...seen } = await observer.waypointPolicies(namespace, name);
      return from === undefined ? [] : silentWaypoint(from, seen);
    }),
  );
  return found.flat();
}

async function gatherDistrust(
  observer: MeshObserver,
  pod: Pod,
  ztunnel: string,
): Promise<readonly Distrust[]> {
  const isOwn = (proxy: string): boolean => proxy.startsWith(`${ztunnel} `);
  const { distrust } = await meshTrust(observer, pod.spec.nodeName ?? '');
  return distrust.filter(({ proxy, holder }) => isOwn(proxy) || isOwn(holder));
}

async function gatherPolicies(
  observer: MeshObserver,
  of: {
    readonly pod: Pod;
    readonly isEnrolled: boolean;
    readonly dump: ZtunnelDump | undefined;
    readonly bindings: PodBindings;
  },
): Promise<readonly AppliedPolicy[]> {
  const [policies, { mesh }, loadedAt] = await Promise.all([
    observer.authorizationPolicies(of.pod.metadata.namespace ?? ''),
    observer.settings(),
    Promise.all(
      [...of.bindings.waypoints.keys()].map(async (key) => {
        const [namespace = '', name = ''] = key.split('/');
        return [key, (await observer.waypointPolicies(namespace, name)).value] as const;
      }),
    ),
  ]);
  const classes = [...of.bindings.waypoints.values()].map((waypoint) => waypoint?.className ?? '');
  const gatewayClasses = await Promise.all([...new Set(classes)].map((name) => observer.gatewayClass(name)));
  return appliedPolicies({
    ...of,
    policies,
    mesh,
    gatewayClasses: gatewayClasses.filter((found) => found !== undefined),
    loadedAt: new Map(loadedAt),
  });
}
