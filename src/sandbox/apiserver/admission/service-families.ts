import { type FieldError, fieldError } from '../api-error.js';
import { equalJson, type JsonObject, stringMapOf } from '../../base/json.js';
import { familyOf, type IpFamily } from '#base/net/address.js';
import { clusterIpsOf, familiesOf, invalidIps, isHeadless, familyPolicyOf } from '../kinds/service-facts.js';

/**
 * Decides the IP families and the family policy of a service that has cluster IPs:
 * what the user left out follows from the addresses, the policy and the cluster's
 * families (the default one first). Returns what makes that impossible.
 */
export function decideFamilies(
  spec: JsonObject,
  before: JsonObject | undefined,
  cluster: readonly IpFamily[],
): FieldError[] {
  // A PreferDualStack service follows the cluster only when somebody touches these fields.
  const isUntouched =
    before !== undefined &&
    before.type !== 'ExternalName' &&
    familyPolicyOf(spec) === 'PreferDualStack' &&
    ['ipFamilyPolicy', 'ipFamilies', 'clusterIPs'].every((field) => equalJson(spec[field], before[field]));
  if (isUntouched) return [];
  if (before !== undefined) releaseSecondary(spec, before);

  const isSelectorless = isHeadless(spec) && Object.keys(stringMapOf(spec.selector)).length === 0;
  if (familyPolicyOf(spec) === '') spec.ipFamilyPolicy = isSelectorless ? 'RequireDualStack' : 'SingleStack';
  const policy = familyPolicyOf(spec);
  const ips = clusterIpsOf(spec);
  const errors: FieldError[] = [];
  if (policy === 'SingleStack') {
    const need = (what: string): FieldError =>
      fieldError.invalid(
        'spec.ipFamilyPolicy',
        policy,
        `must be 'RequireDualStack' or 'PreferDualStack' when multiple ${what} are specified`,
      );
    if (ips.length === 2) errors.push(need('cluster IPs'));
    if (familiesOf(spec).length === 2) errors.push(need('IP families'));
  }
  const families = familiesOf(spec);
  ips.forEach((ip, i) => {
    if (ip === 'None' || i < families.length) return;
    const family = familyOf(ip);
    if (cluster.includes(family)) families.push(family);
    else errors.push(invalidIps(`spec.clusterIPs[${i}]`, ips, `${family} is not configured on this cluster`));
  });
  if (errors.length > 0) return errors;

  if (isSelectorless) {
    // Whoever writes the endpoints may have addresses that the cluster itself has not.
    spec.ipFamilies = complete(families, cluster, policy !== 'SingleStack');
    return [];
  }
  if (policy === 'RequireDualStack' && cluster.length < 2)
    errors.push(
      fieldError.invalid(
        'spec.ipFamilyPolicy',
        policy,
        'this cluster is not configured for dual-stack services',
      ),
    );
  families.forEach((family, i) => {
    if (!cluster.some((each) => each === family))
      errors.push(fieldError.invalid(`spec.ipFamilies[${i}]`, family, 'not configured on this cluster'));
  });
  if (errors.length === 0)
    spec.ipFamilies = complete(families, cluster, policy !== 'SingleStack' && cluster.length === 2);
  return errors;
}

/** Back to one family: the second one goes, unless the user says something else about it. */
function releaseSecondary(spec: JsonObject, before: JsonObject): void {
  if (familyPolicyOf(spec) !== 'SingleStack' || familyPolicyOf(before) === 'SingleStack') return;
  for (const field of ['clusterIPs', 'ipFamilies'] as const) {
    const list = field === 'clusterIPs' ? clusterIpsOf(spec) : familiesOf(spec);
    if (list.length === 2 && equalJson(spec[field], before[field])) spec[field] = list.slice(0, 1);
  }
}

function complete(families: readonly string[], cluster: readonly IpFamily[], isDual: boolean): string[] {
  const first = families[0] ?? cluster[0] ?? 'IPv4';
  if (families.length > 1 || !isDual) return families.length > 0 ? [...families] : [first];
  return [first, first === 'IPv4' ? 'IPv6' : 'IPv4'];
}
