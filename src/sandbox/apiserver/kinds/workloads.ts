import { type FieldError, fieldError } from '../http/api-error.js';
import {
  childOf,
  equalJson,
  isObject,
  type JsonObject,
  numberOf,
  objectOf,
  objectsOf,
  pathOf,
  stringMapOf,
  stringOf,
} from '../json.js';
import type { KubeObject } from '../object.js';
import { LabelSelector } from '../registry/label-selector.js';
import { specOf, type Strategy } from '../registry/resource.js';
import { defaultTemplate } from './pod.js';
import { podSpecErrors } from './pod-validation.js';

function nonNegative(spec: JsonObject, keys: readonly string[]): FieldError[] {
  return keys.flatMap((key) => {
    const n = numberOf(spec[key]);
    return n !== undefined && n < 0
      ? [fieldError.invalid(`spec.${key}`, n, 'must be greater than or equal to 0')]
      : [];
  });
}

function templateErrors(object: KubeObject, restartPolicies: readonly string[]): FieldError[] {
  const spec = specOf(object);
  const template = objectOf(spec.template);
  const errors = nonNegative(spec, [
    'replicas',
    'minReadySeconds',
    'revisionHistoryLimit',
    'parallelism',
    'completions',
    'backoffLimit',
  ]);
  const podSpec = template.spec;
  if (!isObject(podSpec)) return [...errors, fieldError.required('spec.template.spec.containers')];
  const claims = objectsOf(spec.volumeClaimTemplates).map((claim) => stringOf(objectOf(claim.metadata).name));
  errors.push(...podSpecErrors(podSpec, 'spec.template.spec', claims));
  if (!restartPolicies.includes(stringOf(podSpec.restartPolicy))) {
    errors.push(
      fieldError.notSupported('spec.template.spec.restartPolicy', podSpec.restartPolicy, restartPolicies),
    );
  }
  return errors;
}

function selectorErrors(object: KubeObject): FieldError[] {
  const spec = specOf(object);
  if (!isObject(spec.selector)) return [fieldError.required('spec.selector')];
  const selector = LabelSelector.fromObject(spec.selector);
  if (selector.isEmpty)
    return [
      fieldError.invalid(
        'spec.selector',
        spec.selector,
        `empty selector is invalid for ${object.kind.toLowerCase()}`,
      ),
    ];
  const labels = stringMapOf(pathOf(spec.template, 'metadata', 'labels'));
  if (!selector.matches(labels)) {
    return [
      fieldError.invalid(
        'spec.template.metadata.labels',
        labels,
        '`selector` does not match template `labels`',
      ),
    ];
  }
  return [];
}

function immutable(keys: readonly string[]) {
  return (object: KubeObject, old: KubeObject): FieldError[] =>
    keys.flatMap((key) =>
      equalJson(specOf(object)[key], specOf(old)[key])
        ? []
        : [fieldError.invalid(`spec.${key}`, specOf(object)[key], 'field is immutable')],
    );
}

const alwaysRestarting = (object: KubeObject): FieldError[] => [
  ...selectorErrors(object),
  ...templateErrors(object, ['Always']),
];

const deployment: Strategy = {
  defaults: (draft) => {
    const spec = specOf(draft);
    spec.replicas ??= 1;
    const strategy = childOf(spec, 'strategy');
    strategy.type ??= 'RollingUpdate';
    if (strategy.type === 'RollingUpdate') {
      const rolling = childOf(strategy, 'rollingUpdate');
      rolling.maxUnavailable ??= '25%';
      rolling.maxSurge ??= '25%';
    }
    spec.revisionHistoryLimit ??= 10;
    spec.progressDeadlineSeconds ??= 600;
    defaultTemplate(spec);
  },
  validate: (object) => {
    const strategy = objectOf(specOf(object).strategy);
    const errors = alwaysRestarting(object);
    if (strategy.type !== 'RollingUpdate' && strategy.type !== 'Recreate') {
      errors.push(
        fieldError.notSupported('spec.strategy.type', strategy.type, ['Recreate', 'RollingUpdate']),
      );
    }
    if (strategy.type === 'Recreate' && isObject(strategy.rollingUpdate)) {
      errors.push(
        fieldError.forbidden(
          'spec.strategy.rollingUpdate',
          "may not be specified when strategy `type` is 'Recreate'",
        ),
      );
    }
    return errors;
  },
  validateUpdate: immutable(['selector']),
};

const replicaSet: Strategy = {
  defaults: (draft) => {
    const spec = specOf(draft);
    spec.replicas ??= 1;
    defaultTemplate(spec);
  },
  validate: alwaysRestarting,
  validateUpdate: immutable(['selector']),
};

const daemonSet: Strategy = {
  defaults: (draft) => {
    const spec = specOf(draft);
    const strategy = childOf(spec, 'updateStrategy');
    strategy.type ??= 'RollingUpdate';
    if (strategy.type === 'RollingUpdate') {
      const rolling = childOf(strategy, 'rollingUpdate');
      rolling.maxUnavailable ??= 1;
      rolling.maxSurge ??= 0;
    }
    spec.revisionHistoryLimit ??= 10;
    defaultTemplate(spec);
  },
  validate: alwaysRestarting,
  validateUpdate: immutable(['selector']),
};

const statefulSet: Strategy = {
  defaults: (draft) => {
    const spec = specOf(draft);
    spec.replicas ??= 1;
    spec.podManagementPolicy ??= 'OrderedReady';
    spec.revisionHistoryLimit ??= 10;
    const strategy = childOf(spec, 'updateStrategy');
    strategy.type ??= 'RollingUpdate';
    if (strategy.type === 'RollingUpdate') childOf(strategy, 'rollingUpdate').partition ??= 0;
    spec.persistentVolumeClaimRetentionPolicy ??= { whenDeleted: 'Retain', whenScaled: 'Retain' };
    defaultTemplate(spec);
  },
  validate: alwaysRestarting,
  validateUpdate: immutable(['selector', 'serviceName', 'podManagementPolicy', 'volumeClaimTemplates']),
};

function defaultJobSpec(spec: JsonObject): void {
  spec.completions ??= 1;
  spec.parallelism ??= 1;
  spec.backoffLimit ??= 6;
  spec.completionMode ??= 'NonIndexed';
  spec.suspend ??= false;
  spec.podReplacementPolicy ??= 'TerminatingOrFailed';
  defaultTemplate(spec);
}

const job: Strategy = {
  defaults: (draft) => defaultJobSpec(specOf(draft)),
  prepareCreate: (draft) => {
    // A job owns exactly the pods that carry its uid.
    const spec = specOf(draft);
    if (spec.manualSelector === true) return;
    const labels = {
      'batch.kubernetes.io/controller-uid': draft.metadata.uid,
      'batch.kubernetes.io/job-name': draft.metadata.name,
      'controller-uid': draft.metadata.uid,
      'job-name': draft.metadata.name,
    };
    const template = childOf(spec, 'template');
    const meta = childOf(template, 'metadata');
    meta.labels = { ...stringMapOf(meta.labels), ...labels };
    spec.selector = { matchLabels: { 'batch.kubernetes.io/controller-uid': draft.metadata.uid } };
  },
  validate: (object) => templateErrors(object, ['OnFailure', 'Never']),
  validateUpdate: immutable(['selector', 'completions', 'template']),
};

const cronJob: Strategy = {
  defaults: (draft) => {
    const spec = specOf(draft);
    spec.concurrencyPolicy ??= 'Allow';
    spec.suspend ??= false;
    spec.successfulJobsHistoryLimit ??= 3;
    spec.failedJobsHistoryLimit ??= 1;
    const template = childOf(spec, 'jobTemplate');
    if (isObject(template.spec)) defaultTemplate(template.spec);
  },
  validate: (object) => {
    const spec = specOf(object);
    const schedule = stringOf(spec.schedule);
    if (schedule === '') return [fieldError.required('spec.schedule')];
    const fields = schedule.replace(/^(CRON_)?TZ=\S+\s+/, '').split(/\s+/);
    const isMacro = /^@(yearly|annually|monthly|weekly|daily|midnight|hourly|every \S+)$/.test(schedule);
    return isMacro || fields.length === 5
      ? []
      : [
          fieldError.invalid(
            'spec.schedule',
            schedule,
            `expected exactly 5 fields, found ${fields.length}: ${schedule}`,
          ),
        ];
  },
};

/** Kinds that make pods, by qualified plural. */
export const workloadStrategies: Readonly<Record<string, Strategy>> = {
  'deployments.apps': deployment,
  'replicasets.apps': replicaSet,
  'daemonsets.apps': daemonSet,
  'statefulsets.apps': statefulSet,
  'jobs.batch': job,
  'cronjobs.batch': cronJob,
  replicationcontrollers: {
    defaults: (draft) => {
      const spec = specOf(draft);
      spec.replicas ??= 1;
      spec.selector ??= stringMapOf(pathOf(spec.template, 'metadata', 'labels'));
      defaultTemplate(spec);
    },
    validate: (object) => templateErrors(object, ['Always']),
  },
  'poddisruptionbudgets.policy': {
    validate: (object) => {
      const spec = specOf(object);
      return spec.minAvailable !== undefined && spec.maxUnavailable !== undefined
        ? [fieldError.invalid('spec', 'object', 'minAvailable and maxUnavailable cannot be both set')]
        : [];
    },
  },
};
