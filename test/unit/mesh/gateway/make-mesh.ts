import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { formatSpiffeId } from '#mesh/identity/spiffe.js';
import type { MeshView } from '#mesh/view/mesh-view.js';
import {
  AddressSchema,
  AppProtocol,
  type GatewayAddressSchema,
  type ServiceSchema,
  TunnelProtocol,
  type WorkloadSchema,
} from '#mesh/xds/gen/istio/workload_pb.js';
import { ipToBytes } from '#base/net/address.js';
import type { ConnectionContext } from '#mesh/gateway/connection/connection-context.js';
import { type GatewaySelf, resolveDestination } from '#mesh/gateway/connection/destination.js';

export const self: GatewaySelf = {
  namespace: 'shop',
  hostname: 'waypoint.shop.svc.cluster.local',
  network: '',
  podIp: '10.244.1.9',
};

export function ipBytes(ip: string): Uint8Array {
  const bytes = ipToBytes(ip);
  if (bytes === undefined) throw new Error(`${ip} is not an address`);
  return bytes;
}

/** A reference to a gateway of namespace `shop` by name. */
export function gatewayNamed(name: string): MessageInitShape<typeof GatewayAddressSchema> {
  const hostname = `${name}.shop.svc.cluster.local`;
  return { destination: { case: 'hostname', value: { namespace: 'shop', hostname } }, hboneMtlsPort: 15008 };
}

/** A reference to a gateway by address. */
export function gatewayAt(ip: string, network = ''): MessageInitShape<typeof GatewayAddressSchema> {
  return { destination: { case: 'address', value: { network, address: ipBytes(ip) } }, hboneMtlsPort: 15008 };
}

type ServiceInit = MessageInitShape<typeof ServiceSchema>;
type WorkloadInit = MessageInitShape<typeof WorkloadSchema>;

/** Adds Service shop/<name> with one HTTP port 80 -> 8080, bound to the gateway under test. */
export function addService(
  view: MeshView,
  name: string,
  vip: string,
  change: Partial<ServiceInit> = {},
): void {
  const hostname = `${name}.shop.svc.cluster.local`;
  const value: ServiceInit = {
    name,
    namespace: 'shop',
    hostname,
    addresses: [{ network: '', address: ipBytes(vip) }],
    ports: [{ servicePort: 80, targetPort: 8080, appProtocol: AppProtocol.HTTP11 }],
    waypoint: gatewayNamed('waypoint'),
    ...change,
  } as ServiceInit;
  const message = create(AddressSchema, { type: { case: 'service', value } });
  view.upsert({ name: `shop/${hostname}`, version: '', value: toBinary(AddressSchema, message) });
}

/** Adds a healthy HBONE pod shop/<name>, backing the named services on port 8080. */
export function addWorkload(
  view: MeshView,
  name: string,
  ip: string,
  change: Partial<WorkloadInit> & { backs?: readonly string[] } = {},
): void {
  const { backs = [], ...rest } = change;
  const value: WorkloadInit = {
    uid: `Kubernetes//Pod/shop/${name}`,
    name,
    namespace: 'shop',
    addresses: [ipBytes(ip)],
    serviceAccount: name,
    workloadName: name,
    canonicalName: name,
    canonicalRevision: 'v1',
    tunnelProtocol: TunnelProtocol.HBONE,
    services: Object.fromEntries(
      backs.map((service) => [
        `shop/${service}.shop.svc.cluster.local`,
        { ports: [{ servicePort: 80, targetPort: 8080 }] },
      ]),
    ),
    ...rest,
  } as WorkloadInit;
  const message = create(AddressSchema, { type: { case: 'workload', value } });
  view.upsert({ name: `Kubernetes//Pod/shop/${name}`, version: '', value: toBinary(AddressSchema, message) });
}

/** The connection of pod `sleep` (10.244.1.5) to an authority, through the gateway under test. */
export function connectionTo(view: MeshView, authority: string): ConnectionContext {
  const destination = resolveDestination(view, self, { authority, clientNamespace: 'shop' });
  if (destination.kind === 'refused') throw new Error(destination.reason);
  return {
    peer: formatSpiffeId({ trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'sleep' }),
    peerAddress: { ip: '10.244.1.5', port: 40000 },
    source: view.workloadAt('', '10.244.1.5'),
    destination,
  };
}
