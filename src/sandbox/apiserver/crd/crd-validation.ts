import { type FieldError, fieldError } from '../api-error.js';
import {
  equalJson,
  isObject,
  type Json,
  type JsonObject,
  objectOf,
  objectsOf,
  valueIn,
  stringOf,
  stringsOf,
} from '../../base/json.js';
import { clientConfigErrors } from '../admission/webhook/webhook-strategies.js';
import type { ApiObject } from '../object.js';
import { nameProblem } from '../registry/names.js';
import { specOf } from '../registry/resource.js';
import { schemaFromOpenApi } from './crd-schema.js';
import { defaultErrors } from './default-checks.js';
import { ruleErrors } from './rule-checks.js';
import { ruleCostErrors } from './rule-costs.js';
import { structuralErrors } from './structural-schema.js';
import { columnErrors, deprecationErrors, scaleErrors, selectableErrors } from './version-checks.js';

const approval = 'api-approved.kubernetes.io';
const isProtected = (group: string): boolean => /(^|\.)(k8s|kubernetes)\.io$/.test(group);

function nameErrors(names: JsonObject): FieldError[] {
  const errors: FieldError[] = [];
  const label = (value: string, at: string): void => {
    const problem = nameProblem(value, 'label1035');
    if (problem !== undefined) errors.push(fieldError.invalid(at, value, problem));
  };
  const plural = stringOf(names.plural);
  const kind = stringOf(names.kind);
  const listKind = stringOf(names.listKind);
  if (plural === '') errors.push(fieldError.required('spec.names.plural'));
  else label(plural, 'spec.names.plural');
  if (stringOf(names.singular) !== '') label(stringOf(names.singular), 'spec.names.singular');
  if (kind === '') errors.push(fieldError.required('spec.names.kind'));
  else {
    const problem = nameProblem(kind.toLowerCase(), 'label1035');
    if (problem !== undefined) {
      errors.push(
        fieldError.invalid(
          'spec.names.kind',
          kind,
          `may have mixed case, but should otherwise match: ${problem}`,
        ),
      );
    }
  }
  if (listKind !== '' && listKind === kind) {
    errors.push(fieldError.invalid('spec.names.listKind', listKind, 'kind and listKind may not be the same'));
  }
  stringsOf(names.shortNames).forEach((name, i) => label(name, `spec.names.shortNames[${i}]`));
  stringsOf(names.categories).forEach((name, i) => label(name, `spec.names.categories[${i}]`));
  return errors;
}

function conversionErrors(conversion: JsonObject): FieldError[] {
  const at = 'spec.conversion';
  const webhook = objectOf(conversion.webhook);
  const versions = stringsOf(webhook.conversionReviewVersions);
  if (conversion.strategy === 'None') {
    const why = 'should not be set when strategy is not set to Webhook';
    return [
      ...(webhook.clientConfig === undefined ? [] : [fieldError.forbidden(`${at}.webhookClientConfig`, why)]),
      ...(versions.length === 0 ? [] : [fieldError.forbidden(`${at}.conversionReviewVersions`, why)]),
    ];
  }
  if (conversion.strategy !== 'Webhook') {
    return [fieldError.notSupported(`${at}.strategy`, conversion.strategy, ['None', 'Webhook'])];
  }
  const errors = isObject(webhook.clientConfig)
    ? clientConfigErrors(webhook.clientConfig, `${at}.webhookClientConfig`)
    : [fieldError.required(`${at}.webhookClientConfig`, 'required when strategy is set to Webhook')];
  if (versions.length === 0) errors.push(fieldError.required(`${at}.conversionReviewVersions`));
  else if (!versions.includes('v1')) {
    errors.push(
      fieldError.invalid(
        `${at}.conversionReviewVersions`,
        versions,
        // The old version is sent by no part of this server: better refused than never called.
        'must include v1, the only version that this API server sends',
      ),
    );
  }
  return errors;
}

/**
 * Paths of what versions have: Kubernetes checks definitions in a form where
 * what all versions share stands once, above them.
 */
function placer(versions: readonly JsonObject[]): (i: number, key: string, shared: string) => string {
  const isShared = (key: string): boolean => versions.every((v) => equalJson(v[key], versions[0]?.[key]));
  return (i, key, shared) => (isShared(key) ? `spec.${shared}` : `spec.versions[${i}].${key}`);
}

function versionErrors(versions: readonly JsonObject[]): FieldError[] {
  const errors: FieldError[] = [];
  const at = placer(versions);
  const done = new Set<string>();
  const once = (path: string, check: (path: string) => FieldError[]): void => {
    if (done.has(path)) return;
    done.add(path);
    errors.push(...check(path));
  };
  versions.forEach((version, i) => {
    errors.push(...deprecationErrors(version, `spec.versions[${i}]`));
    const json = valueIn(version, 'schema', 'openAPIV3Schema');
    if (!isObject(json)) {
      errors.push(fieldError.required(`spec.versions[${i}].schema.openAPIV3Schema`, 'schemas are required'));
      return;
    }
    const schema = schemaFromOpenApi(json);
    once(`${at(i, 'schema', 'validation')}.openAPIV3Schema`, (path) => {
      const structural = structuralErrors(json, path);
      if (structural.length > 0) return structural;
      const ruled = ruleErrors(schema, path);
      return [
        ...defaultErrors(schema, path),
        ...ruled,
        ...(ruled.length > 0 ? [] : ruleCostErrors(schema, path)),
      ];
    });
    once(at(i, 'additionalPrinterColumns', 'additionalPrinterColumns'), (path) =>
      columnErrors(version.additionalPrinterColumns, path),
    );
    once(at(i, 'subresources', 'subresources'), (path) => scaleErrors(version.subresources, path));
    once(at(i, 'selectableFields', 'selectableFields'), (path) =>
      selectableErrors(version.selectableFields, path, schema),
    );
  });
  return errors;
}

function approvalErrors(crd: ApiObject, group: string): FieldError[] {
  if (!isProtected(group)) return [];
  const field = `metadata.annotations[${approval}]`;
  const value = crd.metadata.annotations?.[approval] ?? '';
  const see = 'see https://github.com/kubernetes/enhancements/pull/1111';
  if (value === '') {
    return [
      fieldError.required(
        field,
        `protected groups must have approval annotation ${JSON.stringify(approval)}, ${see}`,
      ),
    ];
  }
  return value.startsWith('unapproved') || URL.canParse(value)
    ? []
    : [
        fieldError.invalid(
          field,
          value,
          `protected groups must have approval annotation ${JSON.stringify(approval)} with either a URL or a reason starting with "unapproved", ${see}`,
        ),
      ];
}

/** Problems of a definition. */
export function crdErrors(crd: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const spec = specOf(crd);
  const names = objectOf(spec.names);
  const group = stringOf(spec.group);
  const versions = objectsOf(spec.versions);
  if (crd.metadata.name !== `${stringOf(names.plural)}.${group}`) {
    errors.push(
      fieldError.invalid('metadata.name', crd.metadata.name, 'must be spec.names.plural+"."+spec.group'),
    );
  }
  errors.push(...groupErrors(group), ...scopeErrors(spec.scope));
  if (spec.preserveUnknownFields === true) {
    errors.push(
      fieldError.invalid(
        'spec.preserveUnknownFields',
        true,
        'cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead',
      ),
    );
  }
  const seen = new Set<string>();
  const isUnclear = versions.filter((v) => v.storage === true).length !== 1;
  versions.forEach((version, i) => {
    const name = stringOf(version.name);
    const problem = nameProblem(name, 'label1035');
    if (problem !== undefined) {
      errors.push(fieldError.invalid(`spec.versions[${i}].name`, name, problem));
      if (i === 0) errors.push(fieldError.invalid('spec.version', name, problem));
    }
    if (seen.has(name)) errors.push(fieldError.duplicate(`spec.versions[${i}].name`, name));
    seen.add(name);
  });
  if (isUnclear) {
    errors.push(
      fieldError.invalid(
        'spec.versions',
        versions.map((v) => stringOf(v.name)),
        'must have exactly one version marked as storage version',
      ),
    );
  }
  errors.push(...nameErrors(names), ...versionErrors(versions));
  errors.push(...conversionErrors(objectOf(spec.conversion)), ...approvalErrors(crd, group));
  return errors;
}

function groupErrors(group: string): FieldError[] {
  if (group === '') return [fieldError.required('spec.group')];
  const problem = nameProblem(group, 'subdomain');
  if (problem !== undefined) return [fieldError.invalid('spec.group', group, problem)];
  return group.includes('.')
    ? []
    : [fieldError.invalid('spec.group', group, 'should be a domain with at least one dot')];
}

function scopeErrors(scope: Json | undefined): FieldError[] {
  if ((scope ?? '') === '') return [fieldError.required('spec.scope')];
  return scope === 'Namespaced' || scope === 'Cluster'
    ? []
    : [fieldError.notSupported('spec.scope', scope, ['Cluster', 'Namespaced'])];
}

/** Problems of a change: what clients and stored objects rely on stays. */
export function crdUpdateErrors(crd: ApiObject, old: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const established = objectsOf(objectOf(old.status).conditions).some(
    (c) => c.type === 'Established' && c.status === 'True',
  );
  const fixed = [['group'], ['names', 'plural'], ...(established ? [['scope'], ['names', 'kind']] : [])];
  for (const path of fixed) {
    const now = valueIn(crd.spec, ...path);
    if (!equalJson(now, valueIn(old.spec, ...path))) {
      errors.push(fieldError.invalid(`spec.${path.join('.')}`, now, 'field is immutable'));
    }
  }
  const versions = objectsOf(specOf(crd).versions).map((v) => stringOf(v.name));
  stringsOf(objectOf(crd.status).storedVersions).forEach((version, i) => {
    if (versions.includes(version)) return;
    errors.push(fieldError.invalid(`status.storedVersions[${i}]`, version, 'must appear in spec.versions'));
  });
  return errors;
}
