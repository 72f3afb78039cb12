import { Environment } from '@marcbachmann/cel-js';
import { type FieldError, fieldError } from '../http/api-error.js';
import { isObject, type Json } from '../json.js';
import type { CelRule, Schema } from '../schema/schema.js';
import { rewriteHas } from './has-rewrite.js';
import { itemStep } from '../managed-fields/typed-value.js';

/** Rule evaluations per object; a list with a rule on its items costs one for each. */
const evaluationsMax = 50_000;
const errorsMax = 50;
/** Evaluation stops, and the object is refused, after this long. */
const evaluationTimeMs = 2_000;

type Program = (context: Record<string, unknown>) => unknown;

function absoluteUrl(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined;
}

/** A parsed URL as rules see it (Kubernetes' CEL URL library). */
class CelUrl {
  readonly url: URL;

  constructor(text: string) {
    const url = absoluteUrl(text);
    if (url === undefined) throw new TypeError(`not an absolute URL: ${text}`);
    this.url = url;
  }
}

const environment = new Environment({
  unlistedVariablesAreDyn: false,
  enableOptionalTypes: true,
  homogeneousAggregateLiterals: false,
})
  .registerVariable('self', 'dyn')
  .registerVariable('oldSelf', 'dyn')
  .registerType('URL', { ctor: CelUrl, fields: {} })
  .registerFunction('url(string): URL', (text: string) => new CelUrl(text))
  .registerFunction('URL.getScheme(): string', ({ url }: CelUrl) => url.protocol.slice(0, -1))
  .registerFunction('URL.getHost(): string', ({ url }: CelUrl) => url.host)
  .registerFunction('URL.getHostname(): string', ({ url }: CelUrl) => url.hostname)
  .registerFunction('URL.getPort(): string', ({ url }: CelUrl) => url.port)
  .registerFunction('URL.getEscapedPath(): string', ({ url }: CelUrl) => url.pathname)
  .registerFunction('hasField(dyn, string): bool', (object: unknown, field: string) => {
    if (!isObject(object)) throw new TypeError('no such overload: has() of something that is no object');
    return object[field] !== undefined;
  })
  .registerFunction('isURL(string): bool', (text: string) => absoluteUrl(text) !== undefined)
  .registerFunction(
    'isIP(string): bool',
    (text: string) => /^[0-9a-fA-F:.]+$/.test(text) && (text.includes(':') || text.split('.').length === 4),
  )
  .registerFunction('string.replace(string, string): string', (s: string, from: string, to: string) =>
    s.replaceAll(from, to),
  );

const programs = new Map<string, Program | Error>();
const programsMax = 4096;

function compile(expression: string): Program | Error {
  const known = programs.get(expression);
  if (known !== undefined) return known;
  let program: Program | Error;
  try {
    const checked = environment.check(rewriteHas(expression));
    program = checked.valid
      ? (environment.parse(rewriteHas(expression)) as Program)
      : (checked.error ?? new Error('the expression is not valid'));
  } catch (error) {
    program = error instanceof Error ? error : new Error(String(error));
  }
  if (programs.size >= programsMax) programs.clear();
  programs.set(expression, program);
  return program;
}

/** Why an expression cannot be compiled; undefined when it can. */
export function expressionProblem(expression: string): string | undefined {
  const program = compile(expression);
  return program instanceof Error ? (program.message.split('\n')[0] ?? 'syntax error') : undefined;
}

/** Whether a rule compares with the previous value. */
function isTransition(rule: CelRule): boolean {
  return /\boldSelf\b/.test(rule.rule);
}

/** A value as CEL sees it: whole numbers of integer fields are integers, times are timestamps. */
function celValue(value: Json | undefined, schema: Schema | undefined): unknown {
  if (Array.isArray(value)) return value.map((v: Json) => celValue(v, schema?.items));
  if (isObject(value)) {
    const out: Record<string, unknown> = {};
    for (const [key, v] of Object.entries(value)) {
      const extra = schema?.additionalProperties;
      const child = schema?.properties?.[key] ?? (typeof extra === 'object' ? extra : undefined);
      out[escapeName(key)] = celValue(v, child);
      if (escapeName(key) !== key) out[key] = out[escapeName(key)];
    }
    return out;
  }
  if (typeof value === 'number' && Number.isInteger(value) && schema?.type !== 'number') return BigInt(value);
  if (typeof value === 'string' && schema?.format === 'date-time') {
    const date = new Date(value);
    return Number.isNaN(date.getTime()) ? value : date;
  }
  return value;
}

const reserved: ReadonlySet<string> = new Set([
  'true',
  'false',
  'null',
  'in',
  'as',
  'break',
  'const',
  'continue',
  'else',
  'for',
  'function',
  'if',
  'import',
  'let',
  'loop',
  'package',
  'namespace',
  'return',
  'var',
  'void',
  'while',
]); // prettier-ignore

/** Property names that are no CEL identifiers are escaped as Kubernetes escapes them. */
function escapeName(name: string): string {
  if (reserved.has(name)) return `__${name}__`;
  return name
    .replaceAll('__', '__underscores__')
    .replaceAll('.', '__dot__')
    .replaceAll('-', '__dash__')
    .replaceAll('/', '__slash__');
}

interface Budget {
  left: number;
  readonly deadline: number;
}

/** Checks an object against the x-kubernetes-validations of its schema; rules on transitions need the old object. */
export function celErrors(value: Json, old: Json | undefined, schema: Schema): FieldError[] {
  const errors: FieldError[] = [];
  const budget: Budget = { left: evaluationsMax, deadline: Date.now() + evaluationTimeMs };
  walk(value, old, schema, '', errors, budget);
  return errors;
}

function walk(
  value: Json | undefined,
  old: Json | undefined,
  schema: Schema,
  path: string,
  errors: FieldError[],
  budget: Budget,
): void {
  if (value === undefined || value === null || errors.length >= errorsMax) return;
  if (schema.rules !== undefined) {
    let self: unknown;
    let oldSelf: unknown;
    for (const rule of schema.rules) {
      if (isTransition(rule) && old === undefined && rule.optionalOldSelf !== true) continue;
      if (budget.left-- <= 0 || Date.now() > budget.deadline) {
        errors.push(fieldError.forbidden(path, 'validation rules cost too much to evaluate'));
        return;
      }
      self ??= celValue(value, schema);
      oldSelf ??= celValue(old, schema);
      const error = evaluate(rule, { self, oldSelf }, path, value);
      if (error !== undefined) errors.push(error);
    }
  }
  if (Array.isArray(value)) {
    const { items } = schema;
    if (items === undefined) return;
    const previous = new Map<string, Json>();
    if (schema.listType === 'map' && Array.isArray(old)) {
      for (const o of old as Json[]) previous.set(itemStep(o, schema) ?? '', o);
    }
    value.forEach((v: Json, i) => {
      walk(v, previous.get(itemStep(v, schema) ?? ''), items, `${path}[${i}]`, errors, budget);
    });
  } else if (isObject(value)) {
    const before = isObject(old) ? old : {};
    const extra = schema.additionalProperties;
    for (const key of Object.keys(value)) {
      const child = schema.properties?.[key] ?? (typeof extra === 'object' ? extra : undefined);
      if (child !== undefined)
        walk(value[key], before[key], child, path === '' ? key : `${path}.${key}`, errors, budget);
    }
  }
}

function evaluate(
  rule: CelRule,
  context: Record<string, unknown>,
  path: string,
  value: Json,
): FieldError | undefined {
  const program = compile(rule.rule);
  const where = (path === '' ? '<nil>' : path) + (rule.fieldPath ?? '');
  const shown = typeof value === 'object' ? (Array.isArray(value) ? 'array' : 'object') : value;
  if (program instanceof Error) {
    // CRD admission refuses such rules; one that got in before must still not be skipped.
    return fieldError.invalid(where, shown, `rule cannot be compiled: ${rule.rule}`);
  }
  let result: unknown;
  try {
    result = program(context);
  } catch (error) {
    const why = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    return fieldError.invalid(
      where,
      shown,
      `rule evaluation error: ${why} evaluating rule: ${rule.message ?? rule.rule}`,
    );
  }
  if (result === true) return undefined;
  const message = messageFor(rule, context);
  switch (rule.reason) {
    case 'FieldValueForbidden':
      return fieldError.forbidden(where, message);
    case 'FieldValueRequired':
      return fieldError.required(where, message);
    case 'FieldValueDuplicate':
      return fieldError.duplicate(where, shown);
    default:
      return fieldError.invalid(where, shown, message);
  }
}

function messageFor(rule: CelRule, context: Record<string, unknown>): string {
  if (rule.messageExpression !== undefined) {
    const program = compile(rule.messageExpression);
    if (!(program instanceof Error)) {
      try {
        const text = program(context);
        if (typeof text === 'string' && text.trim() !== '') return text;
      } catch {
        // The fixed message below says enough.
      }
    }
  }
  return rule.message ?? `failed rule: ${rule.rule.trim()}`;
}
