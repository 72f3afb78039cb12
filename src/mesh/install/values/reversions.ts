import { isDeepStrictEqual } from 'node:util';
import { isMap, type Value, type ValueMap, valueAt } from '../../templates/values.js';
import type { EffectiveValues } from './effective.js';

/** A value that the earlier installation was given, and that this one puts back because it is not given again. */
export interface Reversion {
  readonly path: string;
  readonly before: Value;
  /** Of profile and defaults; undefined when these have none. */
  readonly after: Value | undefined;
}

/** What an installation takes back without being told to: install is declarative, and its user may not know of it. */
export function reversions(earlier: ValueMap, next: EffectiveValues): readonly Reversion[] {
  return valueLeaves(earlier).flatMap(({ path, value }) => {
    if (valueAt(next.given, path) !== undefined) return [];
    const [first] = path;
    const after = path.length === 1 && first === 'profile' ? next.profile : valueAt(next.spec, path);
    return isDeepStrictEqual(after, value) ? [] : [{ path: path.join('.'), before: value, after }];
  });
}

/** The values in a tree that are no maps, with the way to each; nothing for null, which takes a value away. */
export function valueLeaves(
  value: Value,
  path: readonly string[] = [],
): readonly { readonly path: readonly string[]; readonly value: Value }[] {
  if (!isMap(value)) return value === null ? [] : [{ path, value }];
  return Object.entries(value).flatMap(([name, inner]) => valueLeaves(inner, [...path, name]));
}
