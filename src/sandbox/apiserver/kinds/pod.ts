import { type FieldError, fieldError } from '../http/api-error.js';
import { cloneJson, equalJson, isObject, type JsonObject, objectOf, objectsOf, stringOf } from '../json.js';
import type { KubeObject } from '../object.js';
import { specOf, type Strategy } from '../registry/resource.js';
import { defaultPodSpec } from './pod-defaults.js';
import { podSpecErrors } from './pod-validation.js';
import { parseQuantity } from '../../../kube/quantity.js';

/** Guaranteed, Burstable or BestEffort, from the containers' resources. */
function qosClass(spec: JsonObject): string {
  const containers = [...objectsOf(spec.containers), ...objectsOf(spec.initContainers)];
  let isGuaranteed = containers.length > 0;
  let hasAny = false;
  for (const c of containers) {
    const limits = objectOf(objectOf(c.resources).limits);
    const requests = objectOf(objectOf(c.resources).requests);
    for (const name of ['cpu', 'memory']) {
      if (limits[name] !== undefined || requests[name] !== undefined) hasAny = true;
      const isPinned =
        limits[name] !== undefined &&
        parseQuantity(limits[name]) === parseQuantity(requests[name] ?? limits[name]);
      if (!isPinned) isGuaranteed = false;
    }
  }
  if (isGuaranteed) return 'Guaranteed';
  return hasAny ? 'Burstable' : 'BestEffort';
}

/** What may change in a running pod: images, deadlines (down), tolerations (added), gates (removed). */
function comparable(pod: KubeObject): JsonObject {
  const spec = cloneJson(specOf(pod));
  for (const list of ['containers', 'initContainers']) {
    for (const c of objectsOf(spec[list])) delete c.image;
  }
  for (const key of [
    'activeDeadlineSeconds',
    'tolerations',
    'schedulingGates',
    'terminationGracePeriodSeconds',
    'ephemeralContainers',
  ]) {
    delete spec[key];
  }
  // Binding sets it once; the comparison of the rest covers everything else.
  delete spec.nodeName;
  return spec;
}

function updateErrors(pod: KubeObject, old: KubeObject): FieldError[] {
  const errors: FieldError[] = [];
  const before = stringOf(specOf(old).nodeName);
  const isRebound = before !== '' && stringOf(specOf(pod).nodeName) !== before;
  if (isRebound || !equalJson(comparable(pod), comparable(old))) {
    errors.push(
      fieldError.forbidden(
        'spec',
        'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)',
      ),
    );
  }
  return errors;
}

/** Pods. */
export const podStrategy: Strategy = {
  defaults: (draft) => {
    const spec = specOf(draft);
    defaultPodSpec(spec);
    spec.enableServiceLinks ??= true;
    // Admission may have given a new pod requests and limits since its status was made.
    const isNew = (draft.metadata.resourceVersion ?? '') === '';
    if (isNew && isObject(draft.status)) draft.status.qosClass = qosClass(spec);
  },
  prepareCreate: (draft) => {
    const spec = specOf(draft);
    draft.status = { phase: 'Pending', qosClass: qosClass(spec) };
  },
  validate: (pod) => podSpecErrors(specOf(pod), 'spec'),
  validateUpdate: updateErrors,
};

/** Defaults of a pod template. */
export function defaultTemplate(spec: JsonObject): void {
  const template = spec.template;
  if (!isObject(template)) return;
  const podSpec = template.spec;
  if (isObject(podSpec)) defaultPodSpec(podSpec);
}
