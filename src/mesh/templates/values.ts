/** Values are JSON: maps, lists and scalars. */
export type Value = string | number | boolean | null | readonly Value[] | ValueMap;
export interface ValueMap {
  readonly [key: string]: Value;
}

/** Whether a value is a map (not a list, not null). */
export function isMap(value: unknown): value is ValueMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `over` laid over `base`: maps merge, lists and scalars replace, null removes the key. */
export function mergeValues(base: ValueMap, over: ValueMap): ValueMap {
  const merged: Record<string, Value> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key];
    if (value === null) delete merged[key];
    else if (isMap(value)) merged[key] = mergeValues(isMap(below) ? below : {}, value);
    else merged[key] = value;
  }
  return merged;
}

/** The value at a path; undefined when a step is missing. */
export function valueAt(root: Value, path: readonly string[]): Value | undefined {
  let current: Value | undefined = root;
  for (const step of path) {
    if (isMap(current)) current = Object.hasOwn(current, step) ? current[step] : undefined;
    else if (Array.isArray(current)) current = (current as readonly Value[])[Number(step)];
    else return undefined;
  }
  return current;
}

/** A scalar as text; maps and lists as JSON. */
export function scalarText(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
}
