import { type Json, type JsonObject, numberOf, objectOf, objectsOf, stringOf } from '../../base/json.js';

const shownMax = 2;
const unknown = '<unknown>';

/** The TARGETS column of an autoscaler: what is, as far as known, and what should be, for each metric. */
export function autoscalerTargets(spec: JsonObject, status: JsonObject): string {
  const current = objectsOf(status.currentMetrics);
  const metrics = objectsOf(spec.metrics).map((metric, i) => targetOf(metric, objectOf(current[i])));
  if (metrics.length === 0) return '<none>';
  const shown = metrics.slice(0, shownMax).join(', ');
  return metrics.length > shownMax ? `${shown} + ${metrics.length - shownMax} more...` : shown;
}

function targetOf(metric: JsonObject, current: JsonObject): string {
  const key = stringOf(metric.type).replace(/^./, (letter) => letter.toLowerCase());
  const source = objectOf(metric[key]);
  const target = objectOf(source.target);
  const now = objectOf(objectOf(current[key]).current);
  const isResource = key === 'resource' || key === 'containerResource';
  const name = isResource ? `${stringOf(source.name)}: ` : '';
  if (isResource && target.averageValue === undefined) {
    const utilization = numberOf(now.averageUtilization);
    const wanted = numberOf(target.averageUtilization);
    return `${name}${utilization === undefined ? unknown : `${utilization}%`}/${wanted === undefined ? '<auto>' : `${wanted}%`}`;
  }
  if (target.averageValue === undefined) return `${quantity(now.value) || unknown}/${quantity(target.value)}`;
  const average = key === 'external' || key === 'object' ? ' (avg)' : '';
  return `${name}${quantity(now.averageValue) || unknown}/${quantity(target.averageValue)}${average}`;
}

function quantity(value: Json | undefined): string {
  return typeof value === 'number' ? String(value) : stringOf(value);
}
