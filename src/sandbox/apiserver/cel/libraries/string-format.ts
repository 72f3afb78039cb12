import { charge } from '../budget.js';

const precisionMax = 100;

function shown(value: unknown): string {
  if (value === null) return 'null';
  if (value instanceof Date) return value.toISOString().replace(/\.?0*Z$/, 'Z');
  if (Array.isArray(value)) return `[${value.map(shown).join(', ')}]`;
  if (value instanceof Map) {
    const entries = [...value].map(([k, v]) => `${shown(k)}: ${shown(v)}`);
    return `{${entries.sort().join(', ')}}`;
  }
  if (value instanceof Uint8Array) return Buffer.from(value).toString('utf8');
  if (typeof value === 'object' && value.constructor === Object) {
    return shown(new Map(Object.entries(value)));
  }
  switch (typeof value) {
    case 'string':
      return value;
    case 'bigint':
    case 'number':
    case 'boolean':
      return value.toString();
    default:
      // Durations, quantities and other values of the libraries say what they are.
      return value instanceof Object && value.toString !== Object.prototype.toString
        ? (value as { toString(): string }).toString()
        : '';
  }
}

function wholeNumber(value: unknown, clause: string): bigint {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'number' && Number.isInteger(value)) return BigInt(value);
  const inner: unknown = typeof value === 'object' && value !== null ? value.valueOf() : undefined;
  if (typeof inner === 'bigint') return inner;
  throw new TypeError(`error during formatting: ${clause} clause can only be used on integers`);
}

function hex(value: unknown): string {
  if (typeof value === 'string') return Buffer.from(value).toString('hex');
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  return wholeNumber(value, 'hex').toString(16);
}

function fraction(value: unknown, precision: number, isExponent: boolean): string {
  const number = typeof value === 'number' ? value : Number(wholeNumber(value, 'fixed-point'));
  if (!Number.isFinite(number)) return Number.isNaN(number) ? 'NaN' : number > 0 ? '+Inf' : '-Inf';
  return isExponent
    ? number.toExponential(precision).replace(/e([+-])(\d)$/, 'e$10$2')
    : number.toFixed(precision);
}

/** `"...%s %d".format([..])`: the verbs s, d, f, e, b, o, x, X and %%. */
export function formatText(text: string, values: readonly unknown[]): string {
  let next = 0;
  const out = text.replace(/%(?:\.(\d+))?(.?)/gs, (_all, digits: string | undefined, verb: string) => {
    if (verb === '%') return '%';
    if (next >= values.length) throw new RangeError(`index ${next} out of range`);
    const value = values[next++];
    const precision = Math.min(digits === undefined ? 6 : Number(digits), precisionMax);
    switch (verb) {
      case 's':
        return shown(value);
      case 'd':
        return wholeNumber(value, 'decimal').toString();
      case 'f':
        return fraction(value, precision, false);
      case 'e':
        return fraction(value, precision, true);
      case 'b':
        return typeof value === 'boolean' ? (value ? '1' : '0') : wholeNumber(value, 'binary').toString(2);
      case 'o':
        return wholeNumber(value, 'octal').toString(8);
      case 'x':
        return hex(value);
      case 'X':
        return hex(value).toUpperCase();
      default:
        throw new TypeError(`could not parse formatting clause: unrecognized formatting clause "${verb}"`);
    }
  });
  charge(out.length / 10);
  return out;
}
