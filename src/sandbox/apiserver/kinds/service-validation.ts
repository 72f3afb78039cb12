import { parseNetwork } from '#base/net/cidr.js';
import { type FieldError, fieldError } from '../api-error.js';
import {
  type Json,
  type JsonObject,
  numberOf,
  objectsOf,
  stringMapOf,
  stringOf,
  stringsOf,
} from '../../base/json.js';
import { keyProblem, labelErrors, nameProblems } from '../registry/names.js';
import { addressChangeErrors, clusterIpErrors, externalIpErrors } from './service-address-errors.js';
import {
  hasClusterIp,
  hasHealthCheck,
  hasNodePorts,
  isExternal,
  isHeadless,
  nodePortsOf,
} from './service-facts.js';
import { networkForm } from './validation/addresses.js';
import { portErrors } from './service-port-errors.js';

const types = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'];
const trafficPolicies = ['Cluster', 'Local'];
const kubeletPort = 10_250;
const affinitySecondsMax = 86_400;

/** Problems of a service by itself; addresses are checked again when they are given out. */
export function serviceErrors(spec: JsonObject): FieldError[] {
  const ports = objectsOf(spec.ports);
  return [
    ...(ports.length === 0 && !isHeadless(spec) && hasClusterIp(spec)
      ? [fieldError.required('spec.ports')]
      : []),
    ...typeErrors(spec, ports),
    ...portErrors(ports),
    ...labelErrors(stringMapOf(spec.selector), 'spec.selector'),
    ...affinityErrors(spec),
    ...clusterIpErrors(spec),
    ...stringsOf(spec.externalIPs).flatMap((ip, i) => externalIpErrors(ip, `spec.externalIPs[${i}]`)),
    ...loadBalancerErrors(spec),
    ...(spec.type === 'ClusterIP'
      ? nodePortsOf(spec).flatMap((port, i) =>
          port === 0
            ? []
            : [
                fieldError.forbidden(
                  `spec.ports[${i}].nodePort`,
                  "may not be used when `type` is 'ClusterIP'",
                ),
              ],
        )
      : []),
    ...trafficErrors(spec),
  ];
}

/** Problems of a change; the addresses of a service that keeps its kind stay. */
export function serviceUpdateErrors(spec: JsonObject, before: JsonObject): FieldError[] {
  const errors: FieldError[] = [];
  // What is wrong with the addresses themselves is said already.
  if (hasClusterIp(spec) && hasClusterIp(before) && clusterIpErrors(spec).length === 0)
    errors.push(...addressChangeErrors(spec, before));
  if (
    hasHealthCheck(before) &&
    hasHealthCheck(spec) &&
    spec.healthCheckNodePort !== before.healthCheckNodePort
  )
    errors.push(fieldError.forbidden('spec.healthCheckNodePort', 'field is immutable'));
  const isStill = spec.type === 'LoadBalancer' && before.type === 'LoadBalancer';
  if (isStill && spec.loadBalancerClass !== before.loadBalancerClass)
    errors.push(
      fieldError.invalid('spec.loadBalancerClass', spec.loadBalancerClass ?? null, 'may not change once set'),
    );
  return errors;
}

function typeErrors(spec: JsonObject, ports: readonly JsonObject[]): FieldError[] {
  const type = stringOf(spec.type);
  if (!types.includes(type)) return [fieldError.notSupported('spec.type', type, types)];
  const errors: FieldError[] = [];
  if (type === 'LoadBalancer') {
    ports.forEach((port, i) => {
      if (port.port === kubeletPort)
        errors.push(
          fieldError.invalid(
            `spec.ports[${i}]`,
            kubeletPort,
            'may not expose port 10250 externally since it is used by kubelet',
          ),
        );
    });
  }
  if (hasNodePorts(spec) && isHeadless(spec))
    errors.push(
      fieldError.invalid('spec.clusterIPs[0]', 'None', `may not be set to 'None' for ${type} services`),
    );
  if (type !== 'ExternalName') return errors;
  for (const field of ['clusterIPs', 'ipFamilies', 'ipFamilyPolicy']) {
    if (stringOf(spec[field]) !== '' || stringsOf(spec[field]).length > 0)
      errors.push(fieldError.forbidden(`spec.${field}`, 'may not be set for ExternalName services'));
  }
  const name = stringOf(spec.externalName).replace(/\.$/, '');
  if (name === '') errors.push(fieldError.required('spec.externalName'));
  else
    errors.push(
      ...nameProblems(name, 'subdomain').map((problem) =>
        fieldError.invalid('spec.externalName', name, problem),
      ),
    );
  return errors;
}

function affinityErrors(spec: JsonObject): FieldError[] {
  const affinity = stringOf(spec.sessionAffinity);
  if (!['ClientIP', 'None'].includes(affinity))
    return [fieldError.notSupported('spec.sessionAffinity', affinity, ['ClientIP', 'None'])];
  if (affinity === 'None') return [];
  const config = spec.sessionAffinityConfig as JsonObject | undefined;
  const clientIp = config?.clientIP as JsonObject | undefined;
  const seconds = numberOf(clientIp?.timeoutSeconds) ?? 0;
  const field = 'spec.sessionAffinityConfig.clientIP.timeoutSeconds';
  return seconds >= 1 && seconds <= affinitySecondsMax
    ? []
    : [fieldError.invalid(field, seconds, `must be greater than 0 and less than ${affinitySecondsMax}`)];
}

function loadBalancerErrors(spec: JsonObject): FieldError[] {
  const errors: FieldError[] = [];
  const isBalanced = spec.type === 'LoadBalancer';
  const onlyFor = "may only be used when `type` is 'LoadBalancer'";
  // The capital L is what servers say.
  const ranges = 'spec.LoadBalancerSourceRanges';
  const given = stringsOf(spec.loadBalancerSourceRanges);
  if (given.length > 0 && !isBalanced) errors.push(fieldError.forbidden(ranges, onlyFor));
  else {
    given.forEach((range, i) => {
      if (parseNetwork(range.trim()) === undefined)
        errors.push(fieldError.invalid(`${ranges}[${i}]`, range, networkForm));
    });
  }
  if (spec.allocateLoadBalancerNodePorts !== undefined && !isBalanced)
    errors.push(fieldError.forbidden('spec.allocateLoadBalancerNodePorts', onlyFor));
  const loadBalancerClass = spec.loadBalancerClass;
  if (typeof loadBalancerClass === 'string') {
    const field = 'spec.loadBalancerClass';
    const problem = keyProblem(loadBalancerClass);
    if (!isBalanced) errors.push(fieldError.forbidden(field, onlyFor));
    else if (problem !== undefined) errors.push(fieldError.invalid(field, loadBalancerClass, problem));
  }
  return errors;
}

function trafficErrors(spec: JsonObject): FieldError[] {
  const errors: FieldError[] = [];
  const oneOf = (field: string, value: Json | undefined, supported: readonly string[]): void => {
    if (value !== undefined && !supported.includes(stringOf(value)))
      errors.push(fieldError.notSupported(`spec.${field}`, value, supported));
  };
  const external = spec.externalTrafficPolicy;
  if (external !== undefined && !isExternal(spec))
    errors.push(
      fieldError.invalid(
        'spec.externalTrafficPolicy',
        external,
        'may only be set for externally-accessible services',
      ),
    );
  else oneOf('externalTrafficPolicy', external, trafficPolicies);
  const healthPort = numberOf(spec.healthCheckNodePort) ?? 0;
  if (healthPort !== 0 && !hasHealthCheck(spec))
    errors.push(
      fieldError.invalid(
        'spec.healthCheckNodePort',
        healthPort,
        "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
      ),
    );
  oneOf('internalTrafficPolicy', spec.internalTrafficPolicy, trafficPolicies);
  oneOf('trafficDistribution', spec.trafficDistribution, ['PreferClose']);
  return errors;
}
