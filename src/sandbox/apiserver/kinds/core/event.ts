import type { FieldError } from '../../api-error.js';
import { isObject, objectOf, stringOf } from '../../../base/json.js';
import type { ApiObject } from '../../object.js';
import type { Strategy } from '../../registry/resource.js';
import { Checks, isUnset } from '../validation/checks.js';
import { qualifiedName } from '../validation/selectors.js';

const limits = { reportingInstance: 128, action: 128, reason: 128, message: 1024 } as const;

/** Rules for events of either API, in the core form. */
function coreErrors(event: ApiObject, reporter: string): Checks {
  const checks = new Checks();
  const of = stringOf(objectOf(event.involvedObject).namespace);
  const own = stringOf(event.metadata.namespace);
  const isOld = isUnset(event.eventTime);
  const fitting = of === '' ? (isOld ? ['', 'default'] : ['default', 'kube-system']) : isOld ? [of] : [own];
  if (!fitting.includes(own))
    checks.invalid('involvedObject.namespace', of, 'does not match event.namespace');
  if (isOld) return checks;
  if (isUnset(event.reportingComponent)) checks.required(reporter);
  qualifiedName(checks, event.reportingComponent, reporter);
  for (const [field, max] of Object.entries(limits)) {
    const text = stringOf(event[field]);
    if (text === '' && field !== 'message') checks.required(field);
    if (text.length > max) checks.invalid(field, '', `can have at most ${max} characters`);
  }
  return checks;
}

/** Rules for events of events.k8s.io, which drops the fields of the older API. */
function newErrors(event: ApiObject): FieldError[] {
  const checks = new Checks();
  if (isUnset(event.eventTime)) checks.required('eventTime');
  if (event.type !== 'Normal' && event.type !== 'Warning')
    checks.invalid('type', '', `has invalid value: ${stringOf(event.type)}`);
  for (const field of ['firstTimestamp', 'lastTimestamp', 'count'])
    if (!isUnset(event[field]) && event[field] !== 0) checks.invalid(field, '', 'needs to be unset');
  const source = objectOf(event.source);
  if (!isUnset(source.component) || !isUnset(source.host)) checks.invalid('source', '', 'needs to be unset');
  if (isObject(event.series)) {
    if (Number(event.series.count ?? 0) < 2) checks.invalid('series.count', '', 'should be at least 2');
    if (isUnset(event.series.lastObservedTime)) checks.required('series.lastObservedTime');
  }
  return checks.errors;
}

/** Events of the core group. */
export const eventStrategy: Strategy = {
  validate: (event) => coreErrors(event, 'reportingComponent').errors,
};

/** Events of events.k8s.io, checked in the form in which both are stored. */
export function newEventStrategy(toCore: (event: ApiObject) => ApiObject): Strategy {
  return {
    validate: (event) => {
      const core = toCore(event);
      return [...coreErrors(core, 'reportingController').errors, ...newErrors(core)];
    },
  };
}
