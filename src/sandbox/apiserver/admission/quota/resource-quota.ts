import { ExactQuantity } from '../../../base/exact-quantity.js';
import { apiError } from '../../api-error.js';
import { objectOf } from '../../../base/json.js';
import type { ApiObject } from '../../object.js';
import type { Registry } from '../../registry/registry.js';
import type { Store } from '../../storage/store.js';
import type { AdmissionPlugin, AdmissionRequest } from '../../registry/admission.js';
import { type Amounts, difference, shown } from '../pods/amounts.js';
import { hardOf, usedOf } from './quota-usage.js';
import { isInScope, isPodInScope, type ScopeRequirement, scopesOf } from './scopes.js';
import { isCountedIn, unspecified, usageOf } from './usage.js';

const nothing: Amounts = new Map();
/** Updates of these may change what they use; of everything else only the number counts. */
const changing: ReadonlySet<string> = new Set(['services', 'persistentvolumeclaims']);

export interface QuotaDeps {
  readonly store: Store;
  readonly registry: Registry;
  /** Priority classes that pods may only have where a quota covers them. */
  readonly limitedPriorityClasses: readonly string[];
}

/**
 * Holds namespaces to their quotas. Runs in the same turn as the write, after
 * every other check: what it counted cannot have changed when the write happens.
 */
export function resourceQuota({ store, registry, limitedPriorityClasses }: QuotaDeps): AdmissionPlugin {
  const limitedScope: ScopeRequirement = {
    scope: 'PriorityClass',
    operator: 'In',
    values: limitedPriorityClasses,
  };
  return {
    name: 'ResourceQuota',
    commit: (request) => {
      const { operation, resource, object, old, subresource } = request;
      const namespace = object.metadata.namespace;
      if (namespace === undefined || (subresource ?? '') !== '') return;
      const isCreate = operation === 'CREATE';
      if (!isCreate && !(operation === 'UPDATE' && resource.group === '' && changing.has(resource.plural)))
        return;
      const quotas = store.list('resourcequotas', namespace);
      const isPod = resource.storage === 'pods';
      const isLimited = isPod && limitedPriorityClasses.length > 0 && isPodInScope(limitedScope, object);
      if (quotas.length === 0 && !isLimited) return;
      const covering = quotas.filter((quota) => {
        const spec = objectOf(quota.spec);
        const isAbout = [...hardOf(quota).keys()].some((name) => isCountedIn(resource, name));
        return isAbout && isInScope(scopesOf(spec), resource, object);
      });
      if (isLimited && !covering.some(limitsPriority)) {
        throw forbidden(
          request,
          `insufficient quota to match these scopes: [{PriorityClass In [${limitedPriorityClasses.join(' ')}]}]`,
        );
      }
      for (const quota of covering) {
        if (isPod && isCreate) {
          const problem = unspecified(object, [...hardOf(quota).keys()]);
          if (problem !== undefined)
            throw forbidden(request, `failed quota: ${quota.metadata.name}: ${problem}`);
        }
        const before = old !== undefined && isInScope(scopesOf(objectOf(quota.spec)), resource, old);
        check(
          quota,
          difference(usageOf(resource, object), before ? usageOf(resource, old) : nothing),
          request,
        );
      }
    },
  };

  function check(quota: ApiObject, delta: Amounts, request: AdmissionRequest): void {
    const hard = hardOf(quota);
    const asked = new Map([...delta].filter(([name, amount]) => hard.has(name) && amount.nano > 0n));
    if (asked.size === 0) return;
    const used = usedOf(quota, registry, store);
    const exceeded = [...asked.keys()].filter((name) => {
      const after = (used.get(name) ?? ExactQuantity.zero).plus(asked.get(name) ?? ExactQuantity.zero);
      return after.compare(hard.get(name) ?? ExactQuantity.zero) > 0;
    });
    if (exceeded.length === 0) return;
    const only = (amounts: Amounts): string =>
      shown(new Map(exceeded.map((name) => [name, amounts.get(name) ?? ExactQuantity.zero])));
    throw forbidden(
      request,
      `exceeded quota: ${quota.metadata.name}, requested: ${only(asked)}, used: ${only(used)}, limited: ${only(hard)}`,
    );
  }
}

function limitsPriority(quota: ApiObject): boolean {
  return scopesOf(objectOf(quota.spec)).some((s) => s.scope === 'PriorityClass');
}

function forbidden({ resource, object }: AdmissionRequest, detail: string): Error {
  return apiError.forbidden(resource, object.metadata.name, detail);
}
