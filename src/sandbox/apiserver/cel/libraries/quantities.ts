import type { Environment } from '@marcbachmann/cel-js';
import { ExactQuantity } from '../../../base/exact-quantity.js';
import { define } from './define.js';

type Addend = ExactQuantity | bigint;

const asQuantity = (value: Addend): ExactQuantity =>
  typeof value === 'bigint' ? (ExactQuantity.parse(value.toString()) ?? ExactQuantity.zero) : value;

/** Kubernetes' functions on resource quantities. */
export function registerQuantities(environment: Environment): void {
  environment.registerType('kubernetes.Quantity', { ctor: ExactQuantity, fields: {} });
  environment.registerOperator(
    'kubernetes.Quantity == kubernetes.Quantity',
    (a: ExactQuantity, b: ExactQuantity) => a.compare(b) === 0,
  );
  const plus = (a: ExactQuantity, b: Addend): ExactQuantity => a.plus(asQuantity(b));
  const minus = (a: ExactQuantity, b: Addend): ExactQuantity => a.minus(asQuantity(b));
  define(environment, {
    'quantity(string): kubernetes.Quantity': (text: string) => {
      const quantity = ExactQuantity.parse(text);
      if (quantity === undefined) {
        throw new Error(
          "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        );
      }
      return quantity;
    },
    'isQuantity(string): bool': (text: string) => ExactQuantity.parse(text) !== undefined,
    'kubernetes.Quantity.sign(): int': (q: ExactQuantity) => BigInt(q.compare(ExactQuantity.zero)),
    'kubernetes.Quantity.isInteger(): bool': (q: ExactQuantity) => q.isInteger,
    'kubernetes.Quantity.asInteger(): int': (q: ExactQuantity) => {
      if (!q.isInteger) throw new Error('cannot convert value to integer');
      return q.value;
    },
    'kubernetes.Quantity.asApproximateFloat(): double': (q: ExactQuantity) => q.toNumber(),
    'kubernetes.Quantity.add(kubernetes.Quantity): kubernetes.Quantity': plus,
    'kubernetes.Quantity.add(int): kubernetes.Quantity': plus,
    'kubernetes.Quantity.sub(kubernetes.Quantity): kubernetes.Quantity': minus,
    'kubernetes.Quantity.sub(int): kubernetes.Quantity': minus,
    'kubernetes.Quantity.isLessThan(kubernetes.Quantity): bool': (a: ExactQuantity, b: ExactQuantity) =>
      a.compare(b) < 0,
    'kubernetes.Quantity.isGreaterThan(kubernetes.Quantity): bool': (a: ExactQuantity, b: ExactQuantity) =>
      a.compare(b) > 0,
    'kubernetes.Quantity.compareTo(kubernetes.Quantity): int': (a: ExactQuantity, b: ExactQuantity) =>
      BigInt(a.compare(b)),
  });
}
