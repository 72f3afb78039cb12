import type { Json } from '../../../base/json.js';
import type { ApiObject } from '../../object.js';
import { LabelQuery } from '../../registry/label-selector.js';
import type { Registry } from '../../registry/registry.js';
import type { ServedResource } from '../../registry/resource.js';
import type { Store } from '../../storage/store.js';
import type { AdmissionRequest } from '../../registry/admission.js';
import { type MatchRule, ruleMatches, targetOf } from './rules.js';

/** Which requests a webhook or policy is for. */
export interface MatchCriteria {
  readonly rules: readonly MatchRule[];
  readonly excluded: readonly MatchRule[];
  readonly namespaceSelector: LabelQuery;
  readonly objectSelector: LabelQuery;
  /** Also match requests made through another version of the same resource. */
  readonly isEquivalent: boolean;
}

/** A selector that may be absent: everything. */
export function queryOf(value: Json | undefined): LabelQuery {
  return value === undefined || value === null ? new LabelQuery([]) : LabelQuery.fromObject(value);
}

const configurationGroup = 'admissionregistration.k8s.io';
const exempt: ReadonlySet<string> = new Set([
  'validatingwebhookconfigurations',
  'mutatingwebhookconfigurations',
  'validatingadmissionpolicies',
  'validatingadmissionpolicybindings',
  'mutatingadmissionpolicies',
  'mutatingadmissionpolicybindings',
]);

/** Nothing may intercept writes of its own configuration: nobody could ever take it back. */
export function isExempt({ resource }: AdmissionRequest): boolean {
  return resource.group === configurationGroup && exempt.has(resource.plural);
}

/** Decides for which requests webhooks and policies are called. */
export class Matcher {
  readonly #store: Store;
  readonly #registry: Registry;

  constructor(store: Store, registry: Registry) {
    this.#store = store;
    this.#registry = registry;
  }

  /** The version of the resource under which a request matches; undefined when it does not. */
  match(criteria: MatchCriteria, request: AdmissionRequest): ServedResource | undefined {
    if (!this.#selects(criteria.objectSelector, request)) return undefined;
    const as = this.#ruled(criteria, request);
    return as !== undefined && this.#inNamespace(criteria.namespaceSelector, request) ? as : undefined;
  }

  /** The namespace a request is in; undefined for requests outside of namespaces. */
  namespaceOf(request: AdmissionRequest): ApiObject | undefined {
    const { namespace } = targetOf(request);
    if (namespace === undefined) return undefined;
    if (request.resource.storage === 'namespaces' && request.operation !== 'DELETE') return request.object;
    return this.#store.get('namespaces', undefined, namespace);
  }

  #ruled(criteria: MatchCriteria, request: AdmissionRequest): ServedResource | undefined {
    const matches = (rules: readonly MatchRule[], resource: ServedResource): boolean => {
      const target = {
        operation: request.operation,
        group: resource.group,
        version: resource.version,
        plural: resource.plural,
        subresource: request.subresource ?? '',
        ...targetOf(request),
      };
      return rules.some((rule) => ruleMatches(rule, target));
    };
    const others = criteria.isEquivalent ? this.#equivalents(request.resource) : [];
    const known = [request.resource, ...others];
    if (known.some((r) => matches(criteria.excluded, r))) return undefined;
    return known.find((r) => matches(criteria.rules, r));
  }

  #equivalents(resource: ServedResource): ServedResource[] {
    return this.#registry.all().filter((r) => r.storage === resource.storage && r !== resource);
  }

  #selects(selector: LabelQuery, { object, old, operation }: AdmissionRequest): boolean {
    if (selector.isEmpty) return true;
    if (operation === 'CONNECT') return false;
    return (
      selector.matches(object.metadata.labels) || (old !== undefined && selector.matches(old.metadata.labels))
    );
  }

  #inNamespace(selector: LabelQuery, request: AdmissionRequest): boolean {
    if (selector.isEmpty || targetOf(request).namespace === undefined) return true;
    return selector.matches(this.namespaceOf(request)?.metadata.labels);
  }
}
