import { isObject, type JsonObject, stringOf } from '../../../base/json.js';
import { timestamp } from '../../../base/timestamp.js';
import { specOf, type Strategy } from '../../registry/resource.js';
import { Checks, isUnset } from '../validation/checks.js';

/** Whether an APIService can be used, as a condition that became so now. */
export function availableCondition(o: {
  readonly isAvailable: boolean;
  readonly reason: string;
  readonly message: string;
}): JsonObject {
  return {
    type: 'Available',
    status: o.isAvailable ? 'True' : 'False',
    lastTransitionTime: timestamp(),
    reason: o.reason,
    message: o.message,
  };
}

/** A group version that this server answers itself. */
export function localCondition(): JsonObject {
  return availableCondition({
    isAvailable: true,
    reason: 'Local',
    message: 'Local APIServices are always available',
  });
}

/** APIServices: which server answers for a group version. */
export const apiServiceStrategy: Strategy = {
  defaults: (draft) => {
    const { service } = specOf(draft);
    if (isObject(service)) service.port ??= 443;
  },
  prepareCreate: (draft) => {
    // Of the others the controller tells.
    if (!isObject(specOf(draft).service)) draft.status = { conditions: [localCondition()] };
  },
  validate: (object) => {
    const checks = new Checks();
    const spec = specOf(object);
    const group = stringOf(spec.group);
    const version = stringOf(spec.version);
    const { name } = object.metadata;
    if (name !== `${version}.${group}`)
      checks.invalid('metadata.name', name, `must be \`spec.version+"."+spec.group\`: "${version}.${group}"`);
    if (group === '' && version !== 'v1')
      checks.required('spec.group', 'only v1 may have an empty group and it better be legacy kube');
    if (group !== '') checks.name(group, 'spec.group', 'subdomain');
    checks.name(version, 'spec.version', 'label1035');
    for (const [key, max] of [
      ['groupPriorityMinimum', 20_000],
      ['versionPriority', 1000],
    ] as const) {
      const value = Number(spec[key] ?? 0);
      if (value <= 0 || value > max)
        checks.invalid(`spec.${key}`, value, `must be positive and less than ${max}`);
    }
    const hasBundle = !isUnset(spec.caBundle);
    const isInsecure = spec.insecureSkipTLSVerify === true;
    if (!isObject(spec.service)) {
      if (hasBundle) checks.invalid('spec.caBundle', '', 'local APIServices may not have a caBundle');
      if (isInsecure)
        checks.invalid(
          'spec.insecureSkipTLSVerify',
          true,
          'local APIServices may not have insecureSkipTLSVerify',
        );
      return checks.errors;
    }
    for (const key of ['namespace', 'name'])
      if (isUnset(spec.service[key])) checks.required(`spec.service.${key}`);
    checks.port(spec.service.port, 'spec.service.port');
    if (isInsecure && hasBundle)
      checks.invalid('spec.insecureSkipTLSVerify', true, 'may not be true if caBundle is present');
    return checks.errors;
  },
};
