import { someOf } from '#base/collections/some-of.js';
import { mapConcurrently } from '#base/system/concurrency.js';
import { podAsksMax } from '#base/kube/port-forward.js';
import { assessEnrollment, enrollablePods, witnessesOf } from '../../inspect/enrollment.js';
import { componentPods, isPodReady, podOnNode } from '../../inspect/component-pods.js';
import type { MeshObserver, Observation } from '../../inspect/mesh-observer.js';
import type { ZtunnelDump } from '../../inspect/ztunnel-dump.js';
import type { CaptureReport } from '../../inspect/capture-report.js';
import { nodeMatches } from '#base/kube/node-selector.js';
import { daemonSets, nodes } from '#base/kube/resource.js';
import type { DaemonSet, KubeObject, Pod } from '#base/kube/types.js';
import { annotatedState, type EnrollmentDecision } from '../../rules/enrollment.js';
import { type FindingSubject, subjectOf } from '../../inspect/findings/finding.js';
import { type Check, check } from './check.js';

/** Every node: agent and proxy ready and connected, and every enrolled pod on it captured. `now` in milliseconds. */
export async function checkNodes(observer: MeshObserver, now: number): Promise<Check[]> {
  const { client, meshNamespace } = observer;
  const settings = await observer.settings();
  const { trustDomain } = settings.mesh;
  const [agents, proxies, subjects] = await Promise.all([
    componentPods(client, 'cni', meshNamespace),
    componentPods(client, 'ztunnel', meshNamespace),
    enrollablePods(client, { meshNamespace, namespaces: undefined, settings }),
  ]);
  const enrolled = subjects.filter(({ intent }) => intent.isEnrolled);
  const captured = subjects.map(({ pod }) => pod).filter((pod) => annotatedState(pod) !== undefined);
  const nodeNames = new Set(
    [...agents, ...proxies, ...captured, ...enrolled.map(({ pod }) => pod)].map((p) => p.spec.nodeName ?? ''),
  );
  nodeNames.delete('');
  const checks = await mapConcurrently(
    [...nodeNames].sort(),
    async (node) => {
      const [captures, dump] = await Promise.all([observer.captures(node), observer.ownDump(node)]);
      const own = enrolled.filter(({ pod }) => pod.spec.nodeName === node);
      const agent = podOnNode(agents, node);
      const proxy = podOnNode(proxies, node);
      return [
        ...nodeFacts(node, {
          agent,
          absence:
            agent === undefined
              ? await agentAbsence(observer, { node, captured: captured.filter(isOn(node)) })
              : undefined,
          proxy,
          meshNamespace,
          captures,
          dump,
        }),
        ...own.flatMap(({ pod, intent }) =>
          podFact({ pod, intent, trustDomain, captures, dump, now, meshNamespace, servedBy: [agent, proxy] }),
        ),
      ];
    },
    podAsksMax,
  );
  return checks.flat();
}

function nodeFacts(
  node: string,
  seen: {
    agent: Pod | undefined;
    /** Why there is no agent, and what that means there. */
    absence: string | undefined;
    proxy: Pod | undefined;
    meshNamespace: string;
    captures: Observation<CaptureReport>;
    dump: Observation<ZtunnelDump>;
  },
): Check[] {
  const { agent, proxy } = seen;
  const on = { kind: 'Node', name: node };
  const of = { area: 'node', subject: `Node ${node}`, code: 'MESH0333' };
  const byAgent = [on, ...subjectsOf(agent), daemonSet('istio-cni-node', seen.meshNamespace)];
  const byProxy = [on, ...subjectsOf(proxy), daemonSet('ztunnel', seen.meshNamespace)];
  const report = seen.captures.value;
  const unseen = seen.captures.value === undefined ? seen.captures.why : undefined;
  return [
    check({
      ...of,
      fact: 'runs a ready CNI agent',
      problem: seen.absence ?? readiness(agent, 'CNI agent'),
      dependsOn: byAgent,
    }),
    check({
      ...of,
      fact: 'runs a ready node proxy',
      problem: readiness(proxy, 'ztunnel'),
      dependsOn: byProxy,
    }),
    check({
      ...of,
      fact: 'has its node proxy connected to its CNI agent',
      problem:
        report === undefined
          ? `the CNI agent could not be asked: ${unseen}`
          : report.ztunnel.connected
            ? undefined
            : 'no ztunnel is connected to the CNI agent: new pods are not served',
      dependsOn: [...byAgent, ...byProxy],
    }),
    check({
      ...of,
      fact: "lets the kubelet's probes reach captured pods",
      problem:
        report === undefined
          ? `the CNI agent could not be asked: ${unseen}`
          : report.hostRules.ok
            ? undefined
            : `rules are missing on the node: ${report.hostRules.missing.join('; ')}`,
      dependsOn: byAgent,
    }),
    check({
      ...of,
      fact: 'has a node proxy that shows its configuration',
      problem: seen.dump.value === undefined ? `ztunnel could not be asked: ${seen.dump.why}` : undefined,
      dependsOn: byProxy,
    }),
  ];
}

const namedMax = 5;

/** A node that the agent left for good keeps its captured pods and lets no new ones of the mesh in. */
async function agentAbsence(
  { client, meshNamespace }: MeshObserver,
  { node, captured }: { readonly node: string; readonly captured: readonly Pod[] },
): Promise<string> {
  const [daemonSet, subject] = await Promise.all([
    client.getOrUndefined<DaemonSet>({
      resource: daemonSets,
      namespace: meshNamespace,
      name: 'istio-cni-node',
    }),
    client.getOrUndefined<KubeObject>({ resource: nodes, name: node }),
  ]);
  const isSelected =
    daemonSet === undefined || subject === undefined || nodeMatches(daemonSet.spec.template.spec, subject);
  const why =
    daemonSet === undefined
      ? ': the DaemonSet istio-cni-node is gone'
      : isSelected
        ? ''
        : ': the DaemonSet istio-cni-node does not select it';
  if (captured.length === 0) return `no CNI agent runs on it${why}`;
  const names = captured.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`);
  return (
    `no CNI agent runs on it${why}; nobody repairs or releases the pods that are captured there ` +
    `(${someOf(names, namedMax)}), and new pods of the mesh are held back`
  );
}

function isOn(node: string): (pod: Pod) => boolean {
  return (pod) => pod.spec.nodeName === node;
}

function readiness(pod: Pod | undefined, component: string): string | undefined {
  if (pod === undefined) return `no ${component} runs on it`;
  return isPodReady(pod) ? undefined : `${component} pod ${pod.metadata.name} is not ready`;
}

/** Nothing of a pod that has not started. */
function podFact(from: {
  pod: Pod;
  intent: EnrollmentDecision;
  trustDomain: string;
  captures: Observation<CaptureReport>;
  dump: Observation<ZtunnelDump>;
  now: number;
  meshNamespace: string;
  /** Agent and node proxy of its node. */
  servedBy: readonly (Pod | undefined)[];
}): Check[] {
  const { pod, intent, trustDomain, captures, dump, now, meshNamespace, servedBy } = from;
  const { missing, notStarted } = assessEnrollment({
    pod,
    intent,
    trustDomain,
    witnesses: witnessesOf(captures, dump),
    now,
  });
  // Captured before its first container starts: there is nothing to look at yet, and nothing wrong.
  if (notStarted !== undefined) return [];
  return [
    check({
      area: 'pod',
      subject: `Pod ${pod.metadata.namespace}/${pod.metadata.name}`,
      fact: 'is captured and has a valid certificate',
      code: 'MESH0920',
      problem: missing.length === 0 ? undefined : missing.join('; '),
      about: subjectOf({ kind: 'Pod', metadata: pod.metadata }),
      dependsOn: [
        { kind: 'Node', name: pod.spec.nodeName ?? '' },
        ...servedBy.flatMap(subjectsOf),
        { kind: 'Deployment', namespace: meshNamespace, name: 'istiod' },
      ],
      fix: `meshctl describe pod ${pod.metadata.name}.${pod.metadata.namespace}`,
    }),
  ];
}

function subjectsOf(pod: Pod | undefined): FindingSubject[] {
  return pod === undefined ? [] : [subjectOf({ kind: 'Pod', metadata: pod.metadata })];
}

function daemonSet(name: string, namespace: string): FindingSubject {
  return { kind: 'DaemonSet', namespace, name };
}
