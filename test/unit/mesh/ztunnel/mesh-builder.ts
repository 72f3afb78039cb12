import { formatSpiffeId } from '#mesh/identity/spiffe.js';
import { MeshState } from '#mesh/ztunnel/state/mesh-state.js';
import type { GatewayRef, Service, Workload } from '#mesh/ztunnel/state/model.js';

/** A workload with everything ordinary; a test names what matters to it. */
export function makeWorkload(o: Partial<Workload> & { name: string }): Workload {
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
export function makeService(o: Partial<Service> & { name: string }): Service {
  const namespace = o.namespace ?? 'shop';
  return {
    namespace,
    hostname: `${o.name}.${namespace}.svc.cluster.local`,
    vips: [],
    cidrVips: [],
    ports: new Map([[80, 8080]]),
    subjectAltNames: [],
    waypoint: undefined,
    weightedWaypoints: [],
    loadBalancer: undefined,
    ipFamilies: undefined,
    canonical: false,
    visibility: 'Public',
    ...o,
  };
}

/** A reference to a waypoint service of namespace `shop`. */
export function waypointRef(name: string): GatewayRef {
  return {
    destination: { kind: 'hostname', namespace: 'shop', hostname: `${name}.shop.svc.cluster.local` },
    hboneMtlsPort: 15008,
  };
}

/** A state holding the given resources. */
export function makeState(resources: { workloads?: Workload[]; services?: Service[] }): MeshState {
  const state = new MeshState();
  for (const workload of resources.workloads ?? []) state.putWorkload(workload);
  for (const service of resources.services ?? []) state.putService(service);
  return state;
}

/** The ports of a member of `name.shop`. */
export function member(name: string, ports: [number, number][] = [[80, 8080]]): Workload['services'] {
  return new Map([[`shop/${name}.shop.svc.cluster.local`, new Map(ports)]]);
}
