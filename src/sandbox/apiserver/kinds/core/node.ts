import { type Json, objectOf, objectsOf, stringOf, stringsOf } from '../../../base/json.js';
import { specOf, type Strategy } from '../../registry/resource.js';
import { labelValueProblems } from '../../registry/names.js';
import { taintEffects } from '../pods/scheduling-errors.js';
import { network } from '../validation/addresses.js';
import { at, Checks } from '../validation/checks.js';
import { qualifiedName } from '../validation/selectors.js';

const notReady = { key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' } as const;

/** Taints; their errors stand under metadata, as in Kubernetes. */
function taintErrors(checks: Checks, taints: Json | undefined): void {
  const seen = new Set<string>();
  checks.each(taints, 'metadata.taints', (taint, path) => {
    qualifiedName(checks, taint.key, at(path, 'key'));
    const problems = labelValueProblems(stringOf(taint.value));
    if (problems.length > 0) checks.invalid(at(path, 'value'), taint.value, problems.join(';'));
    checks.requiredOneOf(taint.effect, at(path, 'effect'), taintEffects);
    const key = `${stringOf(taint.key)}:${stringOf(taint.effect)}`;
    if (seen.has(key)) checks.duplicate(path, taint);
    seen.add(key);
  });
}

/** Nodes. */
export const nodeStrategy: Strategy = {
  prepareCreate: (draft) => {
    // Nothing runs there before the node says that it is ready; its controller takes the taint away.
    const spec = specOf(draft);
    const taints = objectsOf(spec.taints);
    if (!taints.some((t) => t.key === notReady.key && t.effect === notReady.effect))
      spec.taints = [...taints, { ...notReady }];
  },
  defaults: (draft) => {
    const spec = specOf(draft);
    const [first] = stringsOf(spec.podCIDRs);
    if (first !== undefined) spec.podCIDR = first;
    else if (stringOf(spec.podCIDR) !== '') spec.podCIDRs = [stringOf(spec.podCIDR)];
    const status = objectOf(draft.status);
    if (status.allocatable === undefined && status.capacity !== undefined)
      status.allocatable = { ...objectOf(status.capacity) };
  },
  validate: (object) => {
    const checks = new Checks();
    const spec = specOf(object);
    taintErrors(checks, spec.taints);
    stringsOf(spec.podCIDRs).forEach((value, i) => {
      network(checks, value, `spec.podCIDRs[${i}]`);
    });
    return checks.errors;
  },
  validateUpdate: (object, old) => {
    const checks = new Checks();
    const spec = specOf(object);
    const before = specOf(old);
    const cidrs = stringsOf(before.podCIDRs);
    const detail = (what: string): string => `node updates may not change ${what} except from "" to valid`;
    if (cidrs.length > 0 && cidrs.join() !== stringsOf(spec.podCIDRs).join())
      checks.forbidden('spec.podCIDRs', detail('podCIDR'));
    if (stringOf(before.providerID) !== '' && spec.providerID !== before.providerID)
      checks.forbidden('spec.providerID', detail('providerID'));
    return checks.errors;
  },
  validateStatus: (object) => {
    const checks = new Checks();
    const seen = new Set<string>();
    objectsOf(objectOf(object.status).addresses).forEach((address, i) => {
      const key = `${stringOf(address.type)} ${stringOf(address.address)}`;
      if (seen.has(key)) checks.duplicate(`status.addresses[${i}]`, address);
      seen.add(key);
    });
    return checks.errors;
  },
};
