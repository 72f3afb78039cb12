import { familyOf, type IpFamily } from '#base/net/address.js';
import type { EndpointSlice, Node, Pod, Service, ServicePort } from '#base/kube/types.js';
import { canonicalJson } from '../template-hash.js';
import { isFinished, isReady } from '../pod-state.js';

/** Endpoints per slice, as upstream's default. */
const endpointsPerSliceMax = 100;

type SliceEndpoint = NonNullable<EndpointSlice['endpoints']>[number];
type SlicePort = NonNullable<EndpointSlice['ports']>[number];

/** What one slice of a service should hold. */
export interface DesiredSlice {
  readonly addressType: 'IPv4' | 'IPv6';
  readonly ports: readonly SlicePort[];
  readonly endpoints: readonly SliceEndpoint[];
}

/** The endpoints of a service, grouped by the ports its pods really listen on. */
export function desiredSlices(o: {
  readonly service: Service;
  readonly pods: readonly Pod[];
  readonly node: (name: string) => Node | undefined;
}): DesiredSlice[] {
  const { service } = o;
  const families = service.spec.ipFamilies ?? [familyOf(service.spec.clusterIP ?? '')];
  const slices: DesiredSlice[] = [];
  for (const family of families) {
    const addressType = family === 'IPv6' ? 'IPv6' : 'IPv4';
    const groups = new Map<string, { ports: SlicePort[]; endpoints: SliceEndpoint[] }>();
    for (const pod of o.pods) {
      const address = addressOf(pod, addressType);
      if (address === undefined || isFinished(pod)) continue;
      const ports = resolvePorts(service, pod);
      // A pod that has none of the ports serves nothing, unless the service has no ports at all.
      if (ports.length === 0 && (service.spec.ports ?? []).length > 0) continue;
      const id = canonicalJson(ports);
      const group = groups.get(id) ?? { ports, endpoints: [] };
      groups.set(id, group);
      group.endpoints.push(endpointOf({ service, pod, address, node: o.node(pod.spec.nodeName ?? '') }));
    }
    // A service without pods still has a slice: watchers see that it is looked after.
    if (groups.size === 0) groups.set('', { ports: [], endpoints: [] });
    for (const { ports, endpoints } of groups.values()) {
      const sorted = endpoints.toSorted((a, b) => (a.addresses[0] ?? '').localeCompare(b.addresses[0] ?? ''));
      for (let at = 0; at === 0 || at < sorted.length; at += endpointsPerSliceMax) {
        slices.push({ addressType, ports, endpoints: sorted.slice(at, at + endpointsPerSliceMax) });
      }
    }
  }
  return slices;
}

/** The pod's address of a family. */
function addressOf(pod: Pod, family: IpFamily): string | undefined {
  const all = [...(pod.status?.podIPs ?? []).map((each) => each.ip), pod.status?.podIP ?? ''];
  return all.find((ip) => ip !== '' && familyOf(ip) === family);
}

/** The service's ports as this pod has them: named target ports are looked up in its containers. */
export function resolvePorts(service: Service, pod: Pod): SlicePort[] {
  return (service.spec.ports ?? []).flatMap((port) => {
    const number = targetPort(port, pod);
    return number === undefined ? [] : [slicePort(port, number)];
  });
}

function targetPort(port: ServicePort, pod: Pod): number | undefined {
  const target = port.targetPort ?? port.port;
  if (typeof target === 'number') return target === 0 ? port.port : target;
  const protocol = port.protocol ?? 'TCP';
  const sidecars = (pod.spec.initContainers ?? []).filter((each) => each.restartPolicy === 'Always');
  for (const container of [...pod.spec.containers, ...sidecars]) {
    for (const each of container.ports ?? []) {
      if (each.name === target && (each.protocol ?? 'TCP') === protocol) return each.containerPort;
    }
  }
  return undefined;
}

function slicePort(port: ServicePort, number: number): SlicePort {
  return {
    name: port.name ?? '',
    port: number,
    protocol: port.protocol ?? 'TCP',
    ...(port.appProtocol === undefined ? {} : { appProtocol: port.appProtocol }),
  };
}

function endpointOf(o: {
  readonly service: Service;
  readonly pod: Pod;
  readonly address: string;
  readonly node: Node | undefined;
}): SliceEndpoint {
  const { service, pod } = o;
  const { name, namespace, uid } = pod.metadata;
  const serving = isReady(pod);
  const terminating = pod.metadata.deletionTimestamp !== undefined;
  const ready = service.spec.publishNotReadyAddresses === true || (serving && !terminating);
  const zone = o.node?.metadata.labels?.['topology.kubernetes.io/zone'];
  const hasOwnName =
    pod.spec.hostname !== undefined &&
    pod.spec.hostname !== '' &&
    pod.spec.subdomain === service.metadata.name;
  return {
    addresses: [o.address],
    conditions: { ready, serving, terminating },
    ...(hasOwnName && pod.spec.hostname !== undefined ? { hostname: pod.spec.hostname } : {}),
    ...(pod.spec.nodeName === undefined ? {} : { nodeName: pod.spec.nodeName }),
    ...(zone === undefined ? {} : { zone }),
    targetRef: {
      kind: 'Pod',
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(uid === undefined ? {} : { uid }),
    },
  };
}
