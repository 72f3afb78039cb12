import type { SpiffeId } from '../../identity/spiffe.js';
import type { L7Attributes } from '../../policy/l7/attributes.js';
import type { KnownWorkload } from '../../view/known.js';
import type { Destination } from './destination.js';

/** A destination this gateway serves. */
export type ServedDestination = Exclude<Destination, { kind: 'refused' }>;

/** What is known about a client's connection, from its HBONE tunnel. */
export interface ConnectionContext {
  /** Identity the client proved. */
  readonly peer: SpiffeId;
  /** Address of the client pod. */
  readonly peerAddress: { readonly ip: string; readonly port: number };
  /** The client's workload, if the mesh knows its address. */
  readonly source: KnownWorkload | undefined;
  readonly destination: ServedDestination;
}

/** `namespace/hostname` parts of the service a connection is for. */
export function serviceOf({
  destination,
}: ConnectionContext): { namespace: string; hostname: string; name: string } | undefined {
  return destination.kind === 'service' ? destination.service : undefined;
}

/** What policies can ask about a connection before, or without, any HTTP on it. */
export function connectionAttributes({ peer, peerAddress, destination }: ConnectionContext): L7Attributes {
  return {
    sourcePrincipal: peer.slice('spiffe://'.length),
    sourceIp: peerAddress.ip,
    remoteIp: peerAddress.ip,
    destinationIp: destination.address.ip,
    destinationPort: destination.address.port,
    sni: undefined,
    http: undefined,
  };
}
