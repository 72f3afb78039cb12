import { apiError, fieldError } from '../http/api-error.js';
import { type JsonObject, numberOf, objectsOf, stringOf } from '../json.js';
import type { ServiceAddresses } from '../kinds/service-addresses.js';
import type { KubeObject } from '../object.js';
import { specOf } from '../registry/resource.js';
import type { AdmissionPlugin } from './admission.js';

const isPublished = (type: string): boolean => type === 'NodePort' || type === 'LoadBalancer';

function invalid(service: KubeObject, error: ReturnType<typeof fieldError.invalid>): Error {
  return apiError.invalid('Service', '', service.metadata.name, [error]);
}

function allocateIp(
  service: KubeObject,
  spec: JsonObject,
  old: JsonObject | undefined,
  addresses: ServiceAddresses,
): void {
  if (spec.type === 'ExternalName') {
    delete spec.clusterIP;
    delete spec.clusterIPs;
    return;
  }
  const before = stringOf(old?.clusterIP);
  let ip = stringOf(spec.clusterIP);
  if (ip === '' && before !== '') ip = before;
  if (ip === '') {
    const free = addresses.freeIp();
    if (free === undefined) throw apiError.internal('failed to allocate a serviceIP: range is full');
    ip = free;
  } else if (ip !== 'None' && ip !== before) {
    if (!addresses.contains(ip)) {
      throw invalid(
        service,
        fieldError.invalid(
          'spec.clusterIPs',
          [ip],
          'failed to allocate IP: the provided IP is not in the valid range of the cluster',
        ),
      );
    }
    if (addresses.isIpTaken(ip)) {
      throw invalid(
        service,
        fieldError.invalid(
          'spec.clusterIPs',
          [ip],
          'failed to allocate IP: provided IP is already allocated',
        ),
      );
    }
  }
  spec.clusterIP = ip;
  spec.clusterIPs = [ip];
  spec.ipFamilies = ['IPv4'];
  spec.ipFamilyPolicy ??= 'SingleStack';
}

function allocatePorts(
  service: KubeObject,
  spec: JsonObject,
  old: JsonObject | undefined,
  addresses: ServiceAddresses,
): void {
  const ports = objectsOf(spec.ports);
  if (
    !isPublished(stringOf(spec.type)) ||
    (spec.type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts === false)
  ) {
    if (!isPublished(stringOf(spec.type))) for (const port of ports) delete port.nodePort;
    return;
  }
  const owned = new Set(objectsOf(old?.ports).map((p) => numberOf(p.nodePort) ?? 0));
  const given = new Set<number>();
  for (const [i, port] of ports.entries()) {
    const asked = numberOf(port.nodePort) ?? 0;
    if (asked === 0) continue;
    if (!owned.has(asked)) {
      const field = `spec.ports[${i}].nodePort`;
      if (!addresses.isNodePort(asked)) {
        throw invalid(
          service,
          fieldError.invalid(
            field,
            asked,
            'provided port is not in the valid range. The range of valid ports is 30000-32767',
          ),
        );
      }
      if (addresses.isPortTaken(asked)) {
        throw invalid(service, fieldError.invalid(field, asked, 'provided port is already allocated'));
      }
    }
    given.add(asked);
  }
  for (const port of ports) {
    if ((numberOf(port.nodePort) ?? 0) !== 0) continue;
    const same = objectsOf(old?.ports).find(
      (p) => p.port === port.port && (p.protocol ?? 'TCP') === (port.protocol ?? 'TCP'),
    );
    const before = numberOf(same?.nodePort) ?? 0;
    const free = before !== 0 && !given.has(before) ? before : addresses.freePort(given);
    if (free === undefined) throw apiError.internal('failed to allocate a nodePort: range is full');
    port.nodePort = free;
    given.add(free);
  }
}

/** Gives services their cluster IPs and node ports. */
export function serviceAllocation(addresses: ServiceAddresses): AdmissionPlugin {
  return {
    name: 'ServiceAllocation',
    admit: ({ operation, resource, object, old, subresource }) => {
      if (resource.storage !== 'services' || operation === 'DELETE' || (subresource ?? '') !== '') return;
      const spec = specOf(object);
      const before = old === undefined ? undefined : specOf({ ...old });
      allocateIp(object, spec, before, addresses);
      allocatePorts(object, spec, before, addresses);
    },
  };
}
