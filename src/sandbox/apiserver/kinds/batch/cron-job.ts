import { parseCron } from '../../../base/cron-schedule.js';
import { childOf, isObject, type Json, objectOf, stringOf } from '../../../base/json.js';
import type { ApiObject } from '../../object.js';
import { specOf, type Strategy } from '../../registry/resource.js';
import { defaultTemplate } from '../pods/pod.js';
import { Checks, isUnset } from '../validation/checks.js';
import { jobSpecErrors } from './job-spec.js';

/** A CronJob's jobs carry its name and eleven characters more. */
const nameMaxLength = 52;

function isTimeZone(text: string): boolean {
  try {
    return new Intl.DateTimeFormat('en-US', { timeZone: text }).resolvedOptions().timeZone !== '';
  } catch {
    // Intl throws for zones it does not know.
    return false;
  }
}

function scheduleErrors(checks: Checks, value: Json | undefined): void {
  const path = 'spec.schedule';
  const schedule = stringOf(value);
  if (isUnset(value)) {
    checks.required(path);
    return;
  }
  if (schedule.includes('TZ')) {
    if (parseCron(schedule.replace(/^(CRON_)?TZ=\S+\s+/, '')) === undefined)
      checks.invalid(path, schedule, 'the schedule cannot be parsed');
    checks.invalid(path, schedule, 'cannot use TZ or CRON_TZ in schedule, use timeZone field instead');
    return;
  }
  if (parseCron(schedule) !== undefined) return;
  const count = schedule.trim().split(/\s+/).length;
  checks.invalid(
    path,
    schedule,
    count === 5
      ? 'a field is out of its range or not of its form'
      : `expected exactly 5 fields, found ${count}`,
  );
}

function timeZoneErrors(checks: Checks, value: Json | undefined): void {
  if (value === undefined) return;
  const zone = stringOf(value);
  if (zone === '') checks.invalid('spec.timeZone', zone, 'timeZone must be nil or non-empty string');
  else if (zone.toLowerCase() === 'local' || !isTimeZone(zone))
    checks.invalid('spec.timeZone', zone, `unknown time zone ${zone}`);
}

function nameErrors(checks: Checks, { metadata }: ApiObject): void {
  const isNew = metadata.resourceVersion === undefined || metadata.resourceVersion === '';
  if (isNew && metadata.name.length > nameMaxLength)
    checks.invalid('metadata.name', metadata.name, `must be no more than ${nameMaxLength} characters`);
}

/** CronJobs. */
export const cronJobStrategy: Strategy = {
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
    const checks = new Checks();
    const spec = specOf(object);
    nameErrors(checks, object);
    scheduleErrors(checks, spec.schedule);
    timeZoneErrors(checks, spec.timeZone);
    for (const key of ['startingDeadlineSeconds', 'successfulJobsHistoryLimit', 'failedJobsHistoryLimit'])
      checks.nonNegative(spec[key], `spec.${key}`);
    checks.requiredOneOf(spec.concurrencyPolicy, 'spec.concurrencyPolicy', ['Allow', 'Forbid', 'Replace']);
    const job = objectOf(objectOf(spec.jobTemplate).spec);
    const path = 'spec.jobTemplate.spec';
    jobSpecErrors(checks, job, path);
    if (isObject(job.selector))
      checks.invalid(`${path}.selector`, job.selector, '`selector` will be auto-generated');
    if (job.manualSelector === true) checks.notSupported(`${path}.manualSelector`, true, ['nil', 'false']);
    return checks.errors;
  },
};
