import { ExactQuantity } from '../../../base/exact-quantity.js';
import { objectOf } from '../../../base/json.js';
import type { ApiObject } from '../../object.js';
import type { Registry } from '../../registry/registry.js';
import type { ServedResource } from '../../registry/resource.js';
import type { Store } from '../../storage/store.js';
import { type Amounts, addTo, amountsOf } from '../pods/amounts.js';
import { isInScope, scopesOf } from './scopes.js';
import { isCountedIn, usageOf } from './usage.js';

/** The hard limits of a quota. */
export function hardOf(quota: ApiObject): Amounts {
  return amountsOf(objectOf(quota.spec).hard);
}

function limitedResources(names: readonly string[], registry: Registry): ServedResource[] {
  const seen = new Set<string>();
  return registry.all().filter((r) => {
    if (!r.namespaced || r.verbs !== undefined || seen.has(r.storage)) return false;
    if (!names.some((name) => isCountedIn(r, name))) return false;
    seen.add(r.storage);
    return true;
  });
}

/** What is used of each limit of a quota right now; limits on nothing that is served are left out. */
export function usedOf(quota: ApiObject, registry: Registry, store: Store): Map<string, ExactQuantity> {
  const names = [...hardOf(quota).keys()];
  const scopes = scopesOf(objectOf(quota.spec));
  const used = new Map<string, ExactQuantity>();
  for (const resource of limitedResources(names, registry)) {
    const counted = names.filter((name) => isCountedIn(resource, name));
    for (const name of counted) if (!used.has(name)) used.set(name, ExactQuantity.zero);
    for (const object of store.list(resource.storage, quota.metadata.namespace)) {
      if (!isInScope(scopes, resource, object)) continue;
      const usage = usageOf(resource, object);
      const part = new Map<string, ExactQuantity>();
      for (const name of counted) {
        const amount = usage.get(name);
        if (amount !== undefined) part.set(name, amount);
      }
      addTo(used, part);
    }
  }
  return used;
}
