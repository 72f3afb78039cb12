import type { FieldError } from '../../api-error.js';
import {
  cloneJson,
  equalJson,
  isObject,
  type JsonObject,
  numberOf,
  objectOf,
  objectsOf,
  stringOf,
} from '../../../base/json.js';
import type { ApiObject } from '../../object.js';
import { specOf } from '../../registry/resource.js';
import { Checks, isUnset } from '../validation/checks.js';

const changeable =
  'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)';

/** The spec without what may change. */
function fixedPart(pod: ApiObject, isGated: boolean): JsonObject {
  const spec = cloneJson(specOf(pod));
  for (const list of ['containers', 'initContainers']) for (const c of objectsOf(spec[list])) delete c.image;
  for (const key of ['activeDeadlineSeconds', 'tolerations', 'schedulingGates']) delete spec[key];
  if (!isGated) return spec;
  // Before scheduling a pod may still be narrowed down.
  delete spec.nodeSelector;
  if (isObject(spec.affinity)) {
    delete spec.affinity.nodeAffinity;
    if (Object.keys(spec.affinity).length === 0) delete spec.affinity;
  }
  return spec;
}

function tolerationErrors(checks: Checks, now: JsonObject, before: JsonObject): void {
  const withoutSeconds = ({ tolerationSeconds: _s, ...rest }: JsonObject): JsonObject => rest;
  const kept = objectsOf(now.tolerations);
  const isMissing = objectsOf(before.tolerations).some(
    (old) => !kept.some((t) => equalJson(withoutSeconds(t), withoutSeconds(old))),
  );
  if (isMissing)
    checks.forbidden(
      'spec.tolerations',
      'existing toleration can not be modified except its tolerationSeconds',
    );
}

function deadlineErrors(checks: Checks, now: JsonObject, before: JsonObject): void {
  const path = 'spec.activeDeadlineSeconds';
  const old = numberOf(before.activeDeadlineSeconds);
  const next = numberOf(now.activeDeadlineSeconds);
  if (old === undefined) return;
  if (next === undefined) checks.invalid(path, null, 'must not update from a positive integer to nil value');
  else if (next > old) checks.invalid(path, next, 'must be less than or equal to previous value');
}

function gateErrors(checks: Checks, now: JsonObject, before: JsonObject): void {
  const old = new Set(objectsOf(before.schedulingGates).map((g) => stringOf(g.name)));
  checks.each(now.schedulingGates, 'spec.schedulingGates', (gate, where) => {
    if (!old.has(stringOf(gate.name)))
      checks.forbidden(
        `${where}.name`,
        `only deletion is allowed, but found new scheduling gate '${stringOf(gate.name)}'`,
      );
  });
}

/** A gated pod's node selector may only be narrowed. */
function gatedErrors(checks: Checks, now: JsonObject, before: JsonObject): void {
  const next = objectOf(now.nodeSelector);
  const isWidened = Object.entries(objectOf(before.nodeSelector)).some(([k, v]) => next[k] !== v);
  if (isWidened)
    checks.invalid(
      'spec.nodeSelector',
      next,
      'only additions to spec.nodeSelector are allowed (no mutations or deletions)',
    );
}

/** What may not change in a pod that exists. */
export function podUpdateErrors(pod: ApiObject, old: ApiObject): FieldError[] {
  const checks = new Checks();
  const now = specOf(pod);
  const before = specOf(old);
  for (const list of ['containers', 'initContainers']) {
    if (objectsOf(now[list]).length !== objectsOf(before[list]).length) {
      checks.forbidden(`spec.${list}`, 'pod updates may not add or remove containers');
      return checks.errors;
    }
  }
  // Said a second time: so does Kubernetes.
  for (const list of ['initContainers', 'containers']) {
    checks.each(now[list], `spec.${list}`, (container, where) => {
      if (isUnset(container.image)) checks.required(`${where}.image`);
    });
  }
  deadlineErrors(checks, now, before);
  tolerationErrors(checks, now, before);
  gateErrors(checks, now, before);
  const isGated = objectsOf(before.schedulingGates).length > 0;
  if (isGated) gatedErrors(checks, now, before);
  const fixed = fixedPart(pod, isGated);
  if ((numberOf(before.terminationGracePeriodSeconds) ?? 0) < 0 && now.terminationGracePeriodSeconds === 1)
    fixed.terminationGracePeriodSeconds = before.terminationGracePeriodSeconds;
  if (!equalJson(fixed, fixedPart(old, isGated))) checks.forbidden('spec', changeable);
  return checks.errors;
}
