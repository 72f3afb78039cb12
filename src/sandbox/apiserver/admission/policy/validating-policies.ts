import type { Logger } from '#base/telemetry/log.js';
import { ApiError, apiError } from '../../api-error.js';
import { celValue } from '../../cel/values.js';
import type { ApiObject } from '../../object.js';
import type { Authorizer } from '../../rbac/authorizer.js';
import type { Registry } from '../../registry/registry.js';
import type { ServedResource } from '../../registry/resource.js';
import type { Store } from '../../storage/store.js';
import type { AdmissionPlugin, AdmissionRequest } from '../../registry/admission.js';
import { celContext } from '../match/cel-context.js';
import { isExempt, Matcher } from '../match/matcher.js';
import { targetOf } from '../match/rules.js';
import { inVersion } from '../match/versions.js';
import { type Binding, bindingOf, PolicyBindingProblem, paramsOf } from './binding.js';
import { violationsOf, type Violation } from './evaluate.js';
import { type Policy, policyOf } from './policy.js';

const group = 'admissionregistration.k8s.io';
const codes: Readonly<Record<string, number>> = {
  Forbidden: 403,
  RequestEntityTooLarge: 413,
};

export interface PolicyDeps {
  readonly store: Store;
  readonly registry: Registry;
  readonly authorizer: Authorizer;
  readonly logger: Logger;
}

interface Denial {
  readonly policy: string;
  readonly binding: string;
  readonly violation: Violation;
}

/** Evaluates the bound ValidatingAdmissionPolicies. */
export function validatingPolicies(deps: PolicyDeps): AdmissionPlugin {
  const matcher = new Matcher(deps.store, deps.registry);
  const policies = new WeakMap<ApiObject, Policy>();
  const bindings = new WeakMap<ApiObject, Binding>();
  const known = <T>(cache: WeakMap<ApiObject, T>, object: ApiObject, read: (o: ApiObject) => T): T => {
    const value = cache.get(object) ?? read(object);
    cache.set(object, value);
    return value;
  };
  return {
    name: 'ValidatingAdmissionPolicy',
    isConfigured: true,
    validate: async (request) => {
      if (isExempt(request)) return;
      const bound = deps.store.list(`validatingadmissionpolicybindings.${group}`);
      if (bound.length === 0) return;
      const denials: Denial[] = [];
      for (const object of bound) {
        const binding = known(bindings, object, bindingOf);
        const stored = deps.store.get(`validatingadmissionpolicies.${group}`, undefined, binding.policyName);
        if (stored === undefined) continue;
        const policy = known(policies, stored, policyOf);
        const as = matcher.match(policy.criteria, request);
        if (as === undefined) continue;
        if (binding.criteria !== undefined && matcher.match(binding.criteria, request) === undefined)
          continue;
        for (const violation of await evaluate(policy, binding, request, as)) {
          enforce(
            { policy: policy.name, binding: binding.name, violation },
            policy,
            binding,
            request,
            denials,
          );
        }
      }
      const [first] = denials;
      if (first !== undefined) throw refusal(first, request);
    },
  };

  async function evaluate(
    policy: Policy,
    binding: Binding,
    request: AdmissionRequest,
    as: ServedResource,
  ): Promise<Violation[]> {
    const { namespace } = targetOf(request);
    let params: readonly (ApiObject | undefined)[];
    try {
      params = paramsOf({ paramKind: policy.paramKind, binding, namespace }, deps.registry, deps.store);
    } catch (error) {
      if (!(error instanceof PolicyBindingProblem)) throw error;
      return [{ message: `failed to configure binding: ${error.message}`, reason: 'Invalid', isError: true }];
    }
    const context = {
      ...celContext(request, as, await inVersion(request, as), deps.authorizer),
      namespaceObject: celValue(matcher.namespaceOf(request) ?? null, undefined),
    };
    return params.flatMap((p) => violationsOf(policy, context, p));
  }

  function enforce(
    denial: Denial,
    policy: Policy,
    binding: Binding,
    request: AdmissionRequest,
    denials: Denial[],
  ): void {
    const { violation } = denial;
    if (violation.isError && policy.ignoresFailures) {
      deps.logger.warn('a policy was skipped: it could not be evaluated', {
        policy: policy.name,
        binding: binding.name,
        error: violation.message,
      });
      return;
    }
    for (const action of violation.isError ? ['Deny'] : binding.actions) {
      if (action === 'Deny') denials.push(denial);
      else if (action === 'Warn') {
        request.warnings?.push(
          `Validation failed for ValidatingAdmissionPolicy '${policy.name}' with binding '${binding.name}': ${violation.message}`,
        );
      } else {
        deps.logger.info('a policy of which violations are audited was violated', {
          policy: policy.name,
          binding: binding.name,
          message: violation.message,
        });
      }
    }
  }
}

function refusal({ policy, binding, violation }: Denial, request: AdmissionRequest): ApiError {
  const message = `ValidatingAdmissionPolicy '${policy}' with binding '${binding}' denied request: ${violation.message}`;
  const forbidden = apiError.forbidden(request.resource, targetOf(request).name, message);
  return new ApiError(codes[violation.reason] ?? 422, violation.reason, forbidden.message, {
    ...forbidden.details,
    causes: [{ message }],
  });
}
