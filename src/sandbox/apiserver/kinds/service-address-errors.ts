import { familyOf, isIp } from '#base/net/address.js';
import { type FieldError, fieldError } from '../api-error.js';
import { type JsonObject, stringOf } from '../../base/json.js';
import {
  clusterIpsOf,
  familiesOf,
  hasClusterIp,
  invalidIps,
  isHeadless,
  familyPolicyOf,
} from './service-facts.js';
import { ipForm, rangeProblems } from './validation/addresses.js';

const families = ['IPv4', 'IPv6'];
const policies = ['PreferDualStack', 'RequireDualStack', 'SingleStack'];

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
  const policy = familyPolicyOf(spec);
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
    if (!isIp(ip)) errors.push(fieldError.invalid(`spec.clusterIPs[${i}]`, ip, ipForm));
    else if (named[i] !== undefined && families.includes(named[i]) && named[i] !== familyOf(ip)) {
      const detail = `expected an ${named[i]} value as indicated by \`ipFamilies[${i}]\``;
      errors.push(fieldError.invalid(`spec.clusterIPs[${i}]`, ip, detail));
    }
  });
  if (ips.length > 2) errors.push(invalidIps('spec.clusterIPs', ips, 'may only hold up to 2 values'));
  const valid = ips.every(isIp);
  if (valid && ips.length === 2 && new Set(ips.map(familyOf)).size === 1)
    errors.push(invalidIps('spec.clusterIPs', ips, 'may specify no more than one IP for each IP family'));
  return errors;
}

/** Problems of one external IP. */
export function externalIpErrors(ip: string, field: string): FieldError[] {
  if (!isIp(ip)) return [fieldError.invalid(field, ip, ipForm)];
  return rangeProblems(ip).map((problem) => fieldError.invalid(field, ip, problem));
}

/** The addresses and families of a service with cluster IPs stay, but for the second ones. */
export function addressChangeErrors(spec: JsonObject, before: JsonObject): FieldError[] {
  const [old, now] = [clusterIpsOf(before), clusterIpsOf(spec)];
  const errors: FieldError[] = [];
  const isReleased = familyPolicyOf(spec) === 'SingleStack';
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
        familyPolicyOf(spec),
        "must be 'SingleStack' to release the secondary cluster IP",
      ),
    );
  if (!isReleased && hasLost(nowFamilies, oldFamilies) && !isHeadless(spec))
    errors.push(
      fieldError.invalid(
        'spec.ipFamilyPolicy',
        familyPolicyOf(spec),
        "must be 'SingleStack' to release the secondary IP family",
      ),
    );
  return errors;
}
