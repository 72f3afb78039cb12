import type { KnownService, KnownWorkload } from './known.js';

/** How a port of a service is looked up. A waypoint's port need not be on its service where the tunnel ends elsewhere. */
export type PortPurpose = 'application' | 'waypoint';

/** A workload as one place where calls to a port of a service can go. */
export interface Host {
  /** Identifies it among the hosts of a proxy, whichever of its addresses is used. */
  readonly key: string;
  readonly workload: KnownWorkload;
  /** Port of the application. */
  readonly port: number;
  /** Its addresses that the service may use, at least one. */
  readonly addresses: readonly string[];
}

/** A workload as a host of a service's port; undefined when it cannot be reached as one. */
export function hostOf(
  workload: KnownWorkload,
  of: { readonly service: KnownService; readonly port: number; readonly purpose: PortPurpose },
): Host | undefined {
  if (workload.protocol === 'Unknown') return undefined;
  const port = targetPort(workload, of);
  const { ipFamilies } = of.service;
  const addresses =
    ipFamilies === 'IPv4' || ipFamilies === 'IPv6'
      ? workload.addresses.filter((ip) => isIpv6(ip) === (ipFamilies === 'IPv6'))
      : workload.addresses;
  if (port === undefined || addresses.length === 0) return undefined;
  return { key: `${workload.uid}|${port}`, workload, port, addresses };
}

/** The address to use of several: the one that was called, else one of its family, else the first. */
export function addressFor(
  { addresses }: { readonly addresses: readonly string[] },
  calledIp: string | undefined,
): string | undefined {
  if (calledIp === undefined || addresses.includes(calledIp)) return calledIp ?? addresses[0];
  return addresses.find((ip) => isIpv6(ip) === isIpv6(calledIp)) ?? addresses[0];
}

function targetPort(
  workload: KnownWorkload,
  { service, port, purpose }: { service: KnownService; port: number; purpose: PortPurpose },
): number | undefined {
  const declared = service.ports.get(port);
  const tunnel = workload.applicationTunnel;
  if (declared === undefined) return purpose === 'waypoint' && tunnel !== undefined ? port : undefined;
  const target = workload.services.get(service.key)?.get(port) || declared.targetPort;
  if (target > 0) return target;
  return tunnel !== undefined && tunnel.port > 0 ? port : undefined;
}

function isIpv6(ip: string): boolean {
  return ip.includes(':');
}
