import { CompileProblem } from '../../cel/expression.js';
import { admissionExpression } from '../match/conditions.js';
import { type FieldError, fieldError } from '../../api-error.js';
import {
  isObject,
  type Json,
  type JsonObject,
  numberOf,
  objectOf,
  objectsOf,
  stringOf,
  stringsOf,
} from '../../../base/json.js';
import { keyProblem, nameProblem } from '../../registry/names.js';
import type { Strategy } from '../../registry/resource.js';

const operations = ['*', 'CONNECT', 'CREATE', 'DELETE', 'UPDATE'];
const scopes = ['*', 'Cluster', 'Namespaced'];
const failurePolicies = ['Fail', 'Ignore'];
const matchPolicies = ['Equivalent', 'Exact'];
const conditionsMax = 64;

function defaults(draft: JsonObject, isMutating: boolean): void {
  for (const webhook of objectsOf(draft.webhooks)) {
    webhook.failurePolicy ??= 'Fail';
    webhook.matchPolicy ??= 'Equivalent';
    webhook.namespaceSelector ??= {};
    webhook.objectSelector ??= {};
    webhook.timeoutSeconds ??= 10;
    if (isMutating) webhook.reinvocationPolicy ??= 'Never';
    for (const rule of objectsOf(webhook.rules)) rule.scope ??= '*';
    const service = isObject(webhook.clientConfig) ? webhook.clientConfig.service : undefined;
    if (isObject(service)) service.port ??= 443;
  }
}

/** A value that must be one of a few, where it is given. */
export function choiceErrors(value: Json | undefined, at: string, allowed: readonly string[]): FieldError[] {
  return value === undefined || (typeof value === 'string' && allowed.includes(value))
    ? []
    : [fieldError.notSupported(at, value, allowed)];
}

/** Problems of the rules of a webhook or policy. */
export function matchRuleErrors(rules: Json | undefined, at: string): FieldError[] {
  return objectsOf(rules).flatMap((rule, i) => {
    const path = `${at}[${i}]`;
    const errors: FieldError[] = [];
    for (const key of ['apiGroups', 'apiVersions', 'resources', 'operations'] as const) {
      const list = stringsOf(rule[key]);
      if (list.length === 0) errors.push(fieldError.required(`${path}.${key}`));
      if (key !== 'resources' && list.length > 1 && list.includes('*')) {
        const what =
          key === 'operations' ? 'operations' : key === 'apiGroups' ? 'API groups' : 'API versions';
        errors.push(
          fieldError.invalid(`${path}.${key}`, list, `if '*' is present, must not specify other ${what}`),
        );
      }
      list.forEach((value, j) => {
        if (key === 'operations') errors.push(...choiceErrors(value, `${path}.${key}[${j}]`, operations));
        else if (key !== 'apiGroups' && value === '')
          errors.push(fieldError.required(`${path}.${key}[${j}]`));
      });
    }
    return [...errors, ...choiceErrors(rule.scope, `${path}.scope`, scopes)];
  });
}

/** Problems of a set of match conditions. */
export function conditionErrors(
  conditions: Json | undefined,
  at: string,
  problemOf: (source: string) => CompileProblem | undefined,
): FieldError[] {
  const list = objectsOf(conditions);
  const errors: FieldError[] = [];
  if (list.length > conditionsMax) errors.push(fieldError.tooMany(at, list.length, conditionsMax));
  const seen = new Set<string>();
  list.forEach((condition, i) => {
    const path = `${at}[${i}]`;
    const source = stringOf(condition.expression);
    const name = stringOf(condition.name);
    if (source.trim() === '') errors.push(fieldError.required(`${path}.expression`));
    else {
      const problem = problemOf(source);
      if (problem !== undefined)
        errors.push(fieldError.invalid(`${path}.expression`, source, problem.message));
    }
    if (name === '') errors.push(fieldError.required(`${path}.name`));
    else {
      const problem = keyProblem(name);
      if (problem !== undefined) errors.push(fieldError.invalid(`${path}.name`, name, problem));
    }
    if (seen.has(name)) errors.push(fieldError.duplicate(`${path}.name`, name));
    seen.add(name);
  });
  return errors;
}

/** Problems of a clientConfig: of a webhook, or of a CRD's conversion. */
export function clientConfigErrors(config: JsonObject, at: string): FieldError[] {
  const { url, service } = config;
  if ((url === undefined) === (service === undefined)) {
    return [fieldError.required(at, 'exactly one of url or service is required')];
  }
  if (url !== undefined) return urlErrors(stringOf(url), `${at}.url`);
  const s = objectOf(service);
  const errors: FieldError[] = [];
  if (stringOf(s.name) === '')
    errors.push(fieldError.required(`${at}.service.name`, 'service name is required'));
  if (stringOf(s.namespace) === '') {
    errors.push(fieldError.required(`${at}.service.namespace`, 'service namespace is required'));
  }
  const port = numberOf(s.port) ?? 443;
  if (!Number.isInteger(port) || port < 1 || port > 65535) {
    errors.push(
      fieldError.invalid(
        `${at}.service.port`,
        port,
        'port is not valid: must be between 1 and 65535, inclusive',
      ),
    );
  }
  errors.push(...pathErrors(stringOf(s.path), `${at}.service.path`));
  return errors;
}

function pathErrors(path: string, at: string): FieldError[] {
  if (path === '' || path === '/') return [];
  if (path === '//') return [fieldError.invalid(at, path, 'segment[0] may not be empty')];
  const errors = path.startsWith('/') ? [] : [fieldError.invalid(at, path, "must start with a '/'")];
  path
    .slice(1)
    .replace(/\/$/, '')
    .split('/')
    .forEach((segment, i) => {
      const problem = segment === '' ? ' may not be empty' : nameProblem(segment, 'subdomain');
      if (problem !== undefined)
        errors.push(fieldError.invalid(at, path, `segment[${i}]${segment === '' ? '' : ': '}${problem}`));
    });
  return errors;
}

function urlErrors(text: string, at: string): FieldError[] {
  const form = '; desired format: https://host[/path]';
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined) return [fieldError.required(at, `url must be a valid URL${form}`)];
  const errors: FieldError[] = [];
  if (url.protocol !== 'https:') {
    errors.push(
      fieldError.invalid(at, url.protocol.slice(0, -1), `'https' is the only allowed URL scheme${form}`),
    );
  }
  if (url.host === '') errors.push(fieldError.invalid(at, '', `host must be specified${form}`));
  if (url.username !== '' || url.password !== '') {
    errors.push(fieldError.invalid(at, url.username, `user information is not permitted in the URL`));
  }
  if (url.hash !== '')
    errors.push(fieldError.invalid(at, url.hash.slice(1), 'fragments are not permitted in the URL'));
  if (url.search !== '') {
    errors.push(fieldError.invalid(at, url.search.slice(1), 'query parameters are not permitted in the URL'));
  }
  return errors;
}

function webhookErrors(webhook: JsonObject, at: string): FieldError[] {
  const errors: FieldError[] = [];
  const name = stringOf(webhook.name);
  if (nameProblem(name, 'subdomain') !== undefined) {
    errors.push(fieldError.invalid(`${at}.name`, name, nameProblem(name, 'subdomain') ?? ''));
  } else if (name.split('.').length < 3) {
    errors.push(
      fieldError.invalid(
        `${at}.name`,
        name,
        'should be a domain with at least three segments separated by dots',
      ),
    );
  }
  errors.push(...matchRuleErrors(webhook.rules, `${at}.rules`));
  errors.push(...choiceErrors(webhook.failurePolicy, `${at}.failurePolicy`, failurePolicies));
  errors.push(...choiceErrors(webhook.matchPolicy, `${at}.matchPolicy`, matchPolicies));
  errors.push(...choiceErrors(webhook.reinvocationPolicy, `${at}.reinvocationPolicy`, ['IfNeeded', 'Never']));
  const { sideEffects } = webhook;
  if (sideEffects === undefined) {
    errors.push(fieldError.required(`${at}.sideEffects`, 'must specify one of None, NoneOnDryRun'));
  } else errors.push(...choiceErrors(sideEffects, `${at}.sideEffects`, ['None', 'NoneOnDryRun']));
  const seconds = numberOf(webhook.timeoutSeconds) ?? 10;
  if (seconds < 1 || seconds > 30) {
    errors.push(
      fieldError.invalid(
        `${at}.timeoutSeconds`,
        seconds,
        'the timeout value must be between 1 and 30 seconds',
      ),
    );
  }
  const versions = stringsOf(webhook.admissionReviewVersions);
  if (versions.length === 0) {
    errors.push(fieldError.required(`${at}.admissionReviewVersions`, 'must specify one of v1, v1beta1'));
  } else if (!versions.includes('v1')) {
    const isOld = versions.includes('v1beta1');
    errors.push(
      fieldError.invalid(
        `${at}.admissionReviewVersions`,
        versions,
        // The old version is sent by no part of this server: better refused than never called.
        isOld
          ? 'must include v1, the only version that this API server sends'
          : 'must include at least one of v1, v1beta1',
      ),
    );
  }
  errors.push(...clientConfigErrors(objectOf(webhook.clientConfig), `${at}.clientConfig`));
  const problemOf = (source: string): CompileProblem | undefined => {
    const compiled = admissionExpression(source, 'bool');
    return compiled instanceof CompileProblem ? compiled : undefined;
  };
  return [...errors, ...conditionErrors(webhook.matchConditions, `${at}.matchConditions`, problemOf)];
}

function strategy(isMutating: boolean): Strategy {
  return {
    defaults: (draft) => defaults(draft, isMutating),
    validate: (configuration) => {
      const webhooks = objectsOf(configuration.webhooks);
      const names = webhooks.map((w) => stringOf(w.name));
      return webhooks.flatMap((webhook, i) => {
        const at = `webhooks[${i}]`;
        const isDouble = names.indexOf(stringOf(webhook.name)) < i;
        return [
          ...webhookErrors(webhook, at),
          ...(isDouble ? [fieldError.duplicate(`${at}.name`, webhook.name)] : []),
        ];
      });
    },
  };
}

/** The configurations of admission webhooks. */
export const admissionWebhookStrategies: Readonly<Record<string, Strategy>> = {
  'mutatingwebhookconfigurations.admissionregistration.k8s.io': strategy(true),
  'validatingwebhookconfigurations.admissionregistration.k8s.io': strategy(false),
};
