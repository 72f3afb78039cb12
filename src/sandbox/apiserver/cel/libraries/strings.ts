import type { Environment } from '@marcbachmann/cel-js';
import { charge, sizeCost } from '../budget.js';
import { define } from './define.js';
import { formatText } from './string-format.js';

class StringsNamespace {}

function replace(text: string, from: string, to: string, limit = -1n): string {
  // Growth is known only afterwards; one call may at most make a text this many times longer.
  charge(
    sizeCost(text.length) +
      (from === '' ? (text.length + 1) * to.length : (text.length / from.length) * to.length) / 10,
  );
  if (limit < 0n) return text.replaceAll(from, () => to);
  const parts = from === '' ? Array.from(text) : text.split(from);
  let out = parts[0] ?? '';
  for (let i = 1; i < parts.length; i++) out += (i <= Number(limit) ? to : from) + (parts[i] ?? '');
  return out;
}

/** The extended string functions that the library lacks. */
export function registerStrings(environment: Environment): void {
  environment.registerType('kubernetes.Strings', { ctor: StringsNamespace, fields: {} });
  environment.registerConstant('strings', 'kubernetes.Strings', new StringsNamespace());
  define(environment, {
    'string.replace(string, string): string': replace,
    'string.replace(string, string, int): string': replace,
    'string.charAt(int): string': (text: string, index: bigint) => {
      const points = Array.from(text);
      if (index < 0n || index > BigInt(points.length)) throw new RangeError(`index out of range: ${index}`);
      return points[Number(index)] ?? '';
    },
    'string.format(list): string': (text: string, values: readonly unknown[]) => formatText(text, values),
    'kubernetes.Strings.quote(string): string': (_ns: unknown, text: string) => JSON.stringify(text),
  });
}
