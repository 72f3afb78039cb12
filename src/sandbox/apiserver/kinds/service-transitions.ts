import { equalJson, type JsonObject, numberOf, objectsOf, stringOf } from '../../base/json.js';
import {
  clusterIpsOf,
  hasClusterIp,
  hasHealthCheck,
  hasNodePorts,
  isExternal,
  nodePortsOf,
} from './service-facts.js';

/** Fills `clusterIPs` from the older `clusterIP` in a new service. */
export function fillClusterIps(spec: JsonObject): void {
  if (stringOf(spec.clusterIP) !== '' && clusterIpsOf(spec).length === 0)
    spec.clusterIPs = [stringOf(spec.clusterIP)];
}

/**
 * Carries over what clients leave out of an update and what the server had chosen, and
 * drops what belongs to the type the service had before, if the client left it as it was.
 */
export function carryOver(spec: JsonObject, before: JsonObject): void {
  followClusterIp(spec, before);
  if (hasClusterIp(before) && hasClusterIp(spec)) {
    if (stringOf(spec.clusterIP) === '') spec.clusterIP = before.clusterIP ?? '';
    if (
      clusterIpsOf(spec).length === 0 &&
      spec.clusterIP === before.clusterIP &&
      before.clusterIPs !== undefined
    )
      spec.clusterIPs = before.clusterIPs;
  }
  if (hasNodePorts(before) && hasNodePorts(spec)) keepNodePorts(spec, before);
  if (hasHealthCheck(before) && hasHealthCheck(spec))
    spec.healthCheckNodePort ??= before.healthCheckNodePort ?? 0;
  dropForeign(spec, before);
}

/** Old clients know only `clusterIP`: what they do to it counts for `clusterIPs`. */
function followClusterIp(spec: JsonObject, before: JsonObject): void {
  const isChanged = stringOf(spec.clusterIP) !== stringOf(before.clusterIP);
  if (!isChanged || !equalJson(spec.clusterIPs, before.clusterIPs)) return;
  if (stringOf(spec.clusterIP) === '') delete spec.clusterIPs;
  else spec.clusterIPs = [stringOf(spec.clusterIP)];
}

/** Ports are the same when they have the same name. */
function keepNodePorts(spec: JsonObject, before: JsonObject): void {
  const used = new Set(nodePortsOf(spec));
  const known = new Map(objectsOf(before.ports).map((p) => [stringOf(p.name), numberOf(p.nodePort) ?? 0]));
  for (const port of objectsOf(spec.ports)) {
    const old = known.get(stringOf(port.name)) ?? 0;
    if ((numberOf(port.nodePort) ?? 0) !== 0 || old === 0 || used.has(old)) continue;
    port.nodePort = old;
    used.add(old);
  }
}

function dropForeign(spec: JsonObject, before: JsonObject): void {
  const left = (has: (spec: JsonObject) => boolean): boolean => has(before) && !has(spec);
  const drop = (...fields: string[]): void => {
    for (const field of fields) if (equalJson(spec[field], before[field])) delete spec[field];
  };
  if (left(hasClusterIp))
    drop('clusterIP', 'clusterIPs', 'ipFamilies', 'ipFamilyPolicy', 'internalTrafficPolicy');
  if (left(hasNodePorts) && equalJson(nodePortsOf(spec), nodePortsOf(before)))
    for (const port of objectsOf(spec.ports)) delete port.nodePort;
  if (left(hasHealthCheck)) drop('healthCheckNodePort');
  if (left((each) => each.type === 'LoadBalancer'))
    drop('allocateLoadBalancerNodePorts', 'loadBalancerClass');
  if (left(isExternal)) drop('externalTrafficPolicy');
}
