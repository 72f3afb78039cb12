import type { Environment } from '@marcbachmann/cel-js';
import { Duration, UnsignedInt } from '@marcbachmann/cel-js/evaluator';
import { charge } from '../budget.js';
import { equalValues } from '../equality.js';
import { type CelFunction, define } from './define.js';

class SetsNamespace {}

type Comparable = number | bigint | string | boolean | { valueOf(): number | bigint };

function less(a: Comparable, b: Comparable): boolean {
  return a.valueOf() < b.valueOf();
}

function sum(values: readonly unknown[]): unknown {
  charge(values.length);
  const [first] = values;
  if (first === undefined) return 0n;
  if (first instanceof Duration) {
    return (values as readonly Duration[]).reduce((a, b) => a.addDuration(b), new Duration(0n));
  }
  if (first instanceof UnsignedInt) {
    return new UnsignedInt((values as readonly UnsignedInt[]).reduce((a, b) => a + b.valueOf(), 0n));
  }
  if (typeof first === 'number') return (values as readonly number[]).reduce((a, b) => a + b, 0);
  return (values as readonly bigint[]).reduce((a, b) => a + b, 0n);
}

function extreme(name: string, isBetter: (a: Comparable, b: Comparable) => boolean) {
  return (values: readonly Comparable[]): Comparable => {
    charge(values.length);
    let [best] = values;
    if (best === undefined) throw new Error(`${name} called on empty list`);
    for (const v of values) if (isBetter(v, best)) best = v;
    return best;
  };
}

function contains(list: readonly unknown[], wanted: readonly unknown[]): boolean {
  charge(list.length * wanted.length);
  return wanted.every((w) => list.some((v) => equalValues(v, w)));
}

const ordered = [
  'int',
  'double',
  'uint',
  'string',
  'bool',
  'bytes',
  'google.protobuf.Duration',
  'google.protobuf.Timestamp',
];

/** One overload for each type: with a type parameter the result of a dynamic list would have no type at all. */
function forEach(
  types: readonly string[],
  make: (type: string) => [string, CelFunction],
): Record<string, CelFunction> {
  return Object.fromEntries(types.map(make));
}

/** Kubernetes' functions on lists, and the `sets` functions. */
export function registerLists(environment: Environment): void {
  environment.registerType('kubernetes.Sets', { ctor: SetsNamespace, fields: {} });
  environment.registerConstant('sets', 'kubernetes.Sets', new SetsNamespace());
  define(environment, {
    'list.isSorted(): bool': (values: readonly Comparable[]) => {
      charge(values.length);
      return values.every((v, i) => i === 0 || !less(v, values[i - 1] as Comparable));
    },
    ...forEach(['int', 'double', 'uint', 'google.protobuf.Duration'], (t) => [`list<${t}>.sum(): ${t}`, sum]),
    ...forEach(ordered, (t) => [`list<${t}>.min(): ${t}`, extreme('min', less)]),
    ...forEach(ordered, (t) => [`list<${t}>.max(): ${t}`, extreme('max', (a, b) => less(b, a))]),
    'list.indexOf(dyn): int': (values: readonly unknown[], wanted: unknown) => {
      charge(values.length);
      return BigInt(values.findIndex((v) => equalValues(v, wanted)));
    },
    'list.lastIndexOf(dyn): int': (values: readonly unknown[], wanted: unknown) => {
      charge(values.length);
      return BigInt(values.findLastIndex((v) => equalValues(v, wanted)));
    },
    'kubernetes.Sets.contains(list, list): bool': (
      _ns: unknown,
      a: readonly unknown[],
      b: readonly unknown[],
    ) => contains(a, b),
    'kubernetes.Sets.equivalent(list, list): bool': (
      _ns: unknown,
      a: readonly unknown[],
      b: readonly unknown[],
    ) => contains(a, b) && contains(b, a),
    'kubernetes.Sets.intersects(list, list): bool': (
      _ns: unknown,
      a: readonly unknown[],
      b: readonly unknown[],
    ) => {
      charge(a.length * b.length);
      return a.some((v) => b.some((w) => equalValues(v, w)));
    },
  });
}
