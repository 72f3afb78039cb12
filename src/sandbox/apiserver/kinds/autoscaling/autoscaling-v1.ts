import {
  arrayOf,
  cloneJson,
  isObject,
  type Json,
  type JsonObject,
  numberOf,
  objectOf,
  objectsOf,
  valueIn,
} from '../../../base/json.js';
import type { ApiObject } from '../../object.js';
import { specOf, type Strategy } from '../../registry/resource.js';
import { autoscalerStrategy } from './autoscaler.js';

/** Annotations in which v1 carries what its fields cannot say. */
const annotations = {
  metrics: 'autoscaling.alpha.kubernetes.io/metrics',
  currentMetrics: 'autoscaling.alpha.kubernetes.io/current-metrics',
  conditions: 'autoscaling.alpha.kubernetes.io/conditions',
  behavior: 'autoscaling.alpha.kubernetes.io/behavior',
} as const;

/** Whether a metric (or its current value) is the CPU utilization that v1 has a field for. */
function isCpuUtilization(metric: JsonObject): boolean {
  return (
    metric.type === 'Resource' &&
    valueIn(metric, 'resource', 'name') === 'cpu' &&
    (valueIn(metric, 'resource', 'target', 'averageUtilization') ??
      valueIn(metric, 'resource', 'current', 'averageUtilization')) !== undefined
  );
}

function parsed(text: string | undefined): Json | undefined {
  if (text === undefined) return undefined;
  try {
    // JSON.parse gives JSON data only.
    return JSON.parse(text) as Json;
  } catch {
    // Not ours: somebody wrote the annotation by hand. It says nothing then.
    return undefined;
  }
}

function fromStorage(stored: ApiObject): ApiObject {
  const out: ApiObject = { ...cloneJson(stored), apiVersion: 'autoscaling/v1' };
  const spec = objectOf(out.spec);
  const status = objectOf(out.status);
  const notes: Record<string, string> = { ...out.metadata.annotations };
  const note = (key: keyof typeof annotations, value: readonly Json[] | Json | undefined): void => {
    const isEmpty = value === undefined || (Array.isArray(value) && value.length === 0);
    if (!isEmpty) notes[annotations[key]] = JSON.stringify(value);
  };
  const metrics = objectsOf(spec.metrics);
  const cpu = metrics.find(isCpuUtilization);
  const utilization = numberOf(valueIn(cpu, 'resource', 'target', 'averageUtilization'));
  if (utilization !== undefined) spec.targetCPUUtilizationPercentage = utilization;
  note(
    'metrics',
    metrics.filter((m) => m !== cpu),
  );
  note('behavior', spec.behavior);
  const current = arrayOf(status.currentMetrics).filter(isObject);
  const currentCpu = current.find(isCpuUtilization);
  const currentUtilization = numberOf(valueIn(currentCpu, 'resource', 'current', 'averageUtilization'));
  if (currentUtilization !== undefined) status.currentCPUUtilizationPercentage = currentUtilization;
  note('currentMetrics', current);
  note('conditions', status.conditions);
  for (const key of ['metrics', 'behavior'] as const) delete spec[key];
  for (const key of ['currentMetrics', 'conditions'] as const) delete status[key];
  status.currentReplicas ??= 0;
  status.desiredReplicas ??= 0;
  out.spec = spec;
  out.status = status;
  if (Object.keys(notes).length > 0) out.metadata.annotations = notes;
  return out;
}

function toStorage(object: ApiObject): ApiObject {
  const out: ApiObject = { ...cloneJson(object), apiVersion: 'autoscaling/v2' };
  const spec = specOf(out);
  const status = objectOf(out.status);
  const notes: Record<string, string> = { ...out.metadata.annotations };
  const take = (key: keyof typeof annotations): Json | undefined => {
    const value = parsed(notes[annotations[key]]);
    Reflect.deleteProperty(notes, annotations[key]);
    return value;
  };
  const metrics = objectsOf(take('metrics'));
  const utilization = numberOf(spec.targetCPUUtilizationPercentage);
  if (utilization !== undefined) {
    metrics.push({
      type: 'Resource',
      resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: utilization } },
    });
  }
  if (metrics.length > 0) spec.metrics = metrics;
  const behavior = take('behavior');
  if (isObject(behavior)) spec.behavior = behavior;
  const current = take('currentMetrics');
  status.currentMetrics = Array.isArray(current) ? current : null;
  const conditions = take('conditions');
  if (Array.isArray(conditions)) status.conditions = conditions;
  delete spec.targetCPUUtilizationPercentage;
  delete status.currentCPUUtilizationPercentage;
  out.status = status;
  if (Object.keys(notes).length > 0) out.metadata.annotations = notes;
  else delete out.metadata.annotations;
  return out;
}

/** How autoscaling/v1 sees autoscalers, which are stored as autoscaling/v2. */
export const autoscalingV1 = { fromStorage, toStorage };

/** autoscaling/v1: checked in the stored form, whose rules are the same. */
export const autoscalingV1Strategy: Strategy = {
  defaults: (draft) => {
    const stored = toStorage(draft);
    autoscalerStrategy.defaults?.(stored);
    const back = fromStorage(stored);
    draft.spec = specOf(back);
  },
  validate: (object, reader) => autoscalerStrategy.validate?.(toStorage(object), reader) ?? [],
  validateUpdate: (object, old) =>
    autoscalerStrategy.validateUpdate?.(toStorage(object), toStorage(old)) ?? [],
};
