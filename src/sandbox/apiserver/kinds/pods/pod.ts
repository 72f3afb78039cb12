import { parseQuantity } from '../../../base/quantity.js';
import type { FieldError } from '../../api-error.js';
import { childOf, isObject, type JsonObject, objectOf, objectsOf, stringOf } from '../../../base/json.js';
import type { ApiObject } from '../../object.js';
import { timestamp } from '../../../base/timestamp.js';
import { specOf, type Strategy } from '../../registry/resource.js';
import { Checks } from '../validation/checks.js';
import { qualifiedName } from '../validation/selectors.js';
import { defaultPod, defaultPodSpec } from './defaults.js';
import { newPodErrors, podSpecErrors } from './spec-errors.js';
import { podUpdateErrors } from './update-errors.js';

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

/** Kubelets before 1.30 read a container's AppArmor profile from an annotation. */
function annotateAppArmor(pod: ApiObject): void {
  const spec = specOf(pod);
  const ofPod = objectOf(spec.securityContext).appArmorProfile;
  for (const list of ['initContainers', 'containers']) {
    for (const container of objectsOf(spec[list])) {
      const profile = objectOf(container.securityContext).appArmorProfile ?? ofPod;
      if (!isObject(profile)) continue;
      const key = `container.apparmor.security.beta.kubernetes.io/${stringOf(container.name)}`;
      const values: Readonly<Record<string, string>> = {
        RuntimeDefault: 'runtime/default',
        Unconfined: 'unconfined',
        Localhost: `localhost/${stringOf(profile.localhostProfile)}`,
      };
      const value = values[stringOf(profile.type)];
      if (value !== undefined) pod.metadata.annotations = { [key]: value, ...pod.metadata.annotations };
    }
  }
}

/** A pod that must not be scheduled yet says so in its status. */
function gatedCondition(spec: JsonObject): JsonObject[] {
  if (objectsOf(spec.schedulingGates).length === 0) return [];
  return [
    {
      type: 'PodScheduled',
      status: 'False',
      reason: 'SchedulingGated',
      message: 'Scheduling is blocked due to non-empty scheduling gates',
      lastProbeTime: null,
      lastTransitionTime: timestamp(),
    },
  ];
}

function validateStatus(pod: ApiObject, old: ApiObject): FieldError[] {
  const checks = new Checks();
  // The path is Kubernetes' own.
  checks.each(objectOf(pod.status).conditions, 'metadata.conditions', (condition, where) => {
    qualifiedName(checks, condition.type, `${where}.Type`);
  });
  if (stringOf(specOf(pod).nodeName) !== stringOf(specOf(old).nodeName))
    checks.forbidden('spec.nodeName', 'may not be changed directly');
  return checks.errors;
}

/** Pods. */
export const podStrategy: Strategy = {
  // Kubelets report what they run, and have no say in who owns it.
  keptByStatus: ['ownerReferences'],
  defaults: (draft) => {
    const spec = specOf(draft);
    defaultPodSpec(spec);
    defaultPod(spec);
    // Admission may have given a new pod requests and limits since its status was made.
    const isNew = (draft.metadata.resourceVersion ?? '') === '';
    if (isNew && isObject(draft.status)) draft.status.qosClass = qosClass(spec);
  },
  prepareCreate: (draft) => {
    const spec = specOf(draft);
    const conditions = gatedCondition(spec);
    draft.status = {
      phase: 'Pending',
      qosClass: qosClass(spec),
      ...(conditions.length > 0 ? { conditions } : {}),
    };
    annotateAppArmor(draft);
  },
  validate: (pod) => {
    const isNew = pod.metadata.resourceVersion === undefined || pod.metadata.resourceVersion === '';
    return [...podSpecErrors(specOf(pod), 'spec'), ...(isNew ? newPodErrors(specOf(pod)) : [])];
  },
  validateUpdate: podUpdateErrors,
  validateStatus,
};

/** Defaults of a pod template. */
export function defaultTemplate(spec: JsonObject): void {
  if (isObject(spec.template)) defaultPodSpec(childOf(spec.template, 'spec'));
}
