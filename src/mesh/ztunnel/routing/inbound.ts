import { isIp } from '#base/net/address.js';
import type { MeshState } from '../state/mesh-state.js';
import { type HostPort, parseAuthority } from '#base/net/authority.js';
import type { Service, Workload } from '../state/model.js';
import { gatewayTarget } from './waypoint.js';
import { isEndpointOf } from './endpoint.js';

/** Ports that only the proxy itself listens on; dialling them would loop. */
export const proxyPorts: ReadonlySet<number> = new Set([15001, 15006, 15008]);

/** Where a CONNECT leads, or the status it is refused with. */
export type InboundTarget =
  | { readonly kind: 'ok'; readonly destination: HostPort; readonly service: Service | undefined }
  | { readonly kind: 'refuse'; readonly status: 400 | 503; readonly reason: string };

/**
 * Checks the authority of a CONNECT against the workload it arrived at and finds the application's port. The address
 * dialled is always the one the connection arrived on, never one the peer names.
 */
export function resolveInbound(
  state: MeshState,
  request: { authority: string; local: HostPort; workload: Workload },
): InboundTarget {
  const { local, workload } = request;
  const authority = parseAuthority(request.authority);
  if (authority === undefined) {
    return {
      kind: 'refuse',
      status: 400,
      reason: `authority ${JSON.stringify(request.authority)} is not host:port`,
    };
  }
  if (isIp(authority.host)) {
    if (!mayTarget(state, { ip: authority.host, local, workload })) {
      const reason = `ip mismatch: ${authority.host} is not ${local.host}`;
      return { kind: 'refuse', status: 400, reason };
    }
    return finish({ port: authority.port, service: undefined, local, workload });
  }
  const services = state.servicesOfHostname(authority.host);
  const service =
    services.find((s) => s.namespace === workload.namespace) ??
    services.find((s) => s.visibility === 'Public');
  if (service === undefined) {
    return { kind: 'refuse', status: 503, reason: `service ${authority.host} is not known` };
  }
  const endpoint = state
    .allEndpoints(`${service.namespace}/${service.hostname}`)
    .find((e) => e.workloadUid === workload.uid);
  const port = endpoint?.ports.get(authority.port) || service.ports.get(authority.port) || 0;
  if (port === 0) {
    return {
      kind: 'refuse',
      status: 503,
      reason: `port ${authority.port} of ${authority.host} is not known`,
    };
  }
  return finish({ port, service, local, workload });
}

function finish(o: {
  port: number;
  service: Service | undefined;
  local: HostPort;
  workload: Workload;
}): InboundTarget {
  const override = o.workload.applicationTunnel?.port ?? 0;
  const port = override > 0 ? override : o.port;
  if (proxyPorts.has(port)) {
    return { kind: 'refuse', status: 503, reason: `port ${port} belongs to the proxy` };
  }
  if (o.workload.applicationTunnel?.protocol === 'PROXY') {
    // Without the header the application would take the connection for one of nobody in particular.
    return { kind: 'refuse', status: 503, reason: 'PROXY protocol to the application is not supported' };
  }
  return { kind: 'ok', destination: { host: o.local.host, port }, service: o.service };
}

/** The connection's own address, anything for an application tunnel, or what this workload is the waypoint of. */
function mayTarget(state: MeshState, o: { ip: string; local: HostPort; workload: Workload }): boolean {
  const { ip, local, workload } = o;
  if (ip === local.host || workload.applicationTunnel !== undefined) return true;
  const { network, namespace } = workload;
  const target =
    state.serviceAt({ network, ip, clientNamespace: namespace }) ?? state.workloadAt(network, ip);
  if (target?.waypoint === undefined) return false;
  const waypoint = gatewayTarget(state, target.waypoint, workload);
  if (waypoint === undefined) return false;
  return 'uid' in waypoint ? waypoint.uid === workload.uid : isEndpointOf(state, waypoint, workload);
}
