import { counted } from '#base/collections/counted.js';
import { gatewayName, waypointClass } from '#base/kube/labels.js';
import { gateways, pods } from '#base/kube/resource.js';
import type { Condition, Gateway, Pod } from '#base/kube/types.js';
import { isForbidden } from '#base/kube/api-error.js';
import { AuthorizationPolicy_Action } from '../../xds/gen/meshctl/l7_pb.js';
import { isPodReady } from '../component-pods.js';
import type { Finding } from '../findings/finding.js';
import { findingsConcerning, foldFindings, worstError } from '../findings/fold.js';
import { unreadyGatewayFinding } from '../gateway-findings.js';
import type { MeshObserver } from '../mesh-observer.js';
import { explainPod, failedCreates, refusalFix } from '../pod-trouble.js';
import { silentWaypoint } from '../runtime/silence-findings.js';
import { relevantTo, surroundings } from '../surroundings.js';
import { listWaypointUsers } from '../waypoint-users.js';
import { waypointUserText } from '../../rules/waypoint-users.js';
import { waypointKey, waypointOf } from '../../rules/waypoint.js';

/** An instance of a gateway. */
export interface GatewayInstance {
  readonly pod: string;
  readonly node: string;
  readonly isReady: boolean;
  /** Why it is not; a line each. */
  readonly trouble: readonly string[];
}

/** A Gateway: a waypoint, or one for traffic from outside. */
export interface GatewayDescription {
  readonly namespace: string;
  readonly name: string;
  readonly className: string;
  /** What traffic it is for. */
  readonly trafficType: string;
  readonly addresses: readonly string[];
  readonly conditions: readonly Condition[];
  readonly listeners: readonly {
    readonly name: string;
    readonly port: number;
    readonly protocol: string;
    readonly attachedRoutes: number;
  }[];
  readonly instances: readonly GatewayInstance[];
  /** What is labeled to use it; undefined when the user may not see all of it. */
  readonly users: readonly string[] | undefined;
  /** Policies that a ready instance enforces; undefined when none could be asked. */
  readonly policies:
    | readonly { readonly namespace: string; readonly name: string; readonly action: string }[]
    | undefined;
  readonly summary: string;
  readonly findings: readonly Finding[];
}

/** Everything known of a Gateway. Rejects with MESH0204 when there is none. `now` in milliseconds. */
export async function describeGateway(
  observer: MeshObserver,
  at: { readonly namespace: string; readonly name: string; readonly now: number },
): Promise<GatewayDescription> {
  const { client, meshNamespace } = observer;
  const { namespace, name, now } = at;
  const gateway = await client.get<Gateway>({ resource: gateways, namespace, name });
  const own = (await client.list<Pod>(pods, { namespace, labelSelector: `${gatewayName}=${name}` })).filter(
    ({ metadata }) => metadata.deletionTimestamp === undefined,
  );
  const nodes = [...new Set(own.flatMap(({ spec }) => spec.nodeName ?? []))];
  const [instances, refusals, gatewayClass, policies, users, around] = await Promise.all([
    Promise.all(own.map((pod) => instanceOf(observer, pod))),
    own.length === 0 ? failedCreates(client, namespace, name) : [],
    observer.gatewayClass(gateway.spec.gatewayClassName),
    observer.waypointPolicies(namespace, name),
    usersOf(observer, waypointKey(namespace, name)),
    surroundings(observer, { namespace, nodes, now }),
  ]);
  const subject = { kind: 'Gateway', namespace, name };
  const conditions = gateway.status?.conditions ?? [];
  const addresses = (gateway.status?.addresses ?? []).map(({ value }) => value);
  const ready = instances.filter(({ isReady }) => isReady).length;
  const shortfall =
    refusals.length === 0
      ? shortfallOf({ conditions, addresses, ready, total: instances.length })
      : `its pods are refused: ${refusals[0]}`;
  const notReady: Finding[] =
    shortfall === undefined
      ? []
      : [
          unreadyGatewayFinding({
            kind: gateway.spec.gatewayClassName === waypointClass ? 'waypoint' : 'Gateway',
            namespace,
            name,
            why: shortfall,
            meshNamespace,
            dependsOn: nodes.map((node) => ({ kind: 'Node', name: node })),
            evidence: [...refusals.slice(1), ...instances.flatMap(({ trouble }) => trouble)],
            fix: refusalFix(refusals, namespace) ?? `kubectl describe gateway ${name} -n ${namespace}`,
          }),
        ];
  const findings = relevantTo(
    foldFindings([
      ...around.runtime,
      ...notReady,
      ...(policies.from === undefined ? [] : silentWaypoint(policies.from, policies)),
      ...findingsConcerning(around.configuration, subject),
    ]),
    around.runtime,
  );
  return {
    namespace,
    name,
    className: gateway.spec.gatewayClassName,
    trafficType: waypointOf(gateway, gatewayClass).traffic,
    addresses,
    conditions,
    listeners: gateway.spec.listeners.map((listener) => ({
      name: listener.name,
      port: listener.port,
      protocol: listener.protocol,
      attachedRoutes:
        gateway.status?.listeners?.find((known) => known.name === listener.name)?.attachedRoutes ?? 0,
    })),
    instances,
    users,
    policies: policies.value?.map((policy) => ({
      namespace: policy.namespace,
      name: policy.name,
      action: AuthorizationPolicy_Action[policy.action] ?? String(policy.action),
    })),
    summary: worstError(findings)?.message ?? `ready, ${ready} of ${counted(instances.length, 'pod')}`,
    findings,
  };
}

function shortfallOf(of: {
  readonly conditions: readonly Condition[];
  readonly addresses: readonly string[];
  readonly ready: number;
  readonly total: number;
}): string | undefined {
  const failed = of.conditions.find(
    ({ type, status }) => (type === 'Programmed' || type === 'Accepted') && status !== 'True',
  );
  if (failed !== undefined) return `${failed.type} is ${failed.status}, ${failed.reason}: ${failed.message}`;
  if (of.conditions.length === 0) return 'the controller has not reported on it yet';
  if (of.addresses.length === 0) return 'it has no address';
  return of.ready === 0 ? `0 of ${counted(of.total, 'pod')} ready` : undefined;
}

async function instanceOf({ client }: MeshObserver, pod: Pod): Promise<GatewayInstance> {
  const trouble = await explainPod(client, pod);
  return {
    pod: pod.metadata.name,
    node: pod.spec.nodeName ?? '',
    isReady: isPodReady(pod),
    trouble: trouble?.split('\n').map((line) => line.trim()) ?? [],
  };
}

async function usersOf({ client }: MeshObserver, key: string): Promise<readonly string[] | undefined> {
  try {
    return (await listWaypointUsers(client)).filter(({ waypoint }) => waypoint === key).map(waypointUserText);
  } catch (error) {
    if (isForbidden(error)) return undefined;
    throw error;
  }
}
