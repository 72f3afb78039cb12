import { isIP } from 'node:net';
import { type FieldError, fieldError } from '../http/api-error.js';
import {
  type Json,
  type JsonObject,
  numberOf,
  objectsOf,
  stringMapOf,
  stringOf,
  stringsOf,
} from '../json.js';
import { keyProblem, labelErrors, nameProblems } from '../registry/names.js';
import { ipFamilyOf } from './address-range.js';
import {
  clusterIpsOf,
  familiesOf,
  hasClusterIp,
  hasHealthCheck,
  hasNodePorts,
  invalidIps,
  isExternal,
  isHeadless,
  nodePortsOf,
  policyOf,
} from './service-facts.js';

const types = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'];
const protocols = ['SCTP', 'TCP', 'UDP'];
const trafficPolicies = ['Cluster', 'Local'];
const families = ['IPv4', 'IPv6'];
const policies = ['PreferDualStack', 'RequireDualStack', 'SingleStack'];
const kubeletPort = 10_250;
const affinitySecondsMax = 86_400;
const notAnIp = 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)';

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

function addressChangeErrors(spec: JsonObject, before: JsonObject): FieldError[] {
  const [old, now] = [clusterIpsOf(before), clusterIpsOf(spec)];
  const errors: FieldError[] = [];
  const isReleased = policyOf(spec) === 'SingleStack';
  for (const i of [0, 1]) {
    if (old[i] === undefined || now[i] === old[i]) continue;
    if (i === 1 && now[1] === undefined) continue; // judged below, by what the families say
    errors.push(invalidIps(`spec.clusterIPs[${i}]`, now, 'may not change once set'));
  }
  const [oldFamilies, nowFamilies] = [familiesOf(before), familiesOf(spec)];
  if (errors.length === 0 && nowFamilies[0] !== undefined && oldFamilies[0] !== undefined) {
    if (nowFamilies[0] !== oldFamilies[0])
      errors.push(fieldError.invalid('spec.ipFamilies[0]', nowFamilies, 'may not change once set'));
  }
  const hasLost = (list: readonly string[], was: readonly string[]): boolean =>
    was.length === 2 && list.length === 1;
  if (!isReleased && hasLost(now, old))
    errors.push(
      fieldError.invalid(
        'spec.ipFamilyPolicy',
        policyOf(spec),
        "must be 'SingleStack' to release the secondary cluster IP",
      ),
    );
  if (!isReleased && hasLost(nowFamilies, oldFamilies) && !isHeadless(spec))
    errors.push(
      fieldError.invalid(
        'spec.ipFamilyPolicy',
        policyOf(spec),
        "must be 'SingleStack' to release the secondary IP family",
      ),
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

function portErrors(ports: readonly JsonObject[]): FieldError[] {
  const errors: FieldError[] = [];
  const names = new Set<string>();
  const inRange = 'must be between 1 and 65535, inclusive';
  const isPort = (n: number): boolean => n >= 1 && n <= 65_535;
  ports.forEach((port, i) => {
    const at = `spec.ports[${i}]`;
    const name = stringOf(port.name);
    if (name === '' && ports.length > 1) errors.push(fieldError.required(`${at}.name`));
    if (name !== '') {
      errors.push(
        ...nameProblems(name, 'label').map((problem) => fieldError.invalid(`${at}.name`, name, problem)),
      );
      if (names.has(name)) errors.push(fieldError.duplicate(`${at}.name`, name));
      names.add(name);
    }
    const number = numberOf(port.port) ?? 0;
    if (!isPort(number)) errors.push(fieldError.invalid(`${at}.port`, number, inRange));
    if (!protocols.includes(stringOf(port.protocol)))
      errors.push(fieldError.notSupported(`${at}.protocol`, port.protocol, protocols));
    const target = port.targetPort;
    if (typeof target === 'string')
      errors.push(
        ...portNameProblems(target).map((problem) => fieldError.invalid(`${at}.targetPort`, target, problem)),
      );
    else if (!isPort(numberOf(target) ?? 0))
      errors.push(fieldError.invalid(`${at}.targetPort`, numberOf(target) ?? 0, inRange));
    const appProtocol = stringOf(port.appProtocol);
    const problem = appProtocol === '' ? undefined : keyProblem(appProtocol);
    if (problem !== undefined) errors.push(fieldError.invalid(`${at}.appProtocol`, appProtocol, problem));
  });
  const seen = new Set<string>();
  ports.forEach((port, i) => {
    const key = `${numberOf(port.port) ?? 0}/${stringOf(port.protocol)}`;
    if (seen.has(key)) errors.push(duplicatePort(port, i));
    seen.add(key);
  });
  return errors;
}

/** Servers show the port here as Go prints the fields that count. */
function duplicatePort(port: JsonObject, i: number): FieldError {
  const target = 'intstr.IntOrString{Type:0, IntVal:0, StrVal:""}';
  const shown = `core.ServicePort{Name:"", Protocol:${JSON.stringify(port.protocol)}, AppProtocol:(*string)(nil), Port:${numberOf(port.port) ?? 0}, TargetPort:${target}, NodePort:0}`;
  return { ...fieldError.duplicate(`spec.ports[${i}]`, ''), message: `Duplicate value: ${shown}` };
}

/** What is wrong with the name of a container's port (IANA service name). */
function portNameProblems(name: string): string[] {
  return [
    ...(name.length > 15 ? ['must be no more than 15 characters'] : []),
    ...(/^[-a-z0-9]+$/.test(name)
      ? []
      : ['must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)']),
    ...(/[a-z]/.test(name) ? [] : ['must contain at least one letter (a-z)']),
    ...(name.includes('--') ? ['must not contain consecutive hyphens'] : []),
    ...(/^-|-$/.test(name) ? ['must not begin or end with a hyphen'] : []),
  ];
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

function clusterIpErrors(spec: JsonObject): FieldError[] {
  if (!hasClusterIp(spec)) return [];
  const errors: FieldError[] = [];
  const named = familiesOf(spec);
  named.forEach((family, i) => {
    if (!families.includes(family))
      errors.push(fieldError.notSupported(`spec.ipFamilies[${i}]`, family, families));
    else if (named.indexOf(family) < i) errors.push(fieldError.duplicate(`spec.ipFamilies[${i}]`, family));
  });
  const policy = policyOf(spec);
  if (policy !== '' && !policies.includes(policy))
    errors.push(fieldError.notSupported('spec.ipFamilyPolicy', policy, policies));
  const ips = clusterIpsOf(spec);
  if (ips.length > 0) {
    if (stringOf(spec.clusterIP) === '')
      errors.push(invalidIps('spec.clusterIPs', ips, 'must be empty when `clusterIP` is not specified'));
    else if (ips[0] !== spec.clusterIP)
      errors.push(invalidIps('spec.clusterIPs', ips, 'first value must match `clusterIP`'));
  }
  if (ips[0] === 'None') {
    if (ips.length > 1)
      errors.push(invalidIps('spec.clusterIPs', ips, "'None' must be the first and only value"));
    return errors;
  }
  ips.forEach((ip, i) => {
    if (isIP(ip) === 0) errors.push(fieldError.invalid(`spec.clusterIPs[${i}]`, ip, notAnIp));
    else if (named[i] !== undefined && families.includes(named[i]) && named[i] !== ipFamilyOf(ip)) {
      const detail = `expected an ${named[i]} value as indicated by \`ipFamilies[${i}]\``;
      errors.push(fieldError.invalid(`spec.clusterIPs[${i}]`, ip, detail));
    }
  });
  if (ips.length > 2) errors.push(invalidIps('spec.clusterIPs', ips, 'may only hold up to 2 values'));
  const valid = ips.every((ip) => isIP(ip) !== 0);
  if (valid && ips.length === 2 && new Set(ips.map(ipFamilyOf)).size === 1)
    errors.push(invalidIps('spec.clusterIPs', ips, 'may specify no more than one IP for each IP family'));
  return errors;
}

function externalIpErrors(ip: string, field: string): FieldError[] {
  if (isIP(ip) === 0) return [fieldError.invalid(field, ip, notAnIp)];
  const ranges: [RegExp, string][] = [
    [/^(0\.0\.0\.0|::)$/, `may not be unspecified (${ip})`],
    [/^(127\.|::1$)/, 'may not be in the loopback range (127.0.0.0/8, ::1/128)'],
    [/^(169\.254\.|fe[89ab][0-9a-f]:)/i, 'may not be in the link-local range (169.254.0.0/16, fe80::/10)'],
    [/^(224\.0\.0\.|ff.2:)/i, 'may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)'],
  ];
  return ranges.flatMap(([form, detail]) => (form.test(ip) ? [fieldError.invalid(field, ip, detail)] : []));
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
      if (!isCidr(range.trim()))
        errors.push(
          fieldError.invalid(
            `${ranges}[${i}]`,
            range,
            'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)',
          ),
        );
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

function isCidr(text: string): boolean {
  const [ip = '', bits = '', ...rest] = text.split('/');
  const max = isIP(ip) === 6 ? 128 : 32;
  return isIP(ip) !== 0 && rest.length === 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= max;
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
