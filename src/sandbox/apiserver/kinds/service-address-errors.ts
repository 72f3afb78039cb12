import { isIP } from 'node:net';
import { type FieldError, fieldError } from '../http/api-error.js';
import { type JsonObject, stringOf } from '../json.js';
import { ipFamilyOf } from './address-range.js';
import { clusterIpsOf, familiesOf, hasClusterIp, invalidIps, isHeadless, policyOf } from './service-facts.js';

const families = ['IPv4', 'IPv6'];
const policies = ['PreferDualStack', 'RequireDualStack', 'SingleStack'];
const notAnIp = 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)';

/** Problems of the cluster IPs and IP families a service names; what the cluster has is not looked at. */
export function clusterIpErrors(spec: JsonObject): FieldError[] {
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

/** Problems of one external IP. */
export function externalIpErrors(ip: string, field: string): FieldError[] {
  if (isIP(ip) === 0) return [fieldError.invalid(field, ip, notAnIp)];
  const ranges: [RegExp, string][] = [
    [/^(0\.0\.0\.0|::)$/, `may not be unspecified (${ip})`],
    [/^(127\.|::1$)/, 'may not be in the loopback range (127.0.0.0/8, ::1/128)'],
    [/^(169\.254\.|fe[89ab][0-9a-f]:)/i, 'may not be in the link-local range (169.254.0.0/16, fe80::/10)'],
    [/^(224\.0\.0\.|ff.2:)/i, 'may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)'],
  ];
  return ranges.flatMap(([form, detail]) => (form.test(ip) ? [fieldError.invalid(field, ip, detail)] : []));
}

/** The addresses and families of a service with cluster IPs stay, but for the second ones. */
export function addressChangeErrors(spec: JsonObject, before: JsonObject): FieldError[] {
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
