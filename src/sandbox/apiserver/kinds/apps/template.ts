import {
  isObject,
  type Json,
  type JsonObject,
  objectOf,
  objectsOf,
  valueIn,
  stringMapOf,
} from '../../../base/json.js';
import type { ApiObject } from '../../object.js';
import { LabelQuery } from '../../registry/label-selector.js';
import { qualifiedNameProblems } from '../../registry/names.js';
import { specOf } from '../../registry/resource.js';
import { podSpecErrors } from '../pods/spec-errors.js';
import { at, Checks } from '../validation/checks.js';
import { labelSelector, labels } from '../validation/selectors.js';

/** A pod template, whatever makes pods of it. */
export function templateErrors(checks: Checks, template: Json | undefined, path: string): void {
  const { spec } = objectOf(template);
  templateMetadataErrors(checks, template, path);
  checks.errors.push(...podSpecErrors(objectOf(spec), at(path, 'spec')));
  if (objectsOf(objectOf(spec).ephemeralContainers).length > 0)
    checks.forbidden(
      at(path, 'spec.ephemeralContainers'),
      'ephemeral containers not allowed in pod template',
    );
}

function templateMetadataErrors(checks: Checks, template: Json | undefined, path: string): void {
  const { metadata } = objectOf(template);
  labels(checks, objectOf(metadata).labels, at(path, 'labels'));
  for (const key of Object.keys(objectOf(objectOf(metadata).annotations)))
    for (const problem of qualifiedNameProblems(key.toLowerCase()))
      checks.invalid(at(path, 'annotations'), key, problem);
}

/** A template whose pods run for ever. */
export function lastingTemplateErrors(
  checks: Checks,
  template: Json | undefined,
  path: string,
  kind: string,
): void {
  const spec = objectOf(objectOf(template).spec);
  // The pods of a StatefulSet have volumes that its template does not: they are checked when they are made.
  if (kind === 'StatefulSet') templateMetadataErrors(checks, template, path);
  else templateErrors(checks, template, path);
  if (spec.restartPolicy !== 'Always')
    checks.notSupported(at(path, 'spec.restartPolicy'), spec.restartPolicy ?? '', ['Always']);
  if (spec.activeDeadlineSeconds !== undefined)
    checks.forbidden(
      at(path, 'spec.activeDeadlineSeconds'),
      `activeDeadlineSeconds in ${kind} is not Supported`,
    );
}

/** Whether labels fit a selector; a missing selector fits nothing. */
function matches(selector: Json | undefined, template: Json | undefined): boolean {
  const own = stringMapOf(valueIn(template, 'metadata', 'labels'));
  return isObject(selector) && LabelQuery.fromObject(selector).matches(own);
}

function isEmpty(selector: Json | undefined): boolean {
  return (
    isObject(selector) &&
    LabelQuery.fromObject(selector).isEmpty &&
    !objectsOf(selector.matchExpressions).length
  );
}

/** The labels of a template must fit the selector that later finds its pods. */
export function matchErrors(checks: Checks, spec: JsonObject, path = 'spec'): void {
  if (isEmpty(spec.selector) || matches(spec.selector, spec.template)) return;
  checks.invalid(
    at(path, 'template.metadata.labels'),
    stringMapOf(valueIn(spec.template, 'metadata', 'labels')),
    '`selector` does not match template `labels`',
  );
}

/** The selector of what makes pods never changes: its pods would be lost to it. */
export function selectorChange(object: ApiObject, old: ApiObject): Checks['errors'] {
  const checks = new Checks();
  checks.immutable(specOf(object).selector, specOf(old).selector, 'spec.selector');
  return checks.errors;
}

/** Selector and template of a workload. Where the selector is broken, the template is not looked at. */
export function selectorAndTemplate(
  checks: Checks,
  object: ApiObject,
  options: { readonly isSelectorRequired: boolean; readonly broken: string },
): void {
  const spec = specOf(object);
  const path = 'spec.selector';
  const own = new Checks();
  if (isObject(spec.selector)) {
    labelSelector(own, spec.selector, path);
    if (isEmpty(spec.selector))
      checks.invalid(path, spec.selector, `empty selector is invalid for ${object.kind.toLowerCase()}`);
  } else if (options.isSelectorRequired) own.required(path);
  checks.errors.push(...own.errors);
  if (isObject(spec.selector) && own.errors.length > 0) {
    if (options.broken !== 'template only') {
      checks.invalid(path, spec.selector, options.broken);
      return;
    }
  } else matchErrors(checks, spec);
  lastingTemplateErrors(checks, spec.template, 'spec.template', object.kind);
}

/** Counts of a status: none negative. */
export function countErrors(checks: Checks, status: JsonObject, keys: readonly string[]): void {
  for (const key of keys) checks.nonNegative(status[key], `status.${key}`);
}

/** Counts of a status that cannot exceed another one. */
export function notAbove(
  checks: Checks,
  status: JsonObject,
  keys: readonly string[],
  limit: string,
  limitName = limit,
): void {
  const max = Number(status[limit] ?? 0);
  for (const key of keys) {
    const n = Number(status[key] ?? 0);
    if (n > max) checks.invalid(`status.${key}`, n, `cannot be greater than ${limitName}`);
  }
}
