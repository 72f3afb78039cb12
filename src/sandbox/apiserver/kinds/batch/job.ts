import {
  childOf,
  cloneJson,
  equalJson,
  isObject,
  type Json,
  type JsonObject,
  numberOf,
  objectOf,
  objectsOf,
  valueIn,
  stringMapOf,
} from '../../../base/json.js';
import type { ApiObject } from '../../object.js';
import { labelValueProblems, nameProblems } from '../../registry/names.js';
import { specOf, type Strategy } from '../../registry/resource.js';
import { matchErrors } from '../apps/template.js';
import { defaultTemplate } from '../pods/pod.js';
import { Checks, isUnset } from '../validation/checks.js';
import { labelSelector } from '../validation/selectors.js';
import { defaultJobSpec, jobSpecErrors } from './job-spec.js';

const uidLabel = 'batch.kubernetes.io/controller-uid';

/** The labels by which a job finds its pods, old and new spelling. */
function jobLabels(job: ApiObject): Record<string, string> {
  return {
    'batch.kubernetes.io/controller-uid': job.metadata.uid,
    'batch.kubernetes.io/job-name': job.metadata.name,
    'controller-uid': job.metadata.uid,
    'job-name': job.metadata.name,
  };
}

/** A selector that the server made must still be what it made. */
function generatedSelectorErrors(checks: Checks, job: ApiObject): void {
  const spec = specOf(job);
  if (spec.manualSelector === true || !isObject(spec.selector)) return;
  const labels = stringMapOf(valueIn(spec.template, 'metadata', 'labels'));
  for (const [key, wanted] of Object.entries(jobLabels(job))) {
    if (labels[key] === undefined)
      checks.required(`spec.template.metadata.labels[${key}]`, `must be '${wanted}'`);
    else if (labels[key] !== wanted)
      checks.invalid('spec.template.metadata.labels', labels, `must be '${wanted}'`);
  }
  const expected = { matchLabels: { [uidLabel]: job.metadata.uid } };
  if (!equalJson(spec.selector, expected))
    checks.invalid('spec.selector', spec.selector, '`selector` not auto-generated');
}

function specErrors(job: ApiObject): Checks {
  const checks = new Checks();
  const spec = specOf(job);
  jobSpecErrors(checks, spec, 'spec');
  if (isObject(spec.selector)) labelSelector(checks, spec.selector, 'spec.selector');
  else checks.required('spec.selector');
  matchErrors(checks, spec);
  return checks;
}

/** A suspended job's pods may still be moved: these parts of the template are free. */
function fixedTemplate(value: Json | undefined): JsonObject {
  const template = cloneJson(objectOf(value));
  delete template.metadata;
  const spec = objectOf(template.spec);
  for (const key of ['nodeSelector', 'tolerations', 'schedulingGates']) delete spec[key];
  if (isObject(spec.affinity)) {
    delete spec.affinity.nodeAffinity;
    if (Object.keys(spec.affinity).length === 0) delete spec.affinity;
  }
  return template;
}

function isMovable(old: ApiObject): boolean {
  const spec = specOf(old);
  return spec.suspend === true && isUnset(objectOf(old.status).startTime);
}

function statusErrors(job: ApiObject, old: ApiObject): Checks {
  const checks = new Checks();
  const status = objectOf(job.status);
  const before = objectOf(old.status);
  for (const key of ['active', 'succeeded', 'failed', 'ready', 'terminating'])
    checks.nonNegative(status[key], `status.${key}`);
  for (const key of ['failed', 'succeeded']) {
    if ((numberOf(status[key]) ?? 0) < (numberOf(before[key]) ?? 0) || (numberOf(status[key]) ?? 0) < 0)
      checks.invalid(`status.${key}`, status[key], `cannot decrease the ${key} counter`);
  }
  const isTrue = (s: JsonObject, type: string): boolean =>
    objectsOf(s.conditions).some((c) => c.type === type && c.status === 'True');
  for (const type of ['Failed', 'Complete', 'FailureTarget', 'SuccessCriteriaMet']) {
    if (isTrue(before, type) && !isTrue(status, type))
      checks.invalid('status.conditions', null, `cannot disable the terminal ${type}=True condition`);
  }
  if (isTrue(status, 'Complete') && isTrue(status, 'Failed'))
    checks.invalid('status.conditions', null, 'cannot set Complete=True and Failed=true conditions');
  if (!isUnset(status.completionTime) && !isTrue(status, 'Complete')) {
    checks.invalid(
      'status.completionTime',
      status.completionTime,
      'cannot set completionTime when there is no Complete=True condition',
    );
  }
  return checks;
}

/** Jobs. */
export const jobStrategy: Strategy = {
  defaults: (draft) => {
    const spec = specOf(draft);
    const labels = stringMapOf(valueIn(spec.template, 'metadata', 'labels'));
    const isSound = Object.values(labels).every((v) => labelValueProblems(v).length === 0);
    if (Object.keys(labels).length > 0 && isSound) draft.metadata.labels ??= labels;
    defaultJobSpec(spec);
    defaultTemplate(spec);
  },
  prepareCreate: (draft) => {
    const spec = specOf(draft);
    if (spec.manualSelector === true) return;
    // A job owns exactly the pods that carry its uid.
    const meta = childOf(childOf(spec, 'template'), 'metadata');
    meta.labels = { ...jobLabels(draft), ...stringMapOf(meta.labels) };
    const matchLabels = childOf(childOf(spec, 'selector'), 'matchLabels');
    matchLabels[uidLabel] ??= draft.metadata.uid;
  },
  validate: (object) => {
    const checks = new Checks();
    const spec = specOf(object);
    generatedSelectorErrors(checks, object);
    checks.errors.push(...specErrors(object).errors);
    const completions = numberOf(spec.completions) ?? 0;
    if (spec.completionMode === 'Indexed' && completions > 0) {
      const longest = `${object.metadata.name}-${completions - 1}`;
      if (nameProblems(longest, 'label').length > 0) {
        checks.invalid(
          'metadata.name',
          object.metadata.name,
          `will not able to create pod with invalid DNS label: ${longest}`,
        );
      }
    }
    return checks.errors;
  },
  validateUpdate: (object, old) => {
    // Kubernetes checks the spec a second time here.
    const checks = specErrors(object);
    const spec = specOf(object);
    const before = specOf(old);
    if (spec.completionMode !== 'Indexed')
      checks.immutable(spec.completions, before.completions, 'spec.completions');
    else if (spec.completions !== before.completions && spec.completions !== spec.parallelism) {
      checks.invalid(
        'spec.completions',
        spec.completions,
        'can only be modified in tandem with spec.parallelism',
      );
    }
    checks.immutable(spec.selector, before.selector, 'spec.selector');
    const isSame = isMovable(old)
      ? equalJson(fixedTemplate(spec.template), fixedTemplate(before.template))
      : equalJson(spec.template, before.template);
    if (!isSame) checks.invalid('spec.template', spec.template, 'field is immutable');
    for (const key of [
      'completionMode',
      'podFailurePolicy',
      'backoffLimitPerIndex',
      'managedBy',
      'successPolicy',
    ])
      checks.immutable(spec[key], before[key], `spec.${key}`);
    return checks.errors;
  },
  validateStatus: (object, old) => statusErrors(object, old).errors,
};
