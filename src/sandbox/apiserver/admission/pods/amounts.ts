import { ExactQuantity } from '../../../base/exact-quantity.js';
import { type Json, objectOf } from '../../../base/json.js';

/** Amounts by resource name. */
export type Amounts = ReadonlyMap<string, ExactQuantity>;

/** The quantities of an object such as `limits`; what is no quantity is left out. */
export function amountsOf(value: Json | undefined): Map<string, ExactQuantity> {
  const out = new Map<string, ExactQuantity>();
  for (const [name, text] of Object.entries(objectOf(value))) {
    const quantity = ExactQuantity.parse(text);
    if (quantity !== undefined) out.set(name, quantity);
  }
  return out;
}

/** Adds amounts into a sum, in place. */
export function addTo(sum: Map<string, ExactQuantity>, amounts: Amounts): void {
  for (const [name, amount] of amounts) sum.set(name, (sum.get(name) ?? ExactQuantity.zero).plus(amount));
}

/** The larger amount of each name. */
export function largest(a: Amounts, b: Amounts): Map<string, ExactQuantity> {
  const out = new Map(a);
  for (const [name, amount] of b) {
    const known = out.get(name);
    if (known === undefined || amount.compare(known) > 0) out.set(name, amount);
  }
  return out;
}

/** `a - b` for the names of `a` or `b`. */
export function difference(a: Amounts, b: Amounts): Map<string, ExactQuantity> {
  const out = new Map(a);
  for (const [name, amount] of b) out.set(name, (out.get(name) ?? ExactQuantity.zero).minus(amount));
  return out;
}

/** As error messages list amounts: `cpu=1,memory=2Gi`, by name. */
export function shown(amounts: Amounts): string {
  return [...amounts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, amount]) => `${name}=${amount.toString()}`)
    .join(',');
}
