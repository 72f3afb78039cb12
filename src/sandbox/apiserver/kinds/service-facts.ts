import { type FieldError, fieldError } from '../api-error.js';
import { type JsonObject, numberOf, objectsOf, stringOf, stringsOf } from '../../base/json.js';

// What the parts of a service's strategy agree on.

export function isHeadless(spec: JsonObject): boolean {
  return spec.clusterIP === 'None';
}

/** Whether the type has cluster IPs (or none on purpose), IP families and an internal traffic policy. */
export function hasClusterIp(spec: JsonObject): boolean {
  return spec.type !== 'ExternalName';
}

export function hasNodePorts(spec: JsonObject): boolean {
  return spec.type === 'NodePort' || spec.type === 'LoadBalancer';
}

/** Whether traffic from outside reaches it. */
export function isExternal(spec: JsonObject): boolean {
  return hasNodePorts(spec) || (spec.type === 'ClusterIP' && stringsOf(spec.externalIPs).length > 0);
}

/** Whether load balancers ask nodes if they have an endpoint. */
export function hasHealthCheck(spec: JsonObject): boolean {
  return spec.type === 'LoadBalancer' && spec.externalTrafficPolicy === 'Local';
}

export function clusterIpsOf(spec: JsonObject): string[] {
  return stringsOf(spec.clusterIPs);
}

export function nodePortsOf(spec: JsonObject): number[] {
  return objectsOf(spec.ports).map((port) => numberOf(port.nodePort) ?? 0);
}

/** An error about a list of addresses, in which servers show Go's spelling of a list. */
export function invalidIps(field: string, ips: readonly string[], detail: string): FieldError {
  const shown = `[]string{${ips.map((ip) => JSON.stringify(ip)).join(', ')}}`;
  return { ...fieldError.invalid(field, '', detail), message: `Invalid value: ${shown}: ${detail}` };
}

/** Families that a service names. */
export function familiesOf(spec: JsonObject): string[] {
  return stringsOf(spec.ipFamilies);
}

export function familyPolicyOf(spec: JsonObject): string {
  return stringOf(spec.ipFamilyPolicy);
}
