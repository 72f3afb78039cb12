import { apiError, type FieldError, fieldError } from '../api-error.js';
import { type JsonObject, numberOf, objectsOf } from '../../base/json.js';
import type { IpFamily } from '#base/net/address.js';
import type { ServiceAddresses } from '../kinds/service-addresses.js';
import {
  clusterIpsOf,
  familiesOf,
  hasClusterIp,
  hasHealthCheck,
  hasNodePorts,
  invalidIps,
  isHeadless,
  nodePortsOf,
} from '../kinds/service-facts.js';
import { specOf } from '../registry/resource.js';
import type { AdmissionPlugin } from '../registry/admission.js';
import { decideFamilies } from './service-families.js';

/**
 * Gives services their cluster IPs and node ports, after they have been found valid. Until
 * the write is made, or given up, no other one gets them; a dry run takes nothing.
 */
export function serviceAllocation(addresses: ServiceAddresses): AdmissionPlugin {
  return {
    name: 'ServiceAllocation',
    validate: ({ operation, resource, object, old, subresource, holds, isDryRun }) => {
      if (resource.storage !== 'services' || operation === 'DELETE' || (subresource ?? '') !== '') return;
      const spec = specOf(object);
      const before = old === undefined ? undefined : specOf({ ...old });
      const errors: FieldError[] = [];
      if (hasClusterIp(spec)) {
        errors.push(...decideFamilies(spec, before, addresses.families));
        if (errors.length === 0 && !isHeadless(spec)) errors.push(...allocateIps(spec, before, addresses));
      }
      if (errors.length === 0) errors.push(...allocatePorts(spec, before, addresses));
      if (errors.length > 0) throw apiError.invalid('Service', '', object.metadata.name, errors);
      if (isDryRun !== true) holds?.add(addresses.hold(spec, before));
    },
  };
}

function allocateIps(
  spec: JsonObject,
  before: JsonObject | undefined,
  addresses: ServiceAddresses,
): FieldError[] {
  const own = new Set(before === undefined ? [] : clusterIpsOf(before));
  const ips = clusterIpsOf(spec);
  for (const ip of ips) {
    const problem = own.has(ip) ? undefined : addresses.problem(ip);
    if (problem !== undefined)
      return [invalidIps('spec.clusterIPs', ips, `failed to allocate IP ${ip}: ${problem}`)];
  }
  for (const family of familiesOf(spec).slice(ips.length)) {
    const free = addresses.freeIp(family as IpFamily); // checked against the cluster's families before
    if (free === undefined) throw apiError.internal('failed to allocate a serviceIP: range is full');
    ips.push(free);
  }
  spec.clusterIPs = ips;
  spec.clusterIP = ips[0] ?? '';
  return [];
}

function allocatePorts(
  spec: JsonObject,
  before: JsonObject | undefined,
  addresses: ServiceAddresses,
): FieldError[] {
  const given = new Set<number>();
  if (hasNodePorts(spec)) {
    const errors = nodePorts(spec, { before, addresses, given });
    if (errors.length > 0) return errors;
  }
  if (hasHealthCheck(spec)) healthCheckPort(spec, { before, addresses, given });
  return [];
}

interface PortContext {
  readonly before: JsonObject | undefined;
  readonly addresses: ServiceAddresses;
  /** Ports this service has been given in this very request. */
  readonly given: Set<number>;
}

function nodePorts(spec: JsonObject, { before, addresses, given }: PortContext): FieldError[] {
  const owned = new Set(before === undefined ? [] : nodePortsOf(before));
  const ports = objectsOf(spec.ports);
  const protocolsByPort = new Map<number, Set<unknown>>();
  for (const [i, port] of ports.entries()) {
    const asked = numberOf(port.nodePort) ?? 0;
    if (asked === 0) continue;
    const field = `spec.ports[${i}].nodePort`;
    const problem = owned.has(asked) ? undefined : addresses.portProblem(asked);
    // One port may serve several protocols of a service.
    const protocols = protocolsByPort.get(asked) ?? new Set();
    const isTwice = protocols.has(port.protocol);
    if (problem !== undefined || isTwice)
      return [fieldError.invalid(field, asked, problem ?? 'provided port is already allocated')];
    protocolsByPort.set(asked, protocols.add(port.protocol));
    given.add(asked);
  }
  if (spec.type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts === false) return [];
  const byPort = new Map(ports.map((port) => [numberOf(port.port), port]));
  for (const port of ports) {
    if ((numberOf(port.nodePort) ?? 0) !== 0) continue;
    const sibling = byPort.get(numberOf(port.port));
    // The same port in another protocol gets the same number, as DNS wants it.
    const shared = sibling === port ? 0 : (numberOf(sibling?.nodePort) ?? 0);
    const free = shared === 0 ? addresses.freePort(given) : shared;
    if (free === undefined) throw apiError.internal('failed to allocate a nodePort: range is full');
    port.nodePort = free;
    given.add(free);
    byPort.set(numberOf(port.port), port);
  }
  return [];
}

function healthCheckPort(spec: JsonObject, { before, addresses, given }: PortContext): void {
  const asked = numberOf(spec.healthCheckNodePort) ?? 0;
  if (asked !== 0) {
    const isOwn = numberOf(before?.healthCheckNodePort) === asked;
    const problem = isOwn ? undefined : addresses.portProblem(asked);
    if (problem !== undefined)
      throw apiError.internal(`failed to allocate requested HealthCheck NodePort ${asked}: ${problem}`);
    return;
  }
  const free = addresses.freePort(given);
  if (free === undefined)
    throw apiError.internal('failed to allocate a HealthCheck NodePort : range is full');
  spec.healthCheckNodePort = free;
}
