import { gatewayName } from '#base/kube/labels.js';
import type { Gateway, Namespace, Pod } from '#base/kube/types.js';
import type { ServiceFacts } from '../rules/facts.js';
import { waypointKey, waypointOf, type Waypoint } from '../rules/waypoint.js';
import {
  bindingProblemText,
  bindWaypoint,
  waypointInEffect,
  type WaypointBinding,
} from '../rules/waypoint-binding.js';
import type { MeshObserver } from './mesh-observer.js';
import { waypointShortfall } from './waypoint-report.js';

/** The waypoint that labels name for a pod or a Service, and what it is. */
export interface WaypointUse {
  readonly namespace: string;
  readonly name: string;
  /** Traffic is sent to it, ready or not. False: it goes past. */
  readonly isUsed: boolean;
  /** As observed: programmed, with an address and a ready pod. */
  readonly isReady: boolean;
  /** What is missing, or why it is not used. */
  readonly why: string;
}

/** {@link WaypointUse} `why` of a name that leads nowhere. */
export const noSuchGateway = 'no such Gateway';

/** A Service that selects the pod. */
export interface ServiceBinding {
  readonly name: string;
  readonly address: string;
  readonly ports: readonly number[];
  readonly waypoint?: WaypointUse;
}

/** The waypoints in the way of calls to a pod: to its address, and to the services it is behind. */
export interface PodBindings {
  readonly own: WaypointUse | undefined;
  readonly services: readonly { readonly facts: ServiceFacts; readonly waypoint: WaypointUse | undefined }[];
  /** Gateways (`namespace/name`) that traffic is sent to. */
  readonly waypoints: ReadonlyMap<string, Waypoint | undefined>;
}

/** Looks the waypoints of a pod and of its services up, by the rule that the controller binds them with. */
export async function observeBindings(
  observer: MeshObserver,
  of: {
    /** Name of the namespace that pod and services are in. */
    readonly home: string;
    /** Undefined: only the services are looked at. */
    readonly pod: Pod | undefined;
    /** Labels of the ServiceAccount it runs as. */
    readonly accountLabels?: Readonly<Record<string, string>> | undefined;
    readonly namespace: Namespace | undefined;
    readonly services: readonly ServiceFacts[];
  },
): Promise<PodBindings> {
  const waypoints = new Map<string, Waypoint | undefined>();
  const { home } = of;
  const bind = async (
    traffic: 'service' | 'workload',
    labels: Readonly<Record<string, string>>,
  ): Promise<WaypointUse | undefined> => {
    const naming = {
      namespace: home,
      labels,
      accountLabels: of.accountLabels,
      namespaceLabels: of.namespace?.metadata.labels ?? {},
      traffic,
    };
    const named = waypointInEffect(naming);
    if (named === undefined) return undefined;
    const instanceOf = labels[gatewayName];
    const known = new Map<string, Waypoint>();
    for (const at of [named, ...(instanceOf === undefined ? [] : [{ namespace: home, name: instanceOf }])]) {
      const gateway = await observer.gateway(at.namespace, at.name);
      if (gateway === undefined) continue;
      const gatewayClass = await observer.gatewayClass(gateway.spec.gatewayClassName);
      known.set(waypointKey(at.namespace, at.name), waypointOf(gateway, gatewayClass));
    }
    const { mesh } = await observer.settings();
    const binding = bindWaypoint({
      ...naming,
      getWaypoint: (key) => known.get(key),
      failurePolicy: mesh.waypointFailurePolicy,
      // Where traffic would be sent to is not asked here, only whether.
      clusterDomain: '',
      network: '',
    });
    if (binding.kind === 'none') return undefined;
    if (binding.kind === 'bound') waypoints.set(binding.waypoint, known.get(binding.waypoint));
    return useOf(observer, { binding, traffic, ...named });
  };
  const own = of.pod === undefined ? undefined : await bind('workload', of.pod.metadata.labels ?? {});
  const services = await Promise.all(
    of.services.map(async (facts) => ({ facts, waypoint: await bind('service', facts.labels) })),
  );
  return { own, services, waypoints };
}

async function useOf(
  observer: MeshObserver,
  of: {
    readonly binding: Exclude<WaypointBinding, { kind: 'none' }>;
    readonly traffic: 'service' | 'workload';
    readonly namespace: string;
    readonly name: string;
  },
): Promise<WaypointUse> {
  const { binding, traffic, namespace, name } = of;
  const problem = bindingProblemText(binding, traffic);
  if (binding.kind === 'refused') {
    return { namespace, name, isUsed: false, isReady: false, why: problem ?? 'it is not used' };
  }
  const report = await observer.waypoint(namespace, name);
  if (report !== undefined) {
    const why = waypointShortfall(report) ?? 'ready';
    return { namespace, name, isUsed: true, isReady: report.isReady, why };
  }
  const gateway = await observer.gateway(namespace, name);
  return { namespace, name, isUsed: true, ...foreignState(gateway) };
}

/** A Gateway that this mesh did not deploy: its address is all that can be seen of it. */
function foreignState(gateway: Gateway | undefined): { isReady: boolean; why: string } {
  if (gateway === undefined) return { isReady: false, why: noSuchGateway };
  const isReady = (gateway.status?.addresses ?? []).length > 0;
  const state = isReady ? 'ready' : 'without an address';
  return { isReady, why: `Gateway of class ${gateway.spec.gatewayClassName}, ${state}` };
}

/** A Service and its waypoint as reports show them. */
export function serviceBinding({ facts, waypoint }: PodBindings['services'][number]): ServiceBinding {
  return {
    name: facts.name,
    address: facts.clusterIps[0] ?? 'None',
    ports: facts.ports.map(({ port }) => port),
    ...(waypoint === undefined ? {} : { waypoint }),
  };
}
