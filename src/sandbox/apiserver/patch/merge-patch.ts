import { isObject, type Json, type JsonObject, setOwn } from '../../base/json.js';

/** JSON merge patch (RFC 7386). The target is not changed. */
export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isObject(patch)) return patch;
  const out: JsonObject = isObject(target) ? { ...target } : {};
  for (const key of Object.keys(patch)) {
    const value = patch[key];
    if (value === null) Reflect.deleteProperty(out, key);
    else if (value !== undefined) {
      setOwn(out, key, mergePatch(Object.hasOwn(out, key) ? out[key] : undefined, value));
    }
  }
  return out;
}
