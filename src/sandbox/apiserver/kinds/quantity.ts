import { parseQuantity } from '../../../kube/quantity.js';
import type { Json } from '../json.js';

/** What is wrong with a resource quantity; undefined when it is fine. */
export function quantityProblem(value: Json | undefined): string | undefined {
  const number = parseQuantity(value);
  if (number === undefined) {
    return "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
  }
  return number < 0 ? 'must be greater than or equal to 0' : undefined;
}
