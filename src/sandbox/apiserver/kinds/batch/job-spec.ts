import { isObject, type JsonObject, numberOf, objectOf, objectsOf, stringOf } from '../../../base/json.js';
import { templateErrors } from '../apps/template.js';
import { at, type Checks, isUnset } from '../validation/checks.js';
import { failurePolicyErrors, successPolicyErrors } from './policies.js';

const counts = [
  'parallelism',
  'completions',
  'activeDeadlineSeconds',
  'backoffLimit',
  'ttlSecondsAfterFinished',
  'backoffLimitPerIndex',
  'maxFailedIndexes',
];
const modes = ['NonIndexed', 'Indexed'];
const indexedMax = 100_000;
/** Above so many completions, indexes with a back-off of their own are bounded more tightly. */
const manyCompletions = 100_000;
const manyParallelMax = 10_000;
const managedByMax = 63;

function indexedErrors(checks: Checks, spec: JsonObject, path: string): void {
  const completions = numberOf(spec.completions);
  const parallelism = numberOf(spec.parallelism) ?? 0;
  const failed = numberOf(spec.maxFailedIndexes);
  if (completions === undefined) checks.required(at(path, 'completions'), 'when completion mode is Indexed');
  if (parallelism > indexedMax) {
    checks.invalid(
      at(path, 'parallelism'),
      parallelism,
      `must be less than or equal to ${indexedMax} when completion mode is Indexed`,
    );
  }
  if (failed !== undefined && completions !== undefined && failed > completions)
    checks.invalid(at(path, 'maxFailedIndexes'), failed, 'must be less than or equal to completions');
  if (failed !== undefined && failed > indexedMax)
    checks.invalid(at(path, 'maxFailedIndexes'), failed, `must be less than or equal to ${indexedMax}`);
  if ((completions ?? 0) <= manyCompletions || spec.backoffLimitPerIndex === undefined) return;
  if (failed === undefined) {
    checks.required(
      at(path, 'maxFailedIndexes'),
      `must be specified when completions is above ${manyCompletions}`,
    );
  }
  for (const key of ['parallelism', 'maxFailedIndexes']) {
    if ((numberOf(spec[key]) ?? 0) > manyParallelMax) {
      checks.invalid(
        at(path, key),
        spec[key],
        `must be less than or equal to ${manyParallelMax} when completions are above ${manyCompletions} and used with backoff limit per index`,
      );
    }
  }
}

function restartErrors(checks: Checks, spec: JsonObject, path: string): void {
  const policy = stringOf(objectOf(objectOf(spec.template).spec).restartPolicy);
  const where = at(path, 'template.spec.restartPolicy');
  if (policy === '' || policy === 'Always') checks.required(where, 'valid values: "OnFailure", "Never"');
  else if (policy !== 'OnFailure' && policy !== 'Never')
    checks.notSupported(where, policy, ['OnFailure', 'Never']);
  else if (isObject(spec.podFailurePolicy) && policy !== 'Never')
    checks.invalid(where, policy, 'only "Never" is supported when podFailurePolicy is specified');
}

/** The spec of a job, its own or as part of a CronJob; selectors are not looked at. */
export function jobSpecErrors(checks: Checks, spec: JsonObject, path: string): void {
  for (const key of counts) checks.nonNegative(spec[key], at(path, key));
  if (spec.maxFailedIndexes !== undefined && spec.backoffLimitPerIndex === undefined)
    checks.required(at(path, 'backoffLimitPerIndex'), 'when maxFailedIndexes is specified');
  const manager = spec.managedBy;
  if (manager !== undefined) {
    const parts = stringOf(manager).split('/');
    if (isUnset(manager)) checks.required(at(path, 'managedBy'));
    else if (parts.length < 2 || parts.includes(''))
      checks.invalid(
        at(path, 'managedBy'),
        manager,
        'must be a domain-prefixed path (such as "acme.io/foo")',
      );
    if (stringOf(manager).length > managedByMax) checks.tooLong(at(path, 'managedBy'), managedByMax);
  }
  const mode = spec.completionMode ?? 'NonIndexed';
  checks.oneOf(mode, at(path, 'completionMode'), modes);
  if (mode === 'Indexed') indexedErrors(checks, spec, path);
  if (mode === 'NonIndexed') {
    for (const key of ['backoffLimitPerIndex', 'maxFailedIndexes'])
      if (spec[key] !== undefined)
        checks.invalid(at(path, key), spec[key], 'requires indexed completion mode');
  }
  if (isObject(spec.podFailurePolicy)) failurePolicyErrors(checks, spec, at(path, 'podFailurePolicy'));
  if (isObject(spec.successPolicy)) {
    if (mode === 'Indexed') successPolicyErrors(checks, spec, at(path, 'successPolicy'));
    else checks.invalid(at(path, 'successPolicy'), spec.successPolicy, 'requires indexed completion mode');
  }
  const replacement = spec.podReplacementPolicy;
  if (replacement !== undefined) {
    const supported = isObject(spec.podFailurePolicy) ? ['Failed'] : ['Failed', 'TerminatingOrFailed'];
    checks.oneOf(replacement, at(path, 'podReplacementPolicy'), supported);
  }
  templateErrors(checks, spec.template, at(path, 'template'));
  restartErrors(checks, spec, path);
}

/** What a job's spec gets when it does not say. */
export function defaultJobSpec(spec: JsonObject): void {
  if (spec.completions === undefined && spec.parallelism === undefined) spec.completions = 1;
  spec.parallelism ??= 1;
  spec.backoffLimit ??= spec.backoffLimitPerIndex === undefined ? 6 : 2 ** 31 - 1;
  spec.completionMode ??= 'NonIndexed';
  spec.suspend ??= false;
  spec.manualSelector ??= false;
  spec.podReplacementPolicy ??= isObject(spec.podFailurePolicy) ? 'Failed' : 'TerminatingOrFailed';
  for (const rule of objectsOf(objectOf(spec.podFailurePolicy).rules))
    for (const pattern of objectsOf(rule.onPodConditions)) pattern.status ??= 'True';
}
