import { counted } from '#base/collections/counted.js';
import { dataplaneMode } from '#base/kube/labels.js';
import { namespaces, pods, services } from '#base/kube/resource.js';
import type { Namespace, Pod, Service } from '#base/kube/types.js';
import type { Finding } from '../findings/finding.js';
import { foldFindings, worstError } from '../findings/fold.js';
import type { MeshObserver } from '../mesh-observer.js';
import { effectiveMtls, type EffectiveMtls } from '../mtls-report.js';
import { describeAll, meshLabels, type PodGroup } from '../pod/pod-group.js';
import { relevantTo, surroundings } from '../surroundings.js';
import { namedWaypoint } from '../../rules/waypoint-binding.js';

/** A Namespace: whether it is in the mesh, how its pods stand, and what is wrong. */
export interface NamespaceDescription extends PodGroup {
  readonly objectKind: 'Namespace';
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly isEnrolled: boolean;
  /** `namespace/name` of the waypoint that its services use unless they say otherwise. */
  readonly waypoint?: string;
  readonly mtls: EffectiveMtls;
  readonly serviceCount: number;
  /** Pods by verdict. */
  readonly counts: Readonly<Record<string, number>>;
  readonly summary: string;
  readonly findings: readonly Finding[];
}

/** Everything known of a Namespace. Rejects with MESH0204 when there is none. `now` in milliseconds. */
export async function describeNamespace(
  observer: MeshObserver,
  at: { readonly name: string; readonly now: number },
): Promise<NamespaceDescription> {
  const { client } = observer;
  const { name, now } = at;
  const namespace = await client.get<Namespace>({ resource: namespaces, name });
  const members = (await client.list<Pod>(pods, { namespace: name })).filter(
    ({ status }) => status?.phase !== 'Succeeded' && status?.phase !== 'Failed',
  );
  const nodes = [...new Set(members.flatMap(({ spec }) => spec.nodeName ?? []))];
  const [group, around, peers, settings, ofServices] = await Promise.all([
    describeAll(observer, members, now),
    surroundings(observer, { namespace: name, nodes, now }),
    observer.peerAuthentications(name),
    observer.settings(),
    client.list<Service>(services, { namespace: name }),
  ]);
  const all = foldFindings([
    ...around.runtime,
    ...group.pods.flatMap(({ findings }) => findings),
    ...around.configuration,
  ]);
  const findings = relevantTo(all, around.runtime);
  const labels = namespace.metadata.labels ?? {};
  const named = namedWaypoint(labels, name);
  const counts: Record<string, number> = {};
  for (const { verdict } of group.pods) counts[verdict] = (counts[verdict] ?? 0) + 1;
  const isEnrolled = labels[dataplaneMode] === 'ambient';
  return {
    objectKind: 'Namespace',
    namespace: name,
    name,
    labels: meshLabels(labels),
    isEnrolled,
    ...(named === undefined || named === 'none' ? {} : { waypoint: `${named.namespace}/${named.name}` }),
    mtls: effectiveMtls({ namespace: name, labels: {} }, peers, settings.mesh.rootNamespace),
    serviceCount: ofServices.length,
    counts,
    ...group,
    summary:
      worstError(findings)?.message ??
      `${isEnrolled ? 'in the mesh' : 'not in the mesh'}, ${counted(members.length, 'pod')}${countsText(counts)}`,
    findings,
  };
}

function countsText(counts: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counts).map(([verdict, count]) => `${count} ${verdict}`);
  return parts.length === 0 ? '' : `: ${parts.join(', ')}`;
}
