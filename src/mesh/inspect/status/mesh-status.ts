import { isForbidden, isNotFound } from '#base/kube/api-error.js';
import { groupBy } from '#base/collections/group-by.js';
import type { Node, Pod } from '#base/kube/types.js';
import { checkConfiguration, checkedResources } from '../checks/configuration-checks.js';
import { isPodReady } from '../component-pods.js';
import { readConfiguration } from '../configuration/live-configuration.js';
import { assessEnrollment, enrollablePods, type PodEnrollment, witnessesOf } from '../enrollment.js';
import { enrollmentFindings } from '../enrollment-findings.js';
import { type Finding, subjectOf } from '../findings/finding.js';
import { asConsequencesOf, foldFindings } from '../findings/fold.js';
import { unreadyWaypoints } from '../gateway-findings.js';
import type { MeshObserver } from '../mesh-observer.js';
import { type ComponentVersion, meshVersions } from '../mesh-versions.js';
import { runtimeFindings } from '../runtime/runtime-findings.js';
import type { ZtunnelDump } from '../ztunnel-dump.js';
import { listWaypoints, type WaypointReport } from '../waypoint-report.js';
import { type CertificateSummary, certificateSummary } from './certificate-summary.js';
import { refusedCalls, type RefusedCalls } from './refused-calls.js';

/** A component's pod on a node. */
export interface NodeComponent {
  readonly pod: string;
  readonly version: string;
  readonly isReady: boolean;
}

/** One node: what of the mesh runs there, and how its pods stand. */
export interface MeshNode {
  readonly name: string;
  readonly isReady: boolean;
  readonly ztunnel: NodeComponent | undefined;
  readonly cni: NodeComponent | undefined;
  /** Pods that belong in the mesh, those of them that are captured, and those that have not started. */
  readonly pods: { readonly enrolled: number; readonly captured: number; readonly starting: number };
}

/** The whole mesh on one screen. */
export interface MeshStatus {
  readonly namespace: string;
  readonly controllers: readonly (NodeComponent & { readonly node: string })[];
  readonly nodes: readonly MeshNode[];
  readonly waypoints: readonly WaypointReport[];
  readonly certificates: CertificateSummary;
  /** Of the last five minutes, the newest first. */
  readonly refusedCalls: readonly RefusedCalls[];
  readonly findings: readonly Finding[];
}

/**
 * Looks at everything of the mesh once. `now` in milliseconds; `interruption`: that its installation stopped half-way,
 * from which follows what it lacks.
 */
export async function meshStatus(
  observer: MeshObserver,
  { now, interruption }: { readonly now: number; readonly interruption?: Finding | undefined },
): Promise<MeshStatus> {
  const { client, meshNamespace } = observer;
  const [
    allNodes,
    versions,
    controllers,
    proxies,
    agents,
    waypoints,
    trust,
    runtime,
    enrollment,
    configuration,
  ] = await Promise.all([
    observer.nodes(),
    meshVersions(observer),
    observer.components('controller'),
    observer.components('ztunnel'),
    observer.components('cni'),
    orNone(listWaypoints(client, {})),
    observer.trust(),
    runtimeFindings(observer, { now }),
    enrollmentOf(observer, now),
    readConfiguration(observer, { resources: checkedResources() }),
  ]);
  const byNode = groupBy(enrollment, ({ node }) => node);
  const named = [...allNodes.map(({ metadata }) => metadata.name), ...[...proxies, ...agents].map(nodeOf)];
  const component = (pods: readonly Pod[], name: string): NodeComponent | undefined => {
    const pod = pods.find((candidate) => nodeOf(candidate) === name);
    return pod === undefined ? undefined : componentOf(pod, versions);
  };
  return {
    namespace: meshNamespace,
    controllers: controllers.map((pod) => ({ ...componentOf(pod, versions), node: nodeOf(pod) })),
    nodes: [...new Set(named)]
      .filter((name) => name !== '')
      .sort()
      .map((name) => ({
        name,
        isReady: isNodeReady(allNodes.find(({ metadata }) => metadata.name === name)),
        ztunnel: component(proxies, name),
        cni: component(agents, name),
        pods: podCounts(byNode.get(name) ?? []),
      })),
    waypoints,
    certificates: certificateSummary(trust, now),
    refusedCalls: refusedCalls(await ownDumps(observer, proxies), now),
    findings: foldFindings([
      ...asConsequencesOf(interruption, [
        ...runtime,
        ...enrollmentFindings(enrollment, { meshNamespace, parts: [...agents, ...proxies] }),
        ...unreadyWaypoints(waypoints, meshNamespace),
      ]),
      ...(interruption === undefined ? [] : [interruption]),
      ...checkConfiguration(configuration),
    ]),
  };
}

/** What the node proxies that answer tell; those that do not are in the findings. */
async function ownDumps(
  observer: MeshObserver,
  proxies: readonly Pod[],
): Promise<readonly { readonly node: string; readonly dump: ZtunnelDump }[]> {
  const nodes = [...new Set(proxies.map(nodeOf))];
  const dumps = await Promise.all(
    nodes.map(async (node) => ({ node, dump: (await observer.ownDump(node)).value })),
  );
  return dumps.flatMap(({ node, dump }) => (dump === undefined ? [] : [{ node, dump }]));
}

async function enrollmentOf(observer: MeshObserver, now: number): Promise<readonly PodEnrollment[]> {
  const { client, meshNamespace } = observer;
  const settings = await observer.settings();
  const subjects = await orNone(enrollablePods(client, { meshNamespace, namespaces: undefined, settings }));
  return Promise.all(
    subjects
      .filter(({ intent }) => intent.isEnrolled)
      .map(async ({ pod, intent }) => {
        const node = nodeOf(pod);
        const witnesses =
          node === ''
            ? undefined
            : witnessesOf(...(await Promise.all([observer.captures(node), observer.ownDump(node)])));
        return assessEnrollment({ pod, intent, trustDomain: settings.mesh.trustDomain, witnesses, now });
      }),
  );
}

function podCounts(pods: readonly PodEnrollment[]): MeshNode['pods'] {
  const count = (observed: PodEnrollment['observed']): number =>
    pods.filter((pod) => pod.observed === observed).length;
  return { enrolled: pods.length, captured: count('captured'), starting: count('notStarted') };
}

function componentOf(pod: Pod, versions: readonly ComponentVersion[]): NodeComponent {
  const { name } = subjectOf({ kind: 'Pod', metadata: pod.metadata });
  const version = versions.find((known) => known.pod === name)?.version ?? '';
  return { pod: name, version, isReady: isPodReady(pod) };
}

function nodeOf({ spec }: Pod): string {
  return spec.nodeName ?? '';
}

/** A node that nobody may list is taken at the word of what runs on it. */
function isNodeReady(node: Node | undefined): boolean {
  return (
    node === undefined ||
    node.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') === true
  );
}

/** What does not exist, or may not be listed, is none; that it was not seen stands in the findings. */
async function orNone<T>(list: Promise<readonly T[]>): Promise<readonly T[]> {
  try {
    return await list;
  } catch (error) {
    if (isNotFound(error) || isForbidden(error)) return [];
    throw error;
  }
}
