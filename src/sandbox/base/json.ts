/** Any JSON value; `undefined` stands for an absent property only. */
export type Json = string | number | boolean | null | readonly Json[] | Json[] | JsonObject;

export interface JsonObject {
  [key: string]: Json | undefined;
}

/** Whether the value is a JSON object (neither array nor null). */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value if it is an object, else an empty one that is attached to nothing. */
export function objectOf(value: Json | undefined): JsonObject {
  return isObject(value) ? value : {};
}

/** The value if it is an array, else an empty one. */
export function arrayOf(value: Json | undefined): readonly Json[] {
  return Array.isArray(value) ? value : [];
}

/** The objects of an array; anything else in it is left out. */
export function objectsOf(value: Json | undefined): JsonObject[] {
  return arrayOf(value).filter(isObject);
}

/** The strings of an array; anything else in it is left out. */
export function stringsOf(value: Json | undefined): string[] {
  return arrayOf(value).filter((v): v is string => typeof v === 'string');
}

/** The value if it is a string, else ''. */
export function stringOf(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}

/** The value if it is a number, else undefined. */
export function numberOf(value: Json | undefined): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

/** String-valued entries of an object, such as labels. */
export function stringMapOf(value: Json | undefined): Record<string, string> {
  const out: Record<string, string> = {};
  for (const [k, v] of Object.entries(objectOf(value))) if (typeof v === 'string') out[k] = v;
  return out;
}

/** Walks object properties; undefined when any step is missing. */
export function valueIn(value: Json | undefined, ...path: readonly string[]): Json | undefined {
  let current: Json | undefined = value;
  for (const step of path) {
    if (!isObject(current)) return undefined;
    current = current[step];
  }
  return current;
}

/** The object at a property, created when it is missing or not an object. */
export function childOf(parent: JsonObject, key: string): JsonObject {
  const existing = parent[key];
  if (isObject(existing)) return existing;
  const created: JsonObject = {};
  parent[key] = created;
  return created;
}

/** Deep copy of JSON data, several times faster than structuredClone for small objects. */
export function cloneJson<T extends Json>(value: T): T {
  // The casts restate that a copy has the type of its original.
  if (Array.isArray(value)) return value.map((v: Json) => cloneJson(v)) as unknown as T;
  if (isObject(value)) {
    const out: JsonObject = {};
    for (const key of Object.keys(value)) {
      const v = value[key];
      if (v !== undefined) setOwn(out, key, cloneJson(v));
    }
    return out as T;
  }
  return value;
}

/** Assigns a property even when its name is one that plain assignment treats specially. */
export function setOwn(target: JsonObject, key: string, value: Json): void {
  if (key === '__proto__')
    Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
  else target[key] = value;
}

/** Structural equality of JSON data; absent and undefined properties are the same. */
export function equalJson(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true;
  if (Array.isArray(a)) {
    return (
      Array.isArray(b) &&
      a.length === b.length &&
      a.every((v: Json, i) => equalJson(v, b[i] as Json | undefined))
    );
  }
  if (!isObject(a) || !isObject(b)) return false;
  const keysA = Object.keys(a).filter((k) => a[k] !== undefined);
  const keysB = Object.keys(b).filter((k) => b[k] !== undefined);
  return keysA.length === keysB.length && keysA.every((k) => Object.hasOwn(b, k) && equalJson(a[k], b[k]));
}
