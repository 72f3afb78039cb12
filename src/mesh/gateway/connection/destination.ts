import { type AddressPort, parseAddressPort } from '../../l7/message/address.js';
import type { GatewayRef, KnownService, KnownWorkload } from '../../view/known.js';
import type { MeshView } from '../../view/mesh-view.js';
import { waypointsOf } from '../../view/waypoints.js';
import { type PortProtocol, portProtocol } from './port-protocol.js';

/** What a CONNECT asks for, and what this gateway does with it. */
export type Destination =
  | {
      readonly kind: 'service';
      readonly address: AddressPort;
      readonly service: KnownService;
      readonly protocol: PortProtocol;
    }
  | {
      readonly kind: 'workload';
      readonly address: AddressPort;
      readonly workload: KnownWorkload;
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
 * Whose an address is depends on the client's namespace, as it did for the client's own proxy.
 */
export function resolveDestination(
  view: MeshView,
  self: GatewaySelf,
  call: { readonly authority: string; readonly clientNamespace: string },
): Destination {
  const address = parseAddressPort(call.authority);
  if (address === undefined) {
    return { kind: 'refused', status: 400, reason: 'the authority is not an address and a port' };
  }
  const { ip, port } = address;
  const owner = view.ownerOf({ network: self.network, ip, clientNamespace: call.clientNamespace });
  if (owner === undefined)
    return { kind: 'refused', status: 404, reason: 'no service or workload has this address' };
  if (!waypointsOf(owner).some((ref) => usesGateway(view, self, ref))) {
    const name = owner.kind === 'service' ? `Service ${owner.service.key}` : `Workload ${owner.workload.uid}`;
    return { kind: 'refused', status: 404, reason: `${name} does not use this gateway` };
  }
  if (owner.kind === 'workload')
    return {
      kind: 'workload',
      address,
      workload: owner.workload,
      protocol: portProtocol(port, 'Undeclared'),
    };
  const { service } = owner;
  const known = service.ports.get(port);
  if (known === undefined) {
    return { kind: 'refused', status: 404, reason: `Service ${service.key} has no port ${port}` };
  }
  return { kind: 'service', address, service, protocol: portProtocol(port, known.protocol) };
}

/** Whether a gateway reference means this gateway. */
export function usesGateway(view: MeshView, self: GatewaySelf, ref: GatewayRef): boolean {
  const { destination } = ref;
  if (destination.kind === 'hostname')
    return destination.namespace === self.namespace && destination.hostname === self.hostname;
  if (destination.kind === 'unknown' || destination.network !== self.network) return false;
  if (destination.ip === self.podIp) return true;
  const owner = view.gatewayAt(ref, self.namespace);
  return owner?.kind === 'service' && owner.service.key === `${self.namespace}/${self.hostname}`;
}
