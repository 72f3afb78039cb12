import { addressFor, type Host } from '../../view/host.js';
import type { KnownWorkload } from '../../view/known.js';

/** One place a request can be sent to. */
export interface Endpoint {
  /** Identifies what is there, whichever of its addresses is used. */
  readonly key: string;
  /** Pod address and port. */
  readonly ip: string;
  readonly port: number;
  /** Undefined for an address the mesh knows no workload of. */
  readonly workload: KnownWorkload | undefined;
}

/** A host as an endpoint for a call to an address: of its family, where the host has one. */
export function endpointOf(host: Host, calledIp: string): Endpoint {
  const { key, port, workload } = host;
  // A host has an address, or it were none.
  return { key, ip: addressFor(host, calledIp) ?? '', port, workload };
}

/** An address as it was called, and the workload that has it. */
export function endpointAt(ip: string, port: number, workload: KnownWorkload | undefined): Endpoint {
  return { key: `${workload?.uid ?? ip}|${port}`, ip, port, workload };
}
