import { formatSpiffeId, type SpiffeId } from '../../identity/spiffe.js';
import {
  type GatewayAddress as WireGateway,
  TunnelProtocol,
  type Workload as WireWorkload,
  WorkloadStatus,
} from '../../xds/gen/istio/workload_pb.js';
import { bytesToIp } from '#base/net/address.js';

/** Which gateway handles traffic for a service or workload. */
export type GatewayRef =
  | { readonly kind: 'hostname'; readonly namespace: string; readonly hostname: string }
  | { readonly kind: 'address'; readonly network: string; readonly ip: string };

/** Region, zone and subzone; empty where unknown. */
export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
}

/** A workload of the mesh as this proxy uses it. */
export interface Workload {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly network: string;
  readonly ips: readonly string[];
  readonly identity: SpiffeId;
  readonly isHbone: boolean;
  readonly isHealthy: boolean;
  readonly node: string;
  readonly clusterId: string;
  readonly locality: Locality;
  readonly workloadName: string;
  readonly canonicalName: string;
  readonly canonicalRevision: string;
  readonly waypoint: GatewayRef | undefined;
  /** `namespace/hostname` of each service it backs, to its service port -> pod port. */
  readonly services: ReadonlyMap<string, ReadonlyMap<number, number>>;
}

/** Reads a workload off the wire. Throws on what cannot be a workload, which rejects that resource. */
export function readWorkload(wire: WireWorkload): Workload {
  if (wire.uid === '') throw new Error('workload without uid');
  const services = new Map<string, ReadonlyMap<number, number>>();
  for (const [key, { ports }] of Object.entries(wire.services)) {
    if (!key.includes('/')) throw new Error(`service key ${JSON.stringify(key)} has no namespace`);
    services.set(key, new Map(ports.map(({ servicePort, targetPort }) => [servicePort, targetPort])));
  }
  return {
    uid: wire.uid,
    name: wire.name,
    namespace: wire.namespace,
    network: wire.network,
    ips: wire.addresses.map(readIp),
    identity: formatSpiffeId({
      trustDomain: wire.trustDomain || 'cluster.local',
      namespace: wire.namespace,
      serviceAccount: wire.serviceAccount || 'default',
    }),
    isHbone: wire.tunnelProtocol === TunnelProtocol.HBONE,
    isHealthy: wire.status === WorkloadStatus.HEALTHY,
    node: wire.node,
    clusterId: wire.clusterId || 'Kubernetes',
    locality: {
      region: wire.locality?.region ?? '',
      zone: wire.locality?.zone ?? '',
      subzone: wire.locality?.subzone ?? '',
    },
    workloadName: wire.workloadName || wire.name,
    canonicalName: wire.canonicalName,
    canonicalRevision: wire.canonicalRevision,
    waypoint: readGateway(wire.waypoint),
    services,
  };
}

/** Reads a gateway reference. Throws when it names nothing. */
export function readGateway(wire: WireGateway | undefined): GatewayRef | undefined {
  if (wire === undefined) return undefined;
  switch (wire.destination.case) {
    case 'hostname': {
      const { namespace, hostname } = wire.destination.value;
      return { kind: 'hostname', namespace, hostname };
    }
    case 'address': {
      const { network, address } = wire.destination.value;
      return { kind: 'address', network, ip: readIp(address) };
    }
    default:
      throw new Error('gateway address without destination');
  }
}

/** Text of a 4 or 16 byte address. Throws on other lengths. */
export function readIp(bytes: Uint8Array): string {
  const ip = bytesToIp(bytes);
  if (ip === undefined) throw new Error(`address of ${bytes.length} bytes`);
  return ip;
}
