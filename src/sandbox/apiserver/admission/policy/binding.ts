import { isObject, type JsonObject, objectOf, stringOf, stringsOf } from '../../../base/json.js';
import type { ApiObject } from '../../object.js';
import type { LabelQuery } from '../../registry/label-selector.js';
import type { Registry } from '../../registry/registry.js';
import type { Store } from '../../storage/store.js';
import { type MatchCriteria, queryOf } from '../match/matcher.js';
import { criteriaOf, type ParamKind } from './policy.js';

/** Where a binding finds the parameters of its policy. */
export interface ParamRef {
  readonly name: string | undefined;
  readonly namespace: string | undefined;
  readonly selector: LabelQuery | undefined;
  readonly deniesWhenAbsent: boolean;
}

/** A ValidatingAdmissionPolicyBinding. */
export interface Binding {
  readonly name: string;
  readonly policyName: string;
  /** Undefined: whatever the policy matches. */
  readonly criteria: MatchCriteria | undefined;
  readonly paramRef: ParamRef | undefined;
  readonly actions: readonly string[];
}

const everything = {
  operations: ['*'],
  groups: ['*'],
  versions: ['*'],
  resources: ['*/*'],
  scope: '*',
  names: [],
};

function paramRefOf(ref: JsonObject): ParamRef {
  return {
    name: typeof ref.name === 'string' && ref.name !== '' ? ref.name : undefined,
    namespace: stringOf(ref.namespace) === '' ? undefined : stringOf(ref.namespace),
    selector: isObject(ref.selector) ? queryOf(ref.selector) : undefined,
    deniesWhenAbsent: ref.parameterNotFoundAction !== 'Allow',
  };
}

/** Reads a binding. */
export function bindingOf(object: ApiObject): Binding {
  const spec = objectOf(object.spec);
  const criteria = isObject(spec.matchResources) ? criteriaOf(spec.matchResources) : undefined;
  return {
    name: object.metadata.name,
    policyName: stringOf(spec.policyName),
    criteria:
      criteria === undefined || criteria.rules.length > 0 ? criteria : { ...criteria, rules: [everything] },
    paramRef: isObject(spec.paramRef) ? paramRefOf(spec.paramRef) : undefined,
    actions: stringsOf(spec.validationActions),
  };
}

/** A binding that cannot be evaluated as it stands; the policy's failurePolicy decides what that means. */
export class PolicyBindingProblem extends Error {
  override readonly name = 'BindingProblem';
}

/**
 * The parameters to evaluate a policy with, one evaluation for each; an
 * undefined entry stands for a policy without parameters. Throws BindingProblem.
 */
export function paramsOf(
  {
    paramKind,
    binding,
    namespace,
  }: { paramKind: ParamKind | undefined; binding: Binding; namespace: string | undefined },
  registry: Registry,
  store: Store,
): readonly (ApiObject | undefined)[] {
  const ref = binding.paramRef;
  if (paramKind === undefined || ref === undefined) return [undefined];
  const resource = registry.findKind(paramKind.apiVersion, paramKind.kind);
  if (resource === undefined) {
    throw new PolicyBindingProblem(
      `failed to find resource referenced by paramKind: '${paramKind.apiVersion}, Kind=${paramKind.kind}'`,
    );
  }
  let where: string | undefined;
  if (resource.namespaced) {
    where = ref.namespace ?? namespace;
    if (where === undefined) {
      throw new PolicyBindingProblem(
        'cannot use namespaced paramRef in policy binding that matches cluster-scoped resources',
      );
    }
  } else if (ref.namespace !== undefined) {
    throw new PolicyBindingProblem(
      'paramRef.namespace must not be provided for a cluster-scoped `paramKind`',
    );
  }
  const found =
    ref.name === undefined
      ? store.list(resource.storage, where).filter((o) => ref.selector?.matches(o.metadata.labels) === true)
      : [store.get(resource.storage, where, ref.name)].filter((o) => o !== undefined);
  if (found.length === 0 && ref.deniesWhenAbsent) {
    throw new PolicyBindingProblem('no params found for policy binding with `Deny` parameterNotFoundAction');
  }
  return found;
}
