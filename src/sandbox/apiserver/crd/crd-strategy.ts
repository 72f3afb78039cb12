import { type FieldError, fieldError } from '../http/api-error.js';
import {
  childOf,
  equalJson,
  isObject,
  type JsonObject,
  objectOf,
  objectsOf,
  pathOf,
  stringOf,
  stringsOf,
} from '../json.js';
import type { KubeObject } from '../object.js';
import { clientConfigErrors } from '../kinds/admission-webhooks.js';
import { nameProblem } from '../registry/names.js';
import { specOf, type Strategy } from '../registry/resource.js';
import { schemaFromOpenApi, structuralErrors } from './crd-schema.js';
import { ruleErrors } from './rule-checks.js';

function conversionErrors(conversion: JsonObject): FieldError[] {
  const at = 'spec.conversion';
  const webhook = objectOf(conversion.webhook);
  if (conversion.strategy === 'None') {
    return conversion.webhook === undefined
      ? []
      : [fieldError.forbidden(`${at}.webhook`, 'should not be set when strategy is not set to Webhook')];
  }
  if (conversion.strategy !== 'Webhook') {
    return [fieldError.notSupported(`${at}.strategy`, conversion.strategy, ['None', 'Webhook'])];
  }
  if (!isObject(webhook.clientConfig)) {
    return [fieldError.required(`${at}.webhook.clientConfig`, 'required when strategy is set to Webhook')];
  }
  const errors = clientConfigErrors(webhook.clientConfig, `${at}.webhook.clientConfig`);
  const versions = stringsOf(webhook.conversionReviewVersions);
  if (versions.length === 0) errors.push(fieldError.required(`${at}.webhook.conversionReviewVersions`));
  else if (!versions.includes('v1')) {
    errors.push(
      fieldError.invalid(
        `${at}.webhook.conversionReviewVersions`,
        versions,
        'must include at least one of v1, which is the only version that this API server sends',
      ),
    );
  }
  return errors;
}

function validate(crd: KubeObject): FieldError[] {
  const errors: FieldError[] = [];
  const spec = specOf(crd);
  const names = objectOf(spec.names);
  const group = stringOf(spec.group);
  const plural = stringOf(names.plural);
  const versions = objectsOf(spec.versions);
  if (!group.includes('.'))
    errors.push(fieldError.invalid('spec.group', group, 'should be a domain with at least one dot'));
  if (nameProblem(plural, 'label1035') !== undefined) {
    errors.push(fieldError.invalid('spec.names.plural', plural, nameProblem(plural, 'label1035') ?? ''));
  }
  if (stringOf(names.kind) === '') errors.push(fieldError.required('spec.names.kind'));
  if (crd.metadata.name !== `${plural}.${group}`) {
    errors.push(
      fieldError.invalid('metadata.name', crd.metadata.name, 'must be spec.names.plural+"."+spec.group'),
    );
  }
  if (spec.scope !== 'Namespaced' && spec.scope !== 'Cluster') {
    errors.push(fieldError.notSupported('spec.scope', spec.scope, ['Cluster', 'Namespaced']));
  }
  if (versions.filter((v) => v.storage === true).length !== 1) {
    errors.push(
      fieldError.invalid(
        'spec.versions',
        versions.map((v) => stringOf(v.name)),
        'must have exactly one version marked as storage version',
      ),
    );
  }
  const seen = new Set<string>();
  versions.forEach((v, i) => {
    const path = `spec.versions[${i}]`;
    const name = stringOf(v.name);
    if (nameProblem(name, 'label1035') !== undefined) {
      errors.push(fieldError.invalid(`${path}.name`, name, nameProblem(name, 'label1035') ?? ''));
    }
    if (seen.has(name)) errors.push(fieldError.duplicate(`${path}.name`, name));
    seen.add(name);
    const schema = pathOf(v, 'schema', 'openAPIV3Schema');
    if (!isObject(schema)) {
      errors.push(fieldError.required(`${path}.schema.openAPIV3Schema`, 'schemas are required'));
      return;
    }
    const at = `${path}.schema.openAPIV3Schema`;
    if (schema.type !== 'object')
      errors.push(fieldError.invalid(`${at}.type`, schema.type, 'must be object at the root'));
    const structural = structuralErrors(schema, at);
    errors.push(...structural, ...(structural.length > 0 ? [] : ruleErrors(schemaFromOpenApi(schema), at)));
  });
  errors.push(...conversionErrors(objectOf(spec.conversion)));
  return errors;
}

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
    const service = pathOf(spec.conversion, 'webhook', 'clientConfig', 'service');
    if (isObject(service)) service.port ??= 443;
    delete spec.preserveUnknownFields;
  },
  prepareCreate: (draft) => {
    // Held until the custom objects are gone.
    draft.metadata.finalizers = [
      ...new Set([...(draft.metadata.finalizers ?? []), 'customresourcecleanup.apiextensions.k8s.io']),
    ];
  },
  validate,
  validateUpdate: (crd, old) => {
    const errors: FieldError[] = [];
    for (const path of [['group'], ['scope'], ['names', 'kind'], ['names', 'plural']]) {
      const now = pathOf(crd.spec, ...path);
      if (!equalJson(now, pathOf(old.spec, ...path))) {
        errors.push(fieldError.invalid(`spec.${path.join('.')}`, now, 'field is immutable'));
      }
    }
    return errors;
  },
};
