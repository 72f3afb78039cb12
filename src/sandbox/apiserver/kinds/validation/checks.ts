import { type FieldError, fieldError } from '../../api-error.js';
import {
  equalJson,
  isObject,
  type Json,
  type JsonObject,
  numberOf,
  objectsOf,
  stringOf,
} from '../../../base/json.js';
import { nameProblems } from '../../registry/names.js';
import type { NameRule } from '../../registry/resource.js';

/** A map or list that was not given reads as nil in Kubernetes' messages. */
export const nonNegativeDetail = 'must be greater than or equal to 0';
export const portDetail = 'must be between 1 and 65535, inclusive';
export const immutableDetail = 'field is immutable';
const portName = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;

/** The parent path and a child of it. */
export function at(path: string, child: string): string {
  return path === '' ? child : `${path}.${child}`;
}

/** Whether a value counts as not set: absent, null, or the empty string. */
export function isUnset(value: Json | undefined): boolean {
  return value === undefined || value === null || value === '';
}

/** Collects field errors; every method says what is wrong at a path, or nothing. */
export class Checks {
  readonly errors: FieldError[] = [];

  required(path: string, detail = ''): void {
    this.errors.push(fieldError.required(path, detail));
  }

  invalid(path: string, value: Json | undefined, detail: string): void {
    this.errors.push(fieldError.invalid(path, value, detail));
  }

  notSupported(path: string, value: Json | undefined, supported: readonly string[]): void {
    this.errors.push(fieldError.notSupported(path, value, supported));
  }

  duplicate(path: string, value: Json | undefined): void {
    this.errors.push(fieldError.duplicate(path, value));
  }

  forbidden(path: string, detail: string): void {
    this.errors.push(fieldError.forbidden(path, detail));
  }

  notFound(path: string, value: Json | undefined): void {
    this.errors.push(fieldError.notFound(path, value));
  }

  tooLong(path: string, maxLength: number): void {
    this.errors.push(fieldError.tooLong(path, maxLength));
  }

  tooMany(path: string, count: number, max: number): void {
    this.errors.push(fieldError.tooMany(path, count, max));
  }

  /** A number that may be absent but not below 0. */
  nonNegative(value: Json | undefined, path: string): void {
    const n = numberOf(value);
    if (n !== undefined && n < 0) this.invalid(path, n, nonNegativeDetail);
  }

  /** Within a range, both ends included. */
  inRange(value: Json | undefined, path: string, min: number, max: number): void {
    const n = numberOf(value);
    if (n !== undefined && (n < min || n > max)) {
      this.invalid(path, n, `must be between ${min} and ${max}, inclusive`);
    }
  }

  /** One of a list of words; an empty value is unsupported too. */
  oneOf(value: Json | undefined, path: string, supported: readonly string[]): void {
    if (!supported.includes(stringOf(value))) this.notSupported(path, value ?? '', supported);
  }

  /** As oneOf, but an empty value is a missing one. */
  requiredOneOf(value: Json | undefined, path: string, supported: readonly string[], detail = ''): void {
    if (isUnset(value)) this.required(path, detail);
    else this.oneOf(value, path, supported);
  }

  /** A name under a rule; must not be empty unless it may be absent. */
  name(value: Json | undefined, path: string, rule: NameRule): void {
    for (const problem of nameProblems(stringOf(value), rule)) this.invalid(path, value ?? '', problem);
  }

  /** A name that must be given, under a rule. */
  requiredName(value: Json | undefined, path: string, rule: NameRule, detail = ''): void {
    if (isUnset(value)) this.required(path, detail);
    else this.name(value, path, rule);
  }

  port(value: Json | undefined, path: string): void {
    const n = numberOf(value) ?? 0;
    if (n < 1 || n > 65_535) this.invalid(path, n, portDetail);
  }

  /** A port by number or by the name of a container port. */
  portOrName(value: Json | undefined, path: string): void {
    if (typeof value !== 'string') {
      this.port(value, path);
      return;
    }
    for (const problem of portNameProblems(value)) this.invalid(path, value, problem);
  }

  /** Must not change on update. */
  immutable(now: Json | undefined, before: Json | undefined, path: string, detail = immutableDetail): void {
    if (!equalJson(now ?? undefined, before ?? undefined)) this.invalid(path, now ?? null, detail);
  }

  /** Runs a check on each object of a list, with its path. */
  each(
    list: Json | undefined,
    path: string,
    check: (item: JsonObject, path: string, index: number) => void,
  ): void {
    objectsOf(list).forEach((item, i) => {
      check(item, `${path}[${i}]`, i);
    });
  }

  /** Runs a check on an object, when it is there. */
  within(value: Json | undefined, path: string, check: (value: JsonObject, path: string) => void): void {
    if (isObject(value)) check(value, path);
  }
}

/** What is wrong with the name of a container port. */
export function portNameProblems(name: string): string[] {
  const problems: string[] = [];
  if (name.length > 15) problems.push('must be no more than 15 characters');
  if (!portName.test(name) && !/^[-a-z0-9]+$/.test(name)) {
    problems.push('must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)');
  }
  if (!/[a-z]/.test(name)) problems.push('must contain at least one letter (a-z)');
  if (name.includes('--')) problems.push('must not contain consecutive hyphens');
  if (name.startsWith('-') || name.endsWith('-')) problems.push('must not begin or end with a hyphen');
  return problems;
}
