import { counted } from '#base/collections/counted.js';
import { groupBy } from '#base/collections/group-by.js';
import { httpRoutes, grpcRoutes, pods, services, tcpRoutes, tlsRoutes } from '#base/kube/resource.js';
import { isForbidden, isNotFound } from '#base/kube/api-error.js';
import type { GatewayRoute, Pod, Service } from '#base/kube/types.js';
import { appProtocolOf } from '../../rules/app-protocol.js';
import { serviceFacts } from '../../rules/facts.js';
import { selectsLabels } from '../../rules/policy-targets.js';
import { namesWaypoint } from '../../rules/waypoint-binding.js';
import { AppProtocol } from '../../xds/gen/istio/workload_pb.js';
import { emptyServiceFinding } from '../checks/services-check.js';
import type { Finding } from '../findings/finding.js';
import { findingsConcerning, foldFindings, worstError } from '../findings/fold.js';
import type { MeshObserver } from '../mesh-observer.js';
import { describeAll, meshLabels, type PodGroup } from '../pod/pod-group.js';
import type { AppliedPolicy } from '../policies/applied-policy.js';
import { relevantTo, surroundings } from '../surroundings.js';
import { observeBindings, type WaypointUse } from '../waypoint-bindings.js';

/** A port of a Service. */
export interface ServicePortReport {
  readonly port: number;
  readonly name?: string;
  readonly targetPort: string;
  /** `TCP`, `UDP`, ... */
  readonly transport: string;
  /** What a waypoint takes it for: `HTTP11`, `HTTP2`, `GRPC`, `TLS`, `TCP`; `UNKNOWN`: it looks at the first bytes. */
  readonly protocol: string;
}

/** A pod behind a Service. */
export interface ServiceEndpoint {
  readonly pod: string;
  readonly node: string;
  readonly addresses: readonly string[];
  readonly isReady: boolean;
  readonly verdict: string;
}

/** A route with the Service as its parent. */
export interface RouteOfService {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly isAccepted: boolean;
  readonly why: string;
}

/** Who has connections to the pods of a Service now. */
export interface ServiceCaller {
  /** `namespace/name` of the workload, else the identity it proved, else its address. */
  readonly name: string;
  readonly identity?: string;
  readonly connectionCount: number;
  readonly isEncrypted: boolean;
}

/** A Service: how it is called, by whom, through what, and what is wrong. */
export interface ServiceDescription extends PodGroup {
  readonly objectKind: 'Service';
  readonly namespace: string;
  readonly name: string;
  readonly type: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly address: string;
  readonly ports: readonly ServicePortReport[];
  /** The waypoint in effect, and whose label names it. */
  readonly waypoint?: WaypointUse & { readonly because: string };
  readonly endpoints: readonly ServiceEndpoint[];
  readonly policies: readonly AppliedPolicy[];
  readonly routes: readonly RouteOfService[];
  readonly callers: readonly ServiceCaller[];
  readonly summary: string;
  readonly findings: readonly Finding[];
}

const routeKinds = [httpRoutes, grpcRoutes, tlsRoutes, tcpRoutes];

/** Everything known of a Service. Rejects with MESH0204 when there is none. `now` in milliseconds. */
export async function describeService(
  observer: MeshObserver,
  at: { readonly namespace: string; readonly name: string; readonly now: number },
): Promise<ServiceDescription> {
  const { namespace, name, now } = at;
  const { client } = observer;
  const service = await client.get<Service>({ resource: services, name, namespace });
  const selector = service.spec.selector ?? {};
  const hasSelector = Object.keys(selector).length > 0;
  const ofNamespace = await client.list<Pod>(pods, { namespace });
  const members = hasSelector
    ? ofNamespace.filter(({ metadata }) => selectsLabels(selector, metadata.labels ?? {}))
    : [];
  const nodes = [...new Set(members.flatMap(({ spec }) => spec.nodeName ?? []))];
  const [group, around, waypoint, routes] = await Promise.all([
    describeAll(observer, members, now),
    surroundings(observer, { namespace, nodes, now }),
    waypointOf(observer, service),
    routesOf(observer, at),
  ]);
  const subject = { kind: 'Service', namespace, name };
  const empty = emptyServiceFinding(service, ofNamespace);
  const all = foldFindings([
    ...around.runtime,
    ...group.pods.flatMap(({ findings }) => findings),
    ...findingsConcerning(around.configuration, subject),
    ...(empty === undefined ? [] : [empty]),
  ]);
  const findings = relevantTo(all, around.runtime);
  const report = {
    objectKind: 'Service' as const,
    namespace,
    name,
    type: service.spec.type ?? 'ClusterIP',
    labels: meshLabels(service.metadata.labels),
    address: service.spec.externalName ?? service.spec.clusterIP ?? 'None',
    ports: portsOf(service),
    ...(waypoint === undefined ? {} : { waypoint }),
    endpoints: group.pods.map(({ pod, verdict }) => ({
      pod: pod.name,
      node: pod.node,
      addresses: pod.ips,
      isReady: pod.isReady,
      verdict,
    })),
    policies: policiesOf(group),
    routes,
    callers: callersOf(group),
    ...group,
    findings,
  };
  return { ...report, summary: worstError(findings)?.message ?? summaryOf(report, hasSelector) };
}

function summaryOf(
  of: Pick<ServiceDescription, 'endpoints' | 'type' | 'waypoint'>,
  hasSelector: boolean,
): string {
  if (of.type === 'ExternalName')
    return 'a name for something outside of the cluster; the mesh has no part in it';
  if (!hasSelector) return 'it selects no pods: its endpoints are managed by hand';
  const ready = of.endpoints.filter(({ isReady }) => isReady).length;
  const through =
    of.waypoint?.isUsed === true ? `through waypoint ${of.waypoint.namespace}/${of.waypoint.name}` : 'direct';
  return `${ready} of ${counted(of.endpoints.length, 'endpoint')} ready, called ${through}`;
}

async function waypointOf(
  observer: MeshObserver,
  service: Service,
): Promise<(WaypointUse & { readonly because: string }) | undefined> {
  const facts = serviceFacts(service);
  if (facts === undefined) return undefined;
  const namespace = await observer.namespace(facts.namespace);
  const { services: bound } = await observeBindings(observer, {
    home: facts.namespace,
    pod: undefined,
    namespace,
    services: [facts],
  });
  const use = bound[0]?.waypoint;
  if (use === undefined) return undefined;
  return { ...use, because: namesWaypoint(facts.labels) ? 'label of the Service' : 'label of its Namespace' };
}

/** Routes of the namespace that name the Service as their parent; kinds that the cluster lacks, or hides, are left out. */
async function routesOf(
  { client }: MeshObserver,
  at: { readonly namespace: string; readonly name: string },
): Promise<readonly RouteOfService[]> {
  const found = await Promise.all(
    routeKinds.map(async (resource) => {
      try {
        return await client.list<GatewayRoute>(resource, { namespace: at.namespace });
      } catch (error) {
        if (isNotFound(error) || isForbidden(error)) return [];
        throw error;
      }
    }),
  );
  return found
    .flat()
    .filter(({ spec }) =>
      spec?.parentRefs?.some(
        (ref) =>
          ref.kind === 'Service' && ref.name === at.name && (ref.namespace ?? at.namespace) === at.namespace,
      ),
    )
    .map((route) => {
      const conditions = (route.status?.parents ?? []).flatMap(({ conditions: own = [] }) => own);
      const accepted = conditions.find(({ type }) => type === 'Accepted');
      return {
        kind: route.kind,
        namespace: at.namespace,
        name: route.metadata.name,
        isAccepted: accepted?.status === 'True',
        why:
          accepted === undefined
            ? 'no controller has answered for it'
            : `${accepted.reason ?? ''}: ${accepted.message ?? ''}`,
      };
    });
}

function portsOf({ spec }: Service): readonly ServicePortReport[] {
  return (spec.ports ?? []).map((port) => ({
    port: port.port,
    ...(port.name === undefined ? {} : { name: port.name }),
    targetPort: String(port.targetPort ?? port.port),
    transport: port.protocol ?? 'TCP',
    protocol: AppProtocol[appProtocolOf(port)] ?? 'UNKNOWN',
  }));
}

/** One row for each policy and place of enforcement; loaded only when it is everywhere. */
function policiesOf({ pods: members }: PodGroup): readonly AppliedPolicy[] {
  const groups = groupBy(
    members.flatMap(({ policies }) => policies),
    (policy) => `${policy.namespace}/${policy.name} ${policy.enforcedBy}`,
  );
  return [...groups.values()].flatMap((same) => {
    const worst =
      same.find(({ isLoaded }) => isLoaded === false) ?? same.find(({ isLoaded }) => isLoaded === undefined);
    return worst ?? same[0] ?? [];
  });
}

function callersOf({ pods: members }: PodGroup): readonly ServiceCaller[] {
  const inbound = members.flatMap(({ connections }) =>
    connections.filter(({ direction }) => direction === 'inbound'),
  );
  const groups = groupBy(inbound, ({ remoteName, peer, remote, isEncrypted }) =>
    JSON.stringify([remoteName ?? peer ?? hostOf(remote), isEncrypted]),
  );
  return [...groups.values()]
    .map((same) => {
      const [first] = same;
      return {
        name: first?.remoteName ?? first?.peer ?? hostOf(first?.remote ?? ''),
        ...(first?.peer === undefined ? {} : { identity: first.peer }),
        connectionCount: same.length,
        isEncrypted: first?.isEncrypted === true,
      };
    })
    .sort((a, b) => b.connectionCount - a.connectionCount);
}

function hostOf(address: string): string {
  return address.slice(0, Math.max(address.lastIndexOf(':'), 0)) || address;
}
