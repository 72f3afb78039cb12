import { counted } from '#base/collections/counted.js';
import type { Pod } from '#base/kube/types.js';
import { isPodReady, podOnNode } from '../component-pods.js';
import { type Finding, type FindingSubject, subjectOf } from '../findings/finding.js';
import type { MeshObserver, Observation } from '../mesh-observer.js';
import { controllerVersions, meshVersions } from '../mesh-versions.js';

/** A process that is asked and stays silent: stopped, wedged, or out of time. */
const silentCode = 'MESH0215';
/** One that was not asked any more, as the time of the command was over. */
const unaskedCode = 'MESH0216';

/** What happens while a component is silent. */
const effects = {
  ztunnel: 'connections of enrolled pods there hang',
  'CNI agent': 'new pods of the mesh there wait, and nobody repairs redirection',
  // Others may stand in for it: what it means when none does is said of the outage.
  controller: undefined,
  waypoint: 'calls through it hang',
} as const satisfies Record<string, string | undefined>;

/**
 * Components that count as ready and do not answer: probes are slow to notice a process that is stopped, and a wedged one
 * may pass them. Those of the nodes in scope; with all nodes (`nodes` undefined) also every waypoint.
 */
export async function silenceFindings(
  observer: MeshObserver,
  nodes: readonly string[] | undefined,
): Promise<readonly Finding[]> {
  const [agents, proxies] = await Promise.all([observer.components('cni'), observer.components('ztunnel')]);
  const all = nodes ?? [...new Set([...agents, ...proxies].map(({ spec }) => spec.nodeName ?? ''))];
  const seen = await Promise.all([
    ...all.flatMap((node) => {
      const [agent, proxy] = [podOnNode(agents, node), podOnNode(proxies, node)];
      // Of a node that is looked at for itself, all of the dump is asked for anyway.
      const dump = () => (nodes === undefined ? observer.ownDump(node) : observer.dump(node));
      return [
        ...(agent === undefined ? [] : [silenceOf('CNI agent', agent, observer.captures(node))]),
        ...(proxy === undefined ? [] : [silenceOf('ztunnel', proxy, dump())]),
      ];
    }),
    ...(nodes === undefined ? [silentWaypoints(observer)] : []),
  ]);
  return [...seen.flat(), ...(nodes === undefined ? await unaskedFinding(observer) : [])];
}

/** That a ready instance of a waypoint does not answer; none when it does. */
export function silentWaypoint(instance: Pod, seen: Observation<unknown>): readonly Finding[] {
  return silent('waypoint', instance, seen);
}

async function silentWaypoints(observer: MeshObserver): Promise<readonly Finding[]> {
  const instances = await observer.gatewayInstances();
  const found = await Promise.all(
    instances.map(async (pod) => silent('waypoint', pod, await observer.gatewayDump(pod))),
  );
  return found.flat();
}

/** Replicas of the controller that count as ready and do not answer. */
export async function silentControllers(observer: MeshObserver): Promise<readonly Finding[]> {
  const [versions, pods] = await Promise.all([
    controllerVersions(observer),
    observer.components('controller'),
  ]);
  return pods.flatMap((pod) => {
    const { error = '', errorCode } = versions.find((one) => one.pod === pod.metadata.name) ?? {};
    return errorCode === undefined ? [] : silent('controller', pod, { why: error, code: errorCode });
  });
}

async function silenceOf(
  component: keyof typeof effects,
  pod: Pod,
  asked: Promise<Observation<unknown>>,
): Promise<readonly Finding[]> {
  return silent(component, pod, await asked);
}

function silent(component: keyof typeof effects, pod: Pod, seen: Observation<unknown>): readonly Finding[] {
  // One that is not ready is another finding.
  if (!('why' in seen) || seen.code !== silentCode || !isPodReady(pod)) return [];
  const effect = effects[component];
  const { name, namespace = '' } = pod.metadata;
  const { nodeName: node } = pod.spec;
  const where = node === undefined ? '' : ` on node ${node}`;
  const subject = subjectOf({ kind: 'Pod', metadata: pod.metadata });
  const on: FindingSubject[] = node === undefined ? [] : [{ kind: 'Node', name: node }];
  return [
    {
      code: 'MESH0961',
      severity: 'error',
      message: `${component} pod ${namespace}/${name}${where} counts as ready and does not answer${effect === undefined ? '' : `: ${effect}`}`,
      subject,
      concerns: on,
      dependsOn: on,
      evidence: [seen.why],
      fix: `kubectl logs -n ${namespace} ${name}, then kubectl delete pod ${name} -n ${namespace}: its successor starts anew`,
    },
  ];
}

/** Said once, however many components it is. */
async function unaskedFinding(observer: MeshObserver): Promise<readonly Finding[]> {
  const versions = await meshVersions(observer);
  const unasked = versions.filter(({ errorCode }) => errorCode === unaskedCode);
  const [first] = unasked;
  if (first === undefined) return [];
  return [
    {
      code: 'MESH0926',
      severity: 'warning',
      message: `not seen: ${unasked.length} of ${counted(versions.length, 'component')} of the mesh, as the time of the command was over before they were asked`,
      evidence: [`such as ${first.namespace}/${first.pod} on ${first.node}`],
      fix: 'Mend those that do not answer, or give the command more time: --timeout 2m',
    },
  ];
}
