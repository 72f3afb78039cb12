import { childOf, objectOf, stringsOf } from '../../../base/json.js';
import { specOf, type Strategy } from '../../registry/resource.js';
import { qualifiedNameProblems } from '../../registry/names.js';
import { Checks } from '../validation/checks.js';

const ownFinalizer = 'kubernetes';

/** Namespaces carry the `kubernetes` finalizer until the namespace controller has emptied them. */
export const namespaceStrategy: Strategy = {
  defaults: (draft) => {
    draft.metadata.labels = {
      ...draft.metadata.labels,
      'kubernetes.io/metadata.name': draft.metadata.name,
    };
  },
  prepareCreate: (draft) => {
    const given = stringsOf(objectOf(draft.spec).finalizers);
    draft.spec = { finalizers: [...new Set([...given, ownFinalizer])] };
    childOf(draft, 'status').phase = 'Active';
  },
  prepareUpdate: (draft, old) => {
    // Only the finalize subresource changes them.
    if (old.spec === undefined) delete draft.spec;
    else draft.spec = old.spec;
  },
  validate: (object) => {
    const checks = new Checks();
    for (const finalizer of stringsOf(specOf(object).finalizers)) {
      for (const problem of qualifiedNameProblems(finalizer))
        checks.invalid('spec.finalizers', finalizer, problem);
      if (!finalizer.includes('/') && finalizer !== ownFinalizer) {
        checks.invalid(
          'spec.finalizers',
          finalizer,
          'name is neither a standard finalizer name nor is it fully qualified',
        );
      }
    }
    return checks.errors;
  },
};
