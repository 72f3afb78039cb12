import { isObject, objectOf, valueIn, stringMapOf } from '../../../base/json.js';
import { specOf, type Strategy } from '../../registry/resource.js';
import { defaultTemplate } from '../pods/pod.js';
import { Checks } from '../validation/checks.js';
import { labels } from '../validation/selectors.js';
import {
  countErrors,
  lastingTemplateErrors,
  notAbove,
  selectorAndTemplate,
  selectorChange,
  templateErrors,
} from './template.js';

function statusErrors(object: Parameters<NonNullable<Strategy['validate']>>[0]) {
  const checks = new Checks();
  const status = objectOf(object.status);
  countErrors(checks, status, ['replicas', 'fullyLabeledReplicas', 'readyReplicas', 'availableReplicas']);
  notAbove(
    checks,
    status,
    ['fullyLabeledReplicas', 'readyReplicas', 'availableReplicas'],
    'replicas',
    'status.replicas',
  );
  notAbove(checks, status, ['availableReplicas'], 'readyReplicas');
  return checks.errors;
}

/** ReplicaSets. */
export const replicaSetStrategy: Strategy = {
  defaults: (draft) => {
    const spec = specOf(draft);
    spec.replicas ??= 1;
    defaultTemplate(spec);
  },
  validate: (object) => {
    const checks = new Checks();
    const spec = specOf(object);
    for (const key of ['replicas', 'minReadySeconds']) checks.nonNegative(spec[key], `spec.${key}`);
    selectorAndTemplate(checks, object, { isSelectorRequired: true, broken: 'invalid label selector' });
    return checks.errors;
  },
  validateUpdate: selectorChange,
  validateStatus: statusErrors,
};

/** ReplicationControllers: their selector is a plain set of labels. */
export const replicationControllerStrategy: Strategy = {
  defaults: (draft) => {
    const spec = specOf(draft);
    spec.replicas ??= 1;
    const own = stringMapOf(valueIn(spec.template, 'metadata', 'labels'));
    if (Object.keys(own).length > 0) {
      if (Object.keys(objectOf(spec.selector)).length === 0) spec.selector = { ...own };
      draft.metadata.labels ??= { ...own };
    }
    defaultTemplate(spec);
  },
  validate: (object) => {
    const checks = new Checks();
    const spec = specOf(object);
    for (const key of ['replicas', 'minReadySeconds']) checks.nonNegative(spec[key], `spec.${key}`);
    const selector = stringMapOf(spec.selector);
    if (Object.keys(selector).length === 0) checks.required('spec.selector');
    labels(checks, spec.selector, 'spec.selector');
    if (!isObject(spec.template)) {
      checks.required('spec.template');
      return checks.errors;
    }
    const own = stringMapOf(valueIn(spec.template, 'metadata', 'labels'));
    if (Object.entries(selector).some(([k, v]) => own[k] !== v))
      checks.invalid('spec.template.metadata.labels', own, '`selector` does not match template `labels`');
    lastingTemplateErrors(checks, spec.template, 'spec.template', object.kind);
    return checks.errors;
  },
  validateStatus: statusErrors,
};

/** PodTemplates. */
export const podTemplateStrategy: Strategy = {
  defaults: (draft) => defaultTemplate(draft),
  validate: (object) => {
    const checks = new Checks();
    templateErrors(checks, object.template, 'template');
    return checks.errors;
  },
};
