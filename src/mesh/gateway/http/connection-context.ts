import type { SpiffeId } from '../../identity/spiffe.js';
import type { Destination } from '../listener/destination.js';
import type { Workload } from '../mesh/workload.js';

/** A destination this gateway serves. */
export type ServedDestination = Exclude<Destination, { kind: 'refused' }>;

/** What is known about a client's connection, from its HBONE tunnel. */
export interface ConnectionContext {
  /** Identity the client proved. */
  readonly peer: SpiffeId;
  /** Address of the client pod. */
  readonly peerAddress: { readonly ip: string; readonly port: number };
  /** The client's workload, if the mesh knows its address. */
  readonly source: Workload | undefined;
  readonly destination: ServedDestination;
}

/** `namespace/hostname` parts of the service a connection is for. */
export function serviceOf({
  destination,
}: ConnectionContext): { namespace: string; hostname: string; name: string } | undefined {
  return destination.kind === 'service' ? destination.service : undefined;
}
