import type { Environment, Optional } from '@marcbachmann/cel-js';
import { equalValues } from '../equality.js';
import { define } from './define.js';

/** As the CEL specification shows a time: RFC 3339, without trailing zeros of the fraction. */
function timeText(date: Date): string {
  return date.toISOString().replace(/\.?0*Z$/, 'Z');
}

/** Conversions and comparisons of the CEL specification that the library lacks. */
export function registerConversions(environment: Environment): void {
  environment.registerOperator('optional<V> == optional<V>', (a: Optional, b: Optional) =>
    a.hasValue() && b.hasValue() ? equalValues(a.value(), b.value()) : a.hasValue() === b.hasValue(),
  );
  define(environment, {
    'string(google.protobuf.Timestamp): string': timeText,
    'string(google.protobuf.Duration): string': (d: { toString(): string }) => String(d),
    'int(google.protobuf.Timestamp): int': (d: Date) => BigInt(Math.floor(d.getTime() / 1000)),
    'int(uint): int': (u: { valueOf(): bigint }) => u.valueOf(),
    'timestamp(google.protobuf.Timestamp): google.protobuf.Timestamp': (d: Date) => d,
    'duration(google.protobuf.Duration): google.protobuf.Duration': (d: unknown) => d,
  });
}
