import { isIp } from '#base/net/address.js';
import { type HostPort, parseAuthority } from '#base/net/authority.js';
import { hbonePort } from '../../hbone/parameters.js';
import { inboundPlaintextPort, outboundPort } from '../../rules/capture-ports.js';
import type { MeshView } from '../../view/mesh-view.js';
import type { KnownService, KnownWorkload } from '../../view/known.js';
import { waypointsOf } from '../../view/waypoints.js';
import { isInstanceOf } from './waypoint.js';

/** Ports that only the proxy itself listens on; dialling them would loop. */
export const listenerPorts: ReadonlySet<number> = new Set([outboundPort, inboundPlaintextPort, hbonePort]);

/** Where a CONNECT leads, or the status it is refused with. */
export type InboundTarget =
  | { readonly kind: 'ok'; readonly destination: HostPort; readonly service: KnownService | undefined }
  | { readonly kind: 'refuse'; readonly status: 400 | 503; readonly reason: string };

/**
 * Checks the authority of a CONNECT against the workload it arrived at and finds the application's port. The address
 * dialled is always the one the connection arrived on, never one the peer names.
 */
export function resolveInbound(
  view: MeshView,
  request: { authority: string; local: HostPort; workload: KnownWorkload },
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
    if (!mayTarget(view, { ip: authority.host, local, workload })) {
      const reason = `ip mismatch: ${authority.host} is not ${local.host}`;
      return { kind: 'refuse', status: 400, reason };
    }
    return finish({ port: authority.port, service: undefined, local, workload });
  }
  const service = view.serviceOfHostname(authority.host, workload.namespace);
  if (service === undefined) {
    return { kind: 'refuse', status: 503, reason: `service ${authority.host} is not known` };
  }
  const [, own] = view.servicesBehind(workload, local.host).find(([key]) => key === service.key) ?? [];
  const port = own?.get(authority.port) || service.ports.get(authority.port)?.targetPort || 0;
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
  service: KnownService | undefined;
  local: HostPort;
  workload: KnownWorkload;
}): InboundTarget {
  const override = o.workload.applicationTunnel?.port ?? 0;
  const port = override > 0 ? override : o.port;
  if (listenerPorts.has(port)) {
    return { kind: 'refuse', status: 503, reason: `port ${port} belongs to the proxy` };
  }
  const tunnel = o.workload.applicationTunnel?.protocol ?? 'NONE';
  if (tunnel !== 'NONE') {
    // Without the header the application would take the connection for one of nobody in particular.
    return { kind: 'refuse', status: 503, reason: `${tunnel} protocol to the application is not supported` };
  }
  return { kind: 'ok', destination: { host: o.local.host, port }, service: o.service };
}

/** The connection's own address, anything for an application tunnel, or what this workload is the waypoint of. */
function mayTarget(view: MeshView, o: { ip: string; local: HostPort; workload: KnownWorkload }): boolean {
  const { ip, local, workload } = o;
  if (ip === local.host || workload.applicationTunnel !== undefined) return true;
  const { network, namespace } = workload;
  const owner = view.ownerOf({ network, ip, clientNamespace: namespace });
  if (owner === undefined) return false;
  return waypointsOf(owner).some((waypoint) => isInstanceOf(view, waypoint, workload));
}
