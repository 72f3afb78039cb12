import type { Resource } from '#base/kube/resource.js';

/*
 * What the objects of a kind are tried with. A corpus starts from one accepted object that
 * has every field at least once, and lists changes of it: values of fields, sizes of lists,
 * fields left out, and for each rule over several fields what it lets pass and what not.
 * Expectations are written here, not read from a definition: they hold for anybody's.
 */

export type Json = string | number | boolean | null | readonly Json[] | JsonMap;
export interface JsonMap {
  readonly [key: string]: Json;
}

/** Path of a field, such as `spec.rules[0].filters[1].type`, to its new value; undefined takes it away. */
export type Change = Readonly<Record<string, Json | undefined>>;

/** Values of one field: each alone makes an otherwise accepted object accepted, or refused. */
export interface Values {
  readonly accepted: readonly Json[];
  readonly refused: readonly Json[];
}

/** Limits of a list or map: sizes just inside and just outside are tried. */
export interface Size {
  readonly min?: number;
  readonly max?: number;
  /** The element, or the entry of a map, at a position; all differ. Not given: the size cannot be changed alone. */
  readonly element?: (index: number) => Json;
  /** Of a map: the keys. */
  readonly key?: (index: number) => string;
  /** Two of the same are refused. */
  readonly isUnique?: boolean;
}

/** A rule over several fields. */
export interface Rule {
  /** What our definition says when it does not hold. */
  readonly message: string;
  readonly accepted: readonly Change[];
  readonly refused: readonly Change[];
  /** The field that is blamed. */
  readonly at: string;
}

export interface Corpus {
  readonly resource: Resource;
  /** Versions that are served beside that of `resource`. */
  readonly otherVersions?: readonly string[];
  /** Versions that are known and not served. */
  readonly unserved?: readonly string[];
  readonly shortNames: readonly string[];
  readonly columns: readonly string[];
  /** An object with every field; without metadata. */
  readonly base: JsonMap;
  readonly fields: Readonly<Record<string, Values>>;
  readonly sizes: Readonly<Record<string, Size>>;
  /** Path of a map to the fields it must have; every map that must have some is here. */
  readonly required: Readonly<Record<string, readonly string[]>>;
  readonly rules: readonly Rule[];
  /** Messages of rules that no object can break, because something simpler refuses it first. */
  readonly unbreakable?: readonly string[];
  /** Fields that a definition of this release does not have. */
  readonly unknown: Change;
  /** The least that is accepted, and what an API server makes of it. */
  readonly defaults: readonly { readonly given: JsonMap; readonly stored: JsonMap }[];
  /** A change that is refused although the object itself would be accepted. */
  readonly immutable?: { readonly change: Change; readonly at: string; readonly message: string };
}

/** A copy of an object with changes. */
export function changed(object: JsonMap, change: Change): JsonMap {
  return Object.entries(change).reduce<Json>(
    (at, [path, value]) => withValue(at, stepsOf(path), value),
    object,
  ) as JsonMap;
}

/** The value at a path; undefined when it is not there. */
export function valueAt(object: Json, path: string): Json | undefined {
  return stepsOf(path).reduce<Json | undefined>(
    (at, step) => (typeof at === 'object' && at !== null ? (at as JsonMap)[step] : undefined),
    object,
  );
}

/** A path with every position left out: `spec.rules[].name`. */
export function pattern(path: string): string {
  return path.replaceAll(/\[\d+\]/g, '[]');
}

/** A path below another: of a field, or of an element when it begins with a position. */
export function below(prefix: string, path: string): string {
  return path === '' || path.startsWith('[') ? `${prefix}${path}` : `${prefix}.${path}`;
}

/** Puts a path before those of fields, sizes or required fields. */
export function under<T>(prefix: string, entries: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(entries).map(([path, value]) => [below(prefix, path), value]));
}

/** The same rules of a map that stands at several places. */
export function rulesUnder(prefix: string, rules: readonly Rule[]): Rule[] {
  const moved = (change: Change): Change => under(prefix, change);
  return rules.map(({ message, accepted, refused, at }) => ({
    message,
    accepted: accepted.map(moved),
    refused: refused.map(moved),
    at: below(prefix, at),
  }));
}

/** Keys with dots are written in quotes: `metadata.labels["a.b/c"]`. */
function stepsOf(path: string): string[] {
  return [...path.matchAll(/\["([^"]+)"\]|\[(\d+)\]|([^.[\]]+)/g)].map(
    ([, quoted, index, name]) => quoted ?? index ?? name ?? '',
  );
}

function withValue(at: Json | undefined, [step, ...rest]: readonly string[], value: Json | undefined): Json {
  if (step === undefined) return value ?? null;
  if (Array.isArray(at) || (at === undefined && /^\d+$/.test(step))) {
    const list = [...((at as readonly Json[] | undefined) ?? [])];
    if (rest.length === 0 && value === undefined) list.splice(Number(step), 1);
    else list[Number(step)] = withValue(list[Number(step)], rest, value);
    return list;
  }
  const map = (typeof at === 'object' && at !== null ? at : {}) as JsonMap;
  const { [step]: old, ...others } = map;
  if (rest.length === 0 && value === undefined) return others;
  return { ...map, [step]: withValue(old, rest, value) };
}
