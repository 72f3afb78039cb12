import { childOf } from '../json.js';
import type { Strategy } from '../registry/resource.js';

/** Namespaces carry the `kubernetes` finalizer until the namespace controller has emptied them. */
export const namespaceStrategy: Strategy = {
  defaults: (draft) => {
    const labels = draft.metadata.labels ?? {};
    labels['kubernetes.io/metadata.name'] = draft.metadata.name;
    draft.metadata.labels = labels;
  },
  prepareCreate: (draft) => {
    draft.spec = { finalizers: ['kubernetes'] };
    childOf(draft, 'status').phase = 'Active';
  },
  prepareUpdate: (draft, old) => {
    // Only the finalize subresource changes them.
    if (old.spec === undefined) delete draft.spec;
    else draft.spec = old.spec;
  },
};
