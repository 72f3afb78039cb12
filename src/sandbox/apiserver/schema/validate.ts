import { RE2JS } from 're2js';
import { type FieldError, fieldError } from '../api-error.js';
import { equalJson, isObject, type Json, type JsonObject } from '../../base/json.js';
import { matchesFormat } from './formats.js';
import type { Schema } from './schema.js';
import { itemStep } from './item-step.js';

/** A validation never reports more than this many problems: hostile input must not multiply. */
const maxErrors = 100;
const patterns = new Map<string, RE2JS | undefined>();
const maxPatterns = 4096;

function compiled(pattern: string): RE2JS | undefined {
  if (patterns.has(pattern)) return patterns.get(pattern);
  let re: RE2JS | undefined;
  try {
    re = RE2JS.compile(pattern);
  } catch {
    // CRD admission refuses patterns that do not compile; nothing to match here.
    re = undefined;
  }
  if (patterns.size >= maxPatterns) patterns.clear();
  patterns.set(pattern, re);
  return re;
}

/** Why a pattern is no regular expression in RE2's syntax, which Kubernetes uses; undefined when it is one. */
export function patternProblem(pattern: string): string | undefined {
  try {
    RE2JS.compile(pattern);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/**
 * Checks a value against a schema; CEL rules are evaluated elsewhere. Parts that
 * are as they were in `old` may stay, even where the schema is stricter now.
 */
export function validateSchema(value: Json | undefined, schema: Schema, path = '', old?: Json): FieldError[] {
  const errors: FieldError[] = [];
  check(value, schema, path, errors, old);
  return errors;
}

function at(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}

/** Length in code points, which is what Kubernetes counts. */
function codePoints(value: string): number {
  let count = 0;
  for (const _ of value) count++;
  return count;
}

function typeName(value: Json | undefined): string {
  if (value === null || value === undefined) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return isInteger(value) ? 'integer' : 'number';
  return typeof value;
}

/** 2^63 passes, as it cannot be told from the largest integer there is. */
const integerMax = 2 ** 63;

/** As kube-apiserver has it: whole, of 64 bits, whatever `format` says. */
function isInteger(value: Json): boolean {
  return typeof value === 'number' && Number.isInteger(value) && Math.abs(value) <= integerMax;
}

function check(
  value: Json | undefined,
  schema: Schema,
  path: string,
  errors: FieldError[],
  old?: Json,
): void {
  if (errors.length >= maxErrors || value === undefined) return;
  if (old !== undefined && equalJson(value, old)) return;
  if (value === null) {
    if (schema.nullable === true || schema.type === undefined) return;
    errors.push(mismatch(path, value, schema.type));
    return;
  }
  if (schema.isIntOrString === true && !(typeof value === 'string' || isInteger(value))) {
    errors.push(mismatch(path, value, 'integer,string'));
    return;
  }
  if (schema.type !== undefined && !hasType(value, schema.type)) {
    errors.push(mismatch(path, value, schema.type));
    checkEnum(value, schema, path, errors);
    if (typeof value === 'number' && schema.type === 'integer') checkNumber(value, schema, path, errors);
    return;
  }
  checkEnum(value, schema, path, errors);
  if (typeof value === 'string') checkString(value, schema, path, errors);
  else if (typeof value === 'number') checkNumber(value, schema, path, errors);
  else if (Array.isArray(value)) checkArray(value, schema, path, errors, old);
  else if (isObject(value)) checkObject(value, schema, path, errors, old);
  checkCombinators(value, schema, path, errors);
}

function checkEnum(value: Json, schema: Schema, path: string, errors: FieldError[]): void {
  if (schema.enum === undefined || schema.enum.some((e) => equalJson(e, value))) return;
  errors.push(fieldError.notSupported(path, value, schema.enum.map(String)));
}

function mismatch(path: string, value: Json, wanted: string): FieldError {
  return fieldError.typeInvalid(
    path === '' ? '<nil>' : path,
    typeName(value),
    `${path === '' ? 'value' : path} in body must be of type ${wanted}: "${typeName(value)}"`,
  );
}

function hasType(value: Json, type: string): boolean {
  switch (type) {
    case 'object':
      return isObject(value);
    case 'array':
      return Array.isArray(value);
    case 'integer':
      return isInteger(value);
    case 'number':
      return typeof value === 'number';
    default:
      return typeof value === type;
  }
}

function checkString(value: string, schema: Schema, path: string, errors: FieldError[]): void {
  const where = `${path} in body`;
  const length = schema.minLength === undefined && schema.maxLength === undefined ? 0 : codePoints(value);
  if (schema.maxLength !== undefined && length > schema.maxLength) {
    errors.push(fieldError.tooLong(path, schema.maxLength));
    return;
  }
  if (schema.minLength !== undefined && length < schema.minLength) {
    errors.push(
      fieldError.invalid(path, value, `${where} should be at least ${schema.minLength} chars long`),
    );
    return;
  }
  if (schema.pattern !== undefined && compiled(schema.pattern)?.matcher(value).find() === false) {
    errors.push(fieldError.invalid(path, value, `${where} should match '${schema.pattern}'`));
  }
  if (schema.format !== undefined && !matchesFormat(value, schema.format)) {
    errors.push(fieldError.typeInvalid(path, value, `${where} must be of type ${schema.format}: "${value}"`));
  }
}

function checkNumber(value: number, schema: Schema, path: string, errors: FieldError[]): void {
  const where = `${path} in body`;
  const { minimum, maximum } = schema;
  if (minimum !== undefined && (schema.exclusiveMinimum === true ? value <= minimum : value < minimum)) {
    const relation = schema.exclusiveMinimum === true ? 'greater than' : 'greater than or equal to';
    errors.push(fieldError.invalid(path, value, `${where} should be ${relation} ${minimum}`));
  }
  if (maximum !== undefined && (schema.exclusiveMaximum === true ? value >= maximum : value > maximum)) {
    const relation = schema.exclusiveMaximum === true ? 'less than' : 'less than or equal to';
    errors.push(fieldError.invalid(path, value, `${where} should be ${relation} ${maximum}`));
  }
  if (schema.multipleOf !== undefined && value % schema.multipleOf !== 0) {
    errors.push(fieldError.invalid(path, value, `${where} should be a multiple of ${schema.multipleOf}`));
  }
}

/** The old items of a list by their keys; empty where they cannot be told apart. */
function correlated(old: Json | undefined, schema: Schema): Map<string, Json> {
  const out = new Map<string, Json>();
  if (schema.listType !== 'map' || !Array.isArray(old)) return out;
  for (const item of old as Json[]) {
    const step = itemStep(item, schema);
    if (step !== undefined) out.set(step, item);
  }
  return out;
}

function checkArray(
  value: readonly Json[],
  schema: Schema,
  path: string,
  errors: FieldError[],
  old: Json | undefined,
): void {
  if (schema.maxItems !== undefined && value.length > schema.maxItems) {
    errors.push(fieldError.tooMany(path, value.length, schema.maxItems));
  }
  if (schema.minItems !== undefined && value.length < schema.minItems) {
    errors.push(
      fieldError.invalid(path, value.length, `${path} in body should have at least ${schema.minItems} items`),
    );
  }
  const items = schema.items;
  if (items !== undefined) {
    const before = correlated(old, schema);
    value.forEach((v, i) => {
      check(v, items, `${path}[${i}]`, errors, before.get(itemStep(v, schema) ?? ''));
    });
  }
  if (schema.listType === 'set' || schema.uniqueItems === true) {
    const seen = new Set<string>();
    value.forEach((v, i) => {
      const key = JSON.stringify(v);
      if (seen.has(key)) errors.push(fieldError.duplicate(`${path}[${i}]`, v));
      seen.add(key);
    });
  }
  if (schema.listType === 'map') {
    const seen = new Set<string>();
    value.forEach((v, i) => {
      if (!isObject(v)) return;
      const keyOf: JsonObject = {};
      for (const k of schema.listMapKeys ?? []) if (v[k] !== undefined) keyOf[k] = v[k];
      const key = JSON.stringify(keyOf);
      if (seen.has(key)) errors.push(duplicateKey(`${path}[${i}]`, keyOf));
      seen.add(key);
    });
  }
}

function checkObject(
  value: JsonObject,
  schema: Schema,
  path: string,
  errors: FieldError[],
  old: Json | undefined,
): void {
  const before = isObject(old) ? old : {};
  const oldOf = (key: string): Json | undefined => (Object.hasOwn(before, key) ? before[key] : undefined);
  for (const key of schema.required ?? []) {
    if (!Object.hasOwn(value, key) || value[key] === undefined)
      errors.push(fieldError.required(at(path, key)));
  }
  const count = Object.keys(value).length;
  if (schema.maxProperties !== undefined && count > schema.maxProperties) {
    errors.push(fieldError.tooMany(path, count, schema.maxProperties));
  }
  if (schema.minProperties !== undefined && count < schema.minProperties) {
    errors.push(
      fieldError.invalid(
        path,
        count,
        `${path} in body should have at least ${schema.minProperties} properties`,
      ),
    );
  }
  for (const key of Object.keys(value)) {
    const own = schema.properties;
    if (own !== undefined && Object.hasOwn(own, key)) {
      const child = own[key];
      if (child !== undefined) check(value[key], child, at(path, key), errors, oldOf(key));
    } else if (typeof schema.additionalProperties === 'object') {
      check(value[key], schema.additionalProperties, at(path, key), errors, oldOf(key));
    }
  }
}

/** The keys of a second item with the same ones, written as Go writes a map. */
function duplicateKey(field: string, keys: JsonObject): FieldError {
  const shown = Object.keys(keys)
    .sort()
    .map((k) => `${JSON.stringify(k)}:${JSON.stringify(keys[k])}`);
  return {
    reason: 'FieldValueDuplicate',
    field,
    message: `Duplicate value: map[string]interface {}{${shown.join(', ')}}`,
  };
}

function problems(value: Json, schema: Schema, path: string): FieldError[] {
  const errors: FieldError[] = [];
  check(value, schema, path, errors);
  return errors;
}

/** Combinators as a whole are reported without a field, as Kubernetes' validator does. */
function composite(path: string, rule: string): FieldError {
  return fieldError.invalid('<nil>', '', `${JSON.stringify(path)} must ${rule}`);
}

function checkCombinators(value: Json, schema: Schema, path: string, errors: FieldError[]): void {
  for (const part of schema.allOf ?? []) check(value, part, path, errors);
  if (schema.anyOf !== undefined) {
    const found = schema.anyOf.map((s) => problems(value, s, path));
    if (!found.some((f) => f.length === 0)) {
      errors.push(composite(path, 'validate at least one schema (anyOf)'), ...(found[0] ?? []));
    }
  }
  if (schema.oneOf !== undefined) {
    const found = schema.oneOf.map((s) => problems(value, s, path));
    const valid = found.filter((f) => f.length === 0).length;
    if (valid !== 1) {
      const count = valid === 0 ? 'Found none valid' : `Found ${valid} valid alternatives`;
      errors.push(composite(path, `validate one and only one schema (oneOf). ${count}`));
      if (valid === 0) errors.push(...(found[0] ?? []));
    }
  }
  if (schema.not !== undefined && problems(value, schema.not, path).length === 0) {
    errors.push(composite(path, 'not validate the schema (not)'));
  }
}
