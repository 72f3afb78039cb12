import {
  isObject,
  type Json,
  type JsonObject,
  numberOf,
  objectOf,
  objectsOf,
  stringOf,
  stringsOf,
} from '../../../base/json.js';
import { labelValueProblems, nameProblems } from '../../registry/names.js';
import { at, type Checks, isUnset } from '../validation/checks.js';
import { labelSelector, nodeSelector, nodeSelectorTerm, qualifiedName } from '../validation/selectors.js';

export const taintEffects = ['NoExecute', 'NoSchedule', 'PreferNoSchedule'];
const required = 'requiredDuringSchedulingIgnoredDuringExecution';
const preferred = 'preferredDuringSchedulingIgnoredDuringExecution';

/** What a pod puts up with. */
export function tolerationErrors(checks: Checks, tolerations: Json | undefined, path: string): void {
  checks.each(tolerations, path, (toleration, where) => {
    const operator = stringOf(toleration.operator);
    const operatorPath = at(where, 'operator');
    if (!isUnset(toleration.key)) qualifiedName(checks, toleration.key, at(where, 'key'));
    else if (operator !== 'Exists') {
      checks.invalid(
        operatorPath,
        operator,
        'operator must be Exists when `key` is empty, which means "match all values and all keys"',
      );
    }
    if (toleration.tolerationSeconds !== undefined && toleration.effect !== 'NoExecute') {
      checks.invalid(
        at(where, 'effect'),
        toleration.effect ?? '',
        "effect must be 'NoExecute' when `tolerationSeconds` is set",
      );
    }
    const value = stringOf(toleration.value);
    if (operator === '' || operator === 'Equal') {
      for (const problem of labelValueProblems(value)) checks.invalid(operatorPath, value, problem);
    } else if (operator !== 'Exists') checks.notSupported(operatorPath, operator, ['Equal', 'Exists']);
    else if (value !== '')
      checks.invalid(operatorPath, toleration, "value must be empty when `operator` is 'Exists'");
    if (!isUnset(toleration.effect)) checks.oneOf(toleration.effect, at(where, 'effect'), taintEffects);
  });
}

function weightErrors(checks: Checks, term: JsonObject, path: string): void {
  const weight = numberOf(term.weight) ?? 0;
  if (weight < 1 || weight > 100) checks.invalid(at(path, 'weight'), weight, 'must be in the range 1-100');
}

function podTermErrors(checks: Checks, term: JsonObject, path: string): void {
  labelSelector(checks, term.labelSelector, at(path, 'labelSelector'));
  labelSelector(checks, term.namespaceSelector, at(path, 'namespaceSelector'));
  for (const name of stringsOf(term.namespaces))
    for (const problem of nameProblems(name, 'label')) checks.invalid(at(path, 'namespace'), name, problem);
  if (isUnset(term.topologyKey)) checks.required(at(path, 'topologyKey'), 'can not be empty');
  qualifiedName(checks, term.topologyKey, at(path, 'topologyKey'));
}

/** Where a pod wants to be. */
export function affinityErrors(checks: Checks, affinity: Json | undefined, path: string): void {
  if (!isObject(affinity)) return;
  const node = objectOf(affinity.nodeAffinity);
  const nodePath = at(path, 'nodeAffinity');
  if (isObject(node[required])) nodeSelector(checks, node[required], at(nodePath, required));
  checks.each(node[preferred], at(nodePath, preferred), (term, where) => {
    weightErrors(checks, term, where);
    nodeSelectorTerm(checks, objectOf(term.preference), at(where, 'preference'));
  });
  for (const kind of ['podAffinity', 'podAntiAffinity']) {
    const pods = objectOf(affinity[kind]);
    checks.each(pods[required], at(path, `${kind}.${required}`), (term, where) => {
      podTermErrors(checks, term, where);
    });
    checks.each(pods[preferred], at(path, `${kind}.${preferred}`), (term, where) => {
      weightErrors(checks, term, where);
      podTermErrors(checks, objectOf(term.podAffinityTerm), at(where, 'podAffinityTerm'));
    });
  }
}

/** How a pod's replicas spread. */
export function spreadErrors(checks: Checks, constraints: Json | undefined, path: string): void {
  const all = objectsOf(constraints);
  checks.each(constraints, path, (constraint, where, i) => {
    if ((numberOf(constraint.maxSkew) ?? 0) <= 0)
      checks.invalid(at(where, 'maxSkew'), constraint.maxSkew ?? 0, 'must be greater than zero');
    if (isUnset(constraint.topologyKey)) checks.required(at(where, 'topologyKey'), 'can not be empty');
    else qualifiedName(checks, constraint.topologyKey, at(where, 'topologyKey'));
    const when = stringOf(constraint.whenUnsatisfiable);
    checks.oneOf(when, at(where, 'whenUnsatisfiable'), ['DoNotSchedule', 'ScheduleAnyway']);
    const repeated = all
      .slice(i + 1)
      .some((o) => o.topologyKey === constraint.topologyKey && o.whenUnsatisfiable === when);
    if (repeated) {
      checks.duplicate(
        at(where, '{topologyKey, whenUnsatisfiable}'),
        `{${stringOf(constraint.topologyKey)}, ${when}}`,
      );
    }
    const domains = numberOf(constraint.minDomains);
    if (domains !== undefined && domains <= 0)
      checks.invalid(at(where, 'minDomains'), domains, 'must be greater than zero');
    if (domains !== undefined && when !== 'DoNotSchedule') {
      checks.invalid(
        at(where, 'minDomains'),
        domains,
        `can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ${when}`,
      );
    }
    for (const key of ['nodeAffinityPolicy', 'nodeTaintsPolicy']) {
      if (constraint[key] !== undefined) checks.oneOf(constraint[key], at(where, key), ['Honor', 'Ignore']);
    }
    if (stringsOf(constraint.matchLabelKeys).length > 0 && !isObject(constraint.labelSelector))
      checks.forbidden(at(where, 'matchLabelKeys'), 'must not be specified when labelSelector is not set');
    labelSelector(checks, constraint.labelSelector, at(where, 'labelSelector'));
  });
}
