/** Equality of CEL values as the list functions need it: numbers by value, lists and maps by content. */
export function equalValues(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((v: unknown, i) => equalValues(v, b[i]));
  }
  if (a instanceof Map) {
    return (
      b instanceof Map && a.size === b.size && [...a].every(([k, v]) => b.has(k) && equalValues(v, b.get(k)))
    );
  }
  if (isNumber(a) && isNumber(b)) return a === b || Number(a) === Number(b);
  if (isBoxed(a) && isBoxed(b) && a.constructor === b.constructor) return a.valueOf() === b.valueOf();
  return false;
}

function isNumber(value: unknown): value is number | bigint {
  return typeof value === 'number' || typeof value === 'bigint';
}

/** Times, durations and the like, which compare by what they stand for. */
function isBoxed(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
