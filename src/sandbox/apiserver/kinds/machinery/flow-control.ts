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
import { allMetadata, specOf, type Strategy } from '../../registry/resource.js';
import { at, Checks, isUnset } from '../validation/checks.js';

const precedenceMax = 10_000;
const queuesMax = 10_000_000;
/** Bits of a request's hash that choose its queues. */
const hashBits = 60;

function subjectErrors(checks: Checks, subject: JsonObject, path: string): void {
  const fields: Readonly<Record<string, string>> = {
    Group: 'group',
    ServiceAccount: 'serviceAccount',
    User: 'user',
  };
  const own = fields[stringOf(subject.kind)];
  if (own === undefined) {
    checks.notSupported(at(path, 'kind'), subject.kind ?? '', Object.keys(fields));
    return;
  }
  for (const [kind, field] of Object.entries(fields)) {
    if (field !== own && isObject(subject[field]))
      checks.forbidden(at(path, field), `${field} is forbidden when subject kind is not '${kind}'`);
  }
  const value = subject[own];
  if (!isObject(value)) {
    checks.required(at(path, own), `${own} is required when subject kind is '${stringOf(subject.kind)}'`);
    return;
  }
  if (isUnset(value.name)) checks.required(at(path, `${own}.name`));
  else if (own === 'serviceAccount' && value.name !== '*')
    checks.name(value.name, at(path, `${own}.name`), 'subdomain');
  if (own === 'serviceAccount')
    checks.requiredName(
      value.namespace,
      at(path, `${own}.namespace`),
      'label',
      'must specify namespace for service account',
    );
}

/** A list that must not be empty, nor name more beside `*`. */
function verbsOrAll(checks: Checks, value: Json | undefined, path: string): void {
  const list = stringsOf(value);
  if (list.length === 0) checks.required(path);
  else if (list.includes('*') && list.length > 1)
    checks.invalid(path, list, "if '*' is present, must not specify others");
}

function ruleErrors(checks: Checks, rule: JsonObject, path: string): void {
  if (objectsOf(rule.subjects).length === 0)
    checks.required(at(path, 'subjects'), 'subjects must contain at least one value');
  checks.each(rule.subjects, at(path, 'subjects'), (subject, where) => {
    subjectErrors(checks, subject, where);
  });
  if (objectsOf(rule.resourceRules).length === 0 && objectsOf(rule.nonResourceRules).length === 0)
    checks.required(path, 'at least one of resourceRules and nonResourceRules has to be non-empty');
  checks.each(rule.resourceRules, at(path, 'resourceRules'), (resource, where) => {
    for (const key of ['verbs', 'apiGroups', 'resources']) verbsOrAll(checks, resource[key], at(where, key));
    if (stringsOf(resource.namespaces).length === 0 && resource.clusterScope !== true)
      checks.required(
        at(where, 'namespaces'),
        'resource rules that are not cluster scoped must supply at least one namespace',
      );
  });
  checks.each(rule.nonResourceRules, at(path, 'nonResourceRules'), (resource, where) => {
    verbsOrAll(checks, resource.verbs, at(where, 'verbs'));
    const urls = stringsOf(resource.nonResourceURLs);
    if (urls.length === 0) checks.required(at(where, 'nonResourceURLs'));
    urls.forEach((url, i) => {
      if (url !== '*' && !url.startsWith('/'))
        checks.invalid(`${at(where, 'nonResourceURLs')}[${i}]`, url, "must start with '/'");
    });
  });
}

/** FlowSchemas: kept for tools that read them; this server does not queue requests. */
export const flowSchemaStrategy: Strategy = {
  keptByStatus: allMetadata,
  defaults: (draft) => {
    specOf(draft).matchingPrecedence ??= 1000;
  },
  validate: (object) => {
    const checks = new Checks();
    const spec = specOf(object);
    const precedence = numberOf(spec.matchingPrecedence) ?? 0;
    const path = 'spec.matchingPrecedence';
    if (precedence <= 0) checks.invalid(path, precedence, 'must be a positive value');
    if (precedence > precedenceMax)
      checks.invalid(path, precedence, `must not be greater than ${precedenceMax}`);
    if (precedence === 1 && object.metadata.name !== 'exempt')
      checks.invalid(path, precedence, "only the schema named 'exempt' may have matchingPrecedence 1");
    if (isObject(spec.distinguisherMethod))
      checks.oneOf(spec.distinguisherMethod.type, 'spec.distinguisherMethod.type', ['ByNamespace', 'ByUser']);
    checks.requiredName(
      objectOf(spec.priorityLevelConfiguration).name,
      'spec.priorityLevelConfiguration.name',
      'subdomain',
      'must reference a priority level',
    );
    checks.each(spec.rules, 'spec.rules', (rule, where) => {
      ruleErrors(checks, rule, where);
    });
    return checks.errors;
  },
};

function queuingErrors(checks: Checks, queuing: JsonObject, path: string): void {
  const queues = numberOf(queuing.queues) ?? 0;
  const hand = numberOf(queuing.handSize) ?? 0;
  if ((numberOf(queuing.queueLengthLimit) ?? 0) <= 0)
    checks.invalid(at(path, 'queueLengthLimit'), queuing.queueLengthLimit, 'must be positive');
  if (queues <= 0) checks.invalid(at(path, 'queues'), queues, 'must be positive');
  else if (queues > queuesMax)
    checks.invalid(at(path, 'queues'), queues, `must not be greater than ${queuesMax}`);
  if (hand <= 0) checks.invalid(at(path, 'handSize'), hand, 'must be positive');
  else if (hand > queues)
    checks.invalid(at(path, 'handSize'), hand, `should not be greater than queues (${queues})`);
  else {
    let bits = 0;
    for (let i = 0; i < hand; i++) bits += Math.log2(queues - i);
    if (Math.ceil(bits) > hashBits) {
      checks.invalid(
        at(path, 'handSize'),
        hand,
        `required entropy bits of deckSize ${queues} and handSize ${hand} should not be greater than ${hashBits}`,
      );
    }
  }
}

function limitedErrors(checks: Checks, limited: JsonObject, path: string): void {
  if ((numberOf(limited.nominalConcurrencyShares) ?? 0) < 0)
    checks.invalid(
      at(path, 'nominalConcurrencyShares'),
      limited.nominalConcurrencyShares,
      'must be a non-negative integer',
    );
  const response = objectOf(limited.limitResponse);
  const where = at(path, 'limitResponse');
  if (response.type === 'Reject') {
    if (isObject(response.queuing))
      checks.forbidden(at(where, 'queuing'), 'must be nil if limited.limitResponse.type is not Limited');
  } else if (response.type === 'Queue') {
    if (isObject(response.queuing)) queuingErrors(checks, response.queuing, at(where, 'queuing'));
    else checks.required(at(where, 'queuing'), 'must not be empty if limited.limitResponse.type is Limited');
  } else checks.notSupported(at(where, 'type'), response.type ?? '', ['Queue', 'Reject']);
  checks.inRange(limited.lendablePercent, at(path, 'lendablePercent'), 0, 100);
  checks.nonNegative(limited.borrowingLimitPercent, at(path, 'borrowingLimitPercent'));
}

/** PriorityLevelConfigurations. */
export const priorityLevelStrategy: Strategy = {
  keptByStatus: allMetadata,
  defaults: (draft) => {
    const spec = specOf(draft);
    if (isObject(spec.limited)) {
      spec.limited.nominalConcurrencyShares ??= 30;
      spec.limited.lendablePercent ??= 0;
      const { queuing } = objectOf(spec.limited.limitResponse);
      if (isObject(queuing)) {
        queuing.queues ??= 64;
        queuing.handSize ??= 8;
        queuing.queueLengthLimit ??= 50;
      }
    }
    if (isObject(spec.exempt)) {
      spec.exempt.nominalConcurrencyShares ??= 0;
      spec.exempt.lendablePercent ??= 0;
    }
  },
  validate: (object) => {
    const checks = new Checks();
    const spec = specOf(object);
    const isExempt = spec.type === 'Exempt';
    if ((object.metadata.name === 'exempt') !== isExempt)
      checks.invalid('spec.type', spec.type, "type must be 'Exempt' if and only if name is 'exempt'");
    if (isExempt) {
      if (isObject(spec.limited)) checks.forbidden('spec.limited', 'must be nil if the type is not Limited');
      checks.inRange(objectOf(spec.exempt).lendablePercent, 'spec.exempt.lendablePercent', 0, 100);
    } else if (spec.type === 'Limited') {
      if (isObject(spec.exempt)) checks.forbidden('spec.exempt', 'must be nil if the type is Limited');
      if (isObject(spec.limited)) limitedErrors(checks, spec.limited, 'spec.limited');
      else checks.required('spec.limited', 'must not be empty when type is Limited');
    } else checks.notSupported('spec.type', spec.type ?? '', ['Exempt', 'Limited']);
    return checks.errors;
  },
};
