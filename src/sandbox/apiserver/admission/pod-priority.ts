import { apiError } from '../api-error.js';
import { numberOf, stringOf } from '../../base/json.js';
import { specOf } from '../registry/resource.js';
import type { Store } from '../storage/store.js';
import type { AdmissionPlugin } from '../registry/admission.js';

const storage = 'priorityclasses.scheduling.k8s.io';

/** Resolves a pod's priority class to its number. */
export function podPriority(store: Store): AdmissionPlugin {
  return {
    name: 'Priority',
    admit: ({ operation, resource, object, old, subresource }) => {
      if (resource.storage !== 'pods' || (subresource ?? '') !== '') return;
      const spec = specOf(object);
      if (operation === 'UPDATE' && old !== undefined) {
        // What was resolved once stays, also when a manifest without it is written back.
        const before = specOf(old);
        if (before.priority !== undefined) spec.priority ??= before.priority;
        if (before.preemptionPolicy !== undefined) spec.preemptionPolicy ??= before.preemptionPolicy;
      }
      if (operation !== 'CREATE') return;
      const name = stringOf(spec.priorityClassName);
      const chosen =
        name === ''
          ? store.list(storage).find((c) => c.globalDefault === true)
          : store.get(storage, undefined, name);
      if (name !== '' && chosen === undefined) {
        throw apiError.forbidden(
          { group: '', plural: 'pods' },
          object.metadata.name,
          `no PriorityClass with name ${name} was found`,
        );
      }
      const value = numberOf(chosen?.value) ?? 0;
      const asked = numberOf(spec.priority);
      if (asked !== undefined && asked !== value) {
        throw apiError.forbidden(
          { group: '', plural: 'pods' },
          object.metadata.name,
          `the integer value of priority (${asked}) must not be provided in pod spec; priority admission controller computed ${value} from the given PriorityClass name`,
        );
      }
      spec.priority = value;
      if (chosen !== undefined) spec.priorityClassName = chosen.metadata.name;
      const policy = stringOf(chosen?.preemptionPolicy) || 'PreemptLowerPriority';
      if (spec.preemptionPolicy !== undefined && spec.preemptionPolicy !== policy) {
        throw apiError.forbidden(
          { group: '', plural: 'pods' },
          object.metadata.name,
          `the string value of PreemptionPolicy (${stringOf(spec.preemptionPolicy)}) must not be provided in pod spec; priority admission controller computed ${policy} from the given PriorityClass name`,
        );
      }
      spec.preemptionPolicy = policy;
    },
  };
}
