import { counted } from '#base/collections/counted.js';
import { nodes as nodeResource, pods } from '#base/kube/resource.js';
import type { Node, Pod } from '#base/kube/types.js';
import { isPodReady, podOnNode } from '../component-pods.js';
import { assessEnrollment, witnessesOf } from '../enrollment.js';
import { decideEnrollment } from '../../rules/enrollment.js';
import { enrollmentFindings } from '../enrollment-findings.js';
import type { Finding } from '../findings/finding.js';
import { findingsConcerning, foldFindings, worstError } from '../findings/fold.js';
import type { MeshObserver } from '../mesh-observer.js';
import { imageTag } from '../mesh-versions.js';
import { relevantTo } from '../surroundings.js';
import { controllerStoppedCode } from '../runtime/controller-findings.js';
import { runtimeFindings } from '../runtime/runtime-findings.js';
import { certificateSummary, type CertificateSummary } from '../status/certificate-summary.js';

/** What of the mesh runs on a node. */
export interface NodePart {
  readonly pod: string;
  readonly version: string;
  readonly isReady: boolean;
}

/** A node: whether it is ready, what of the mesh runs there, and how its pods stand. */
export interface NodeDescription {
  readonly name: string;
  readonly isReady: boolean;
  /** Since when, and why, when it is not. */
  readonly readiness: string;
  readonly ztunnel: NodePart | undefined;
  readonly cni: NodePart | undefined;
  /** Whether the rules that let the kubelet's probes in are there; undefined when the agent could not be asked. */
  readonly hostRulesOk: boolean | undefined;
  readonly certificates: CertificateSummary | undefined;
  readonly clockAheadMs: number | undefined;
  readonly pods: readonly { readonly namespace: string; readonly name: string; readonly observed: string }[];
  readonly summary: string;
  readonly findings: readonly Finding[];
}

/** Everything known of a node. Rejects with MESH0204 when there is none. `now` in milliseconds. */
export async function describeNode(
  observer: MeshObserver,
  at: { readonly name: string; readonly now: number },
): Promise<NodeDescription> {
  const { client } = observer;
  const { name, now } = at;
  const node = await client.get<Node>({ resource: nodeResource, name });
  const [proxies, agents, captures, dump, settings, members, runtime] = await Promise.all([
    observer.components('ztunnel'),
    observer.components('cni'),
    observer.captures(name),
    observer.dump(name),
    observer.settings(),
    client.list<Pod>(pods, { fieldSelector: `spec.nodeName=${name}` }),
    runtimeFindings(observer, { nodes: [name], now }),
  ]);
  const namespaces = new Map(
    await Promise.all(
      [...new Set(members.map(({ metadata }) => metadata.namespace ?? ''))].map(
        async (namespace) => [namespace, (await observer.namespace(namespace))?.metadata.labels] as const,
      ),
    ),
  );
  const witnesses = witnessesOf(captures, dump);
  const enrolled = members
    .map((pod) => ({
      pod,
      intent: decideEnrollment(pod, namespaces.get(pod.metadata.namespace ?? ''), settings.enrollment),
    }))
    .filter(({ intent }) => intent.isEnrolled)
    .map((one) => assessEnrollment({ ...one, trustDomain: settings.mesh.trustDomain, witnesses, now }));
  const subject = { kind: 'Node', name };
  const findings = foldFindings([
    ...runtime,
    ...enrollmentFindings(enrolled, {
      meshNamespace: observer.meshNamespace,
      parts: [...agents, ...proxies],
    }),
  ]);
  const isOutage = ({ code }: Finding): boolean => code === controllerStoppedCode;
  const own = [
    ...new Set([
      ...findingsConcerning(findings, subject),
      ...findings.filter(({ consequences }) => consequences !== undefined),
    ]),
  ]
    .filter((finding) => !isOutage(finding))
    .concat(relevantTo(findings, runtime).filter(isOutage));
  const ready = node.status?.conditions?.find(({ type }) => type === 'Ready');
  const captured = enrolled.filter(({ observed }) => observed === 'captured').length;
  return {
    name,
    isReady: ready?.status === 'True',
    readiness: `${ready?.status ?? 'Unknown'}${ready?.lastTransitionTime === undefined ? '' : ` since ${ready.lastTransitionTime}`}${ready?.status === 'True' ? '' : `: ${ready?.message ?? ''}`}`,
    ztunnel: partOf(podOnNode(proxies, name)),
    cni: partOf(podOnNode(agents, name)),
    hostRulesOk: captures.value?.hostRules.ok,
    certificates:
      dump.value === undefined
        ? undefined
        : certificateSummary([{ proxy: name, identities: dump.value.certificates }], now),
    clockAheadMs: captures.value?.clockAheadMs,
    pods: enrolled.map(({ namespace, name: pod, observed }) => ({ namespace, name: pod, observed })),
    summary:
      worstError(own)?.message ??
      `ready, ${captured} of ${counted(enrolled.length, 'pod')} of the mesh captured`,
    findings: own,
  };
}

function partOf(pod: Pod | undefined): NodePart | undefined {
  return pod === undefined
    ? undefined
    : { pod: pod.metadata.name, version: imageTag(pod), isReady: isPodReady(pod) };
}
