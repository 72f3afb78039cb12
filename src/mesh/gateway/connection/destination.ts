import { type AddressPort, parseAddressPort } from '../../l7/message/address.js';
import type { MeshView } from '../mesh/mesh-view.js';
import { type PortProtocol, type Service, type ServicePort, undeclaredProtocol } from '../mesh/service.js';
import type { GatewayRef, Workload } from '../mesh/workload.js';

/** What a CONNECT asks for, and what this gateway does with it. */
export type Destination =
  | {
      readonly kind: 'service';
      readonly address: AddressPort;
      readonly service: Service;
      readonly port: ServicePort;
      readonly protocol: PortProtocol;
    }
  | {
      readonly kind: 'workload';
      readonly address: AddressPort;
      readonly workload: Workload;
      readonly protocol: PortProtocol;
    }
  | { readonly kind: 'refused'; readonly status: 400 | 404; readonly reason: string };

/** By what names others refer to this gateway. */
export interface GatewaySelf {
  readonly namespace: string;
  readonly hostname: string;
  readonly network: string;
  readonly podIp: string;
}

/**
 * Decides what a CONNECT authority means here: the virtual IP of a service, or the address of a
 * workload, in both cases only if this gateway is in charge of it. Another gateway's service is
 * refused: its policies are not known here, and the backend trusts what comes from a gateway.
 */
export function resolveDestination(view: MeshView, self: GatewaySelf, authority: string): Destination {
  const address = parseAddressPort(authority);
  if (address === undefined) {
    return { kind: 'refused', status: 400, reason: 'the authority is not an address and a port' };
  }
  const service = view.serviceByVip(self.network, address.ip);
  if (service !== undefined) {
    if (!service.waypoints.some((ref) => usesGateway(view, self, ref))) {
      return { kind: 'refused', status: 404, reason: `Service ${service.key} does not use this gateway` };
    }
    const port = service.ports.get(address.port);
    if (port === undefined) {
      return { kind: 'refused', status: 404, reason: `Service ${service.key} has no port ${address.port}` };
    }
    return { kind: 'service', address, service, port, protocol: port.protocol };
  }
  const workload = view.workloadByIp(self.network, address.ip);
  if (workload === undefined)
    return { kind: 'refused', status: 404, reason: 'no service or workload has this address' };
  if (workload.waypoint === undefined || !usesGateway(view, self, workload.waypoint)) {
    return { kind: 'refused', status: 404, reason: `Workload ${workload.uid} does not use this gateway` };
  }
  return { kind: 'workload', address, workload, protocol: undeclaredProtocol(address.port) };
}

/** Whether a gateway reference means this gateway. */
export function usesGateway(view: MeshView, self: GatewaySelf, ref: GatewayRef): boolean {
  if (ref.kind === 'hostname') return ref.namespace === self.namespace && ref.hostname === self.hostname;
  if (ref.network !== self.network) return false;
  if (ref.ip === self.podIp) return true;
  return view.serviceByVip(ref.network, ref.ip)?.key === `${self.namespace}/${self.hostname}`;
}
