import { Duration } from '@marcbachmann/cel-js/evaluator';
import { isObject, type Json } from '../../base/json.js';
import type { Schema } from '../schema/schema.js';

const reserved: ReadonlySet<string> = new Set(
  (
    'true false null in as break const continue else for function if import let loop package namespace ' +
    'return var void while'
  ).split(' '),
);

const identifier = /^[A-Za-z_.\-/][A-Za-z0-9_.\-/]*$/;

/** A property name as rules write it: what is no CEL identifier is escaped as Kubernetes escapes it; undefined when it cannot be. */
export function escapeName(name: string): string | undefined {
  if (reserved.has(name)) return `__${name}__`;
  if (!identifier.test(name)) return undefined;
  return name
    .replaceAll('__', '__underscores__')
    .replaceAll('.', '__dot__')
    .replaceAll('-', '__dash__')
    .replaceAll('/', '__slash__');
}

const unitNanos: Readonly<Record<string, bigint>> = {
  h: 3_600_000_000_000n,
  m: 60_000_000_000n,
  s: 1_000_000_000n,
  ms: 1_000_000n,
  us: 1_000n,
  µs: 1_000n,
  ns: 1n,
};

/** A Go duration such as 1h30m; undefined for other texts. */
function durationOf(text: string): Duration | undefined {
  if (!/^[+-]?(?:\d+(?:\.\d+)?(?:h|ms|m|s|us|µs|ns))+$/.test(text))
    return text === '0' ? new Duration(0n) : undefined;
  let nanos = 0n;
  for (const [, whole = '0', fraction = '', unit = 's'] of text.matchAll(
    /(\d+)(?:\.(\d+))?(h|ms|m|s|us|µs|ns)/g,
  )) {
    const size = unitNanos[unit] ?? 0n;
    nanos += BigInt(whole) * size;
    if (fraction !== '') nanos += (BigInt(fraction) * size) / 10n ** BigInt(fraction.length);
  }
  if (text.startsWith('-')) nanos = -nanos;
  return new Duration(nanos / 1_000_000_000n, Number(nanos % 1_000_000_000n));
}

function textValue(value: string, schema: Schema | undefined): unknown {
  switch (schema?.format) {
    case 'date-time': {
      const date = new Date(value);
      return Number.isNaN(date.getTime()) ? value : date;
    }
    case 'date': {
      const date = new Date(`${value}T00:00:00Z`);
      return Number.isNaN(date.getTime()) ? value : date;
    }
    case 'duration':
      return durationOf(value) ?? value;
    case 'byte':
      return schema.type === 'string' ? new Uint8Array(Buffer.from(value, 'base64')) : value;
    default:
      return value;
  }
}

/**
 * A JSON value as CEL sees it: objects are maps, whole numbers integers unless
 * the schema says number, times and durations what their format says.
 */
export function celValue(value: Json | undefined, schema: Schema | undefined): unknown {
  if (Array.isArray(value)) return value.map((v: Json) => celValue(v, schema?.items));
  if (isObject(value)) {
    // Maps rather than objects: keys such as "constructor" are only data.
    const out = new Map<string, unknown>();
    const extra = typeof schema?.additionalProperties === 'object' ? schema.additionalProperties : undefined;
    for (const key of Object.keys(value)) {
      const known =
        schema?.properties !== undefined && Object.hasOwn(schema.properties, key)
          ? schema.properties[key]
          : undefined;
      const converted = celValue(value[key], known ?? extra);
      if (converted === undefined) continue;
      out.set(key, converted);
      const escaped = known === undefined ? undefined : escapeName(key);
      if (escaped !== undefined && escaped !== key) out.set(escaped, converted);
    }
    return out;
  }
  if (typeof value === 'number') {
    return Number.isInteger(value) && schema?.type !== 'number' ? BigInt(value) : value;
  }
  return typeof value === 'string' ? textValue(value, schema) : value;
}
