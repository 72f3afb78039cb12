import { formatSpiffeId } from '#mesh/identity/spiffe.js';
import type { GatewayRef, KnownService, KnownServicePort, KnownWorkload } from '#mesh/view/known.js';
import { MeshView } from '#mesh/view/mesh-view.js';

/** A workload with everything ordinary; a test names what matters to it. */
export function makeWorkload(o: Partial<KnownWorkload> & { name: string }): KnownWorkload {
  const namespace = o.namespace ?? 'shop';
  const serviceAccount = o.serviceAccount ?? o.name;
  return {
    uid: `Kubernetes//Pod/${namespace}/${o.name}`,
    namespace,
    addresses: [],
    hostname: '',
    network: '',
    protocol: 'HBONE',
    trustDomain: 'cluster.local',
    serviceAccount,
    identity: formatSpiffeId({ trustDomain: 'cluster.local', namespace, serviceAccount }),
    waypoint: undefined,
    networkGateway: undefined,
    node: 'node-1',
    canonicalName: o.name,
    canonicalRevision: 'latest',
    workloadType: 'deployment',
    workloadName: o.name,
    nativeTunnel: false,
    applicationTunnel: undefined,
    services: new Map(),
    authorizationPolicies: [],
    status: 'Healthy',
    clusterId: 'Kubernetes',
    locality: { region: '', zone: '', subzone: '' },
    networkMode: 'Standard',
    capacity: 1,
    ...o,
  };
}

/** A service `name.namespace.svc.cluster.local` with port 80 going to 8080. */
export function makeService(o: Partial<KnownService> & { name: string }): KnownService {
  const namespace = o.namespace ?? 'shop';
  const hostname = `${o.name}.${namespace}.svc.cluster.local`;
  return {
    key: `${namespace}/${hostname}`,
    namespace,
    hostname,
    vips: [],
    cidrVips: [],
    ports: servicePorts([80, 8080]),
    subjectAltNames: [],
    waypoint: undefined,
    weightedWaypoints: [],
    loadBalancer: undefined,
    affinitySeconds: undefined,
    ipFamilies: undefined,
    canonical: false,
    visibility: 'Public',
    ...o,
  };
}

/** Ports of a service with their targets, of undeclared protocol. */
export function servicePorts(...ports: [number, number][]): KnownService['ports'] {
  return new Map(
    ports.map(([port, targetPort]): [number, KnownServicePort] => [
      port,
      { port, targetPort, protocol: 'Undeclared' },
    ]),
  );
}

/** A reference to a waypoint service of namespace `shop`. */
export function waypointRef(name: string): GatewayRef {
  return {
    destination: { kind: 'hostname', namespace: 'shop', hostname: `${name}.shop.svc.cluster.local` },
    hboneMtlsPort: 15008,
  };
}

/** A view of the given resources. */
export function makeView(resources: { workloads?: KnownWorkload[]; services?: KnownService[] }): MeshView {
  const view = new MeshView();
  for (const workload of resources.workloads ?? []) view.putWorkload(workload);
  for (const service of resources.services ?? []) view.putService(service);
  return view;
}

/** The ports of a member of `name.shop`. */
export function member(name: string, ports: [number, number][] = [[80, 8080]]): KnownWorkload['services'] {
  return new Map([[`shop/${name}.shop.svc.cluster.local`, new Map(ports)]]);
}
