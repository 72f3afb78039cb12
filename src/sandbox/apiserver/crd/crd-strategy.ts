import { childOf, isObject, valueIn, stringOf } from '../../base/json.js';
import { specOf, type Strategy } from '../registry/resource.js';
import { cleanup } from './crd-status.js';
import { crdErrors, crdUpdateErrors } from './crd-validation.js';

/** CustomResourceDefinitions: defaults and validation. */
export const crdStrategy: Strategy = {
  defaults: (draft) => {
    const spec = specOf(draft);
    const names = childOf(spec, 'names');
    const kind = stringOf(names.kind);
    if (kind !== '') {
      names.singular ??= kind.toLowerCase();
      names.listKind ??= `${kind}List`;
    }
    spec.conversion ??= { strategy: 'None' };
    const service = valueIn(spec.conversion, 'webhook', 'clientConfig', 'service');
    if (isObject(service)) service.port ??= 443;
    if (spec.preserveUnknownFields === false) delete spec.preserveUnknownFields;
  },
  prepareCreate: (draft) => {
    // Held until the custom objects are gone.
    draft.metadata.finalizers = [...new Set([...(draft.metadata.finalizers ?? []), cleanup])];
  },
  validate: crdErrors,
  validateUpdate: crdUpdateErrors,
};
