import type { MeshState } from '../state/mesh-state.js';
import type { GatewayRef, Service, Workload } from '../state/model.js';
import { chooseIp, isEndpointOf, selectEndpoint, type Upstream, weighted } from './endpoint.js';

/** The waypoint one connection to a service uses; undefined when the service has none. */
export function waypointOf(service: Service, random: () => number): GatewayRef | undefined {
  return weighted(service.weightedWaypoints, (w) => w.weight, random)?.destination ?? service.waypoint;
}

/** What a gateway reference points to. */
export function gatewayTarget(
  state: MeshState,
  gateway: GatewayRef,
  source: Workload,
): Service | Workload | undefined {
  const { destination } = gateway;
  if (destination.kind === 'hostname') {
    const key = `${destination.namespace}/${destination.hostname}`;
    return state.service(key) ?? state.workloadOfHostname(destination.namespace, destination.hostname);
  }
  const { network, ip } = destination;
  return state.serviceAt({ network, ip, clientNamespace: source.namespace }) ?? state.workloadAt(network, ip);
}

/** A healthy instance of a waypoint; undefined when there is none, in which case the caller must refuse. */
export function resolveGateway(
  state: MeshState,
  options: { gateway: GatewayRef; source: Workload; dialledIp: string | undefined; random: () => number },
): Upstream | undefined {
  const { gateway, source, dialledIp, random } = options;
  const target = gatewayTarget(state, gateway, source);
  if (target === undefined) return undefined;
  if ('uid' in target) {
    const ip = chooseIp(target, undefined, dialledIp);
    if (target.status !== 'Healthy' || ip === undefined) return undefined;
    return { workload: target, ip, port: gateway.hboneMtlsPort, service: undefined };
  }
  return selectEndpoint(state, {
    service: target,
    servicePort: gateway.hboneMtlsPort,
    source,
    dialledIp,
    random,
    isWaypoint: true,
  });
}

/** Whether a workload is itself an instance of the waypoint; it then must not send its traffic to itself. */
export function isInstanceOf(state: MeshState, gateway: GatewayRef, source: Workload): boolean {
  const target = gatewayTarget(state, gateway, source);
  if (target === undefined) return false;
  return 'uid' in target ? target.uid === source.uid : isEndpointOf(state, target, source);
}
