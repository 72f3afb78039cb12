import { canonicalQuantity } from '../../../base/exact-quantity.js';
import { isObject, type Json, objectOf } from '../../../base/json.js';
import { at, type Checks } from '../validation/checks.js';
import {
  compareQuantities,
  containerResourceName,
  isExtendedResource,
  isHugePages,
  resourceAmount,
} from '../validation/quantities.js';

/** The resources a container asks for and is limited to. */
export function resourceErrors(checks: Checks, resources: Json | undefined, path: string): void {
  if (!isObject(resources)) return;
  const limits = objectOf(resources.limits);
  const requests = objectOf(resources.requests);
  for (const [field, amounts] of [
    ['limits', limits],
    ['requests', requests],
  ] as const) {
    for (const [name, amount] of Object.entries(amounts)) {
      const where = `${at(path, field)}[${name}]`;
      containerResourceName(checks, name, where);
      resourceAmount(checks, name, amount, where);
    }
  }
  for (const [name, request] of Object.entries(requests)) {
    const limit = limits[name];
    const isFixed = isExtendedResource(name) || isHugePages(name);
    if (limit === undefined) {
      if (isFixed) checks.required(at(path, 'limits'), 'Limit must be set for non overcommitable resources');
      continue;
    }
    const order = compareQuantities(request, limit);
    if (isFixed && order !== 0)
      checks.invalid(
        at(path, 'requests'),
        request,
        `must be equal to ${name} limit of ${canonicalQuantity(limit) ?? ''}`,
      );
    else if (order > 0)
      checks.invalid(
        at(path, 'requests'),
        request,
        `must be less than or equal to ${name} limit of ${canonicalQuantity(limit) ?? ''}`,
      );
  }
  const names = [...Object.keys(limits), ...Object.keys(requests)];
  if (names.some(isHugePages) && !names.includes('cpu') && !names.includes('memory'))
    checks.forbidden(path, 'HugePages require cpu or memory');
}
