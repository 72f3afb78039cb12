import { createHash } from 'node:crypto';
import type { ServiceAccountTokens } from '../auth/service-account-tokens.js';
import type { UserInfo } from '../auth/user.js';
import { isObject, type Json, type JsonObject, objectOf, stringOf, stringsOf } from '../json.js';
import type { KubeObject } from '../object.js';
import { type Attributes, type Authorizer, denialText } from '../rbac/authorizer.js';
import { apiError } from './api-error.js';

function userJson(user: UserInfo): JsonObject {
  return {
    username: user.username,
    ...(user.uid === undefined ? {} : { uid: user.uid }),
    groups: [...user.groups],
    ...(Object.keys(user.extra).length === 0
      ? {}
      : { extra: Object.fromEntries(Object.entries(user.extra).map(([k, v]) => [k, [...v]])) }),
  };
}

function attributesOf(spec: JsonObject, namespace: string | undefined): Attributes {
  const r = spec.resourceAttributes;
  const n = spec.nonResourceAttributes;
  if (isObject(r) === isObject(n)) {
    throw apiError.badRequest(
      'spec: Invalid value: exactly one of nonResourceAttributes or resourceAttributes must be specified',
    );
  }
  if (isObject(n)) return { kind: 'path', verb: stringOf(n.verb), path: stringOf(n.path) };
  const a = objectOf(r);
  return {
    kind: 'resource',
    verb: stringOf(a.verb),
    group: stringOf(a.group),
    resource: stringOf(a.resource),
    subresource: stringOf(a.subresource),
    namespace: namespace ?? stringOf(a.namespace),
    name: stringOf(a.name),
  };
}

/** The create-only kinds that answer questions: token and access reviews. */
export class Reviews {
  readonly #authorizer: Authorizer;
  readonly #tokens: ServiceAccountTokens;

  constructor(authorizer: Authorizer, tokens: ServiceAccountTokens) {
    this.#authorizer = authorizer;
    this.#tokens = tokens;
  }

  /** Fills in the status of a review. */
  answer(body: KubeObject, user: UserInfo, namespace: string | undefined): KubeObject {
    const spec = objectOf(body.spec);
    switch (body.kind) {
      case 'SelfSubjectReview':
        return { ...body, status: { userInfo: userJson(user) } };
      case 'TokenReview':
        return { ...body, status: this.#tokenStatus(spec) };
      case 'SelfSubjectAccessReview':
        return { ...body, status: this.#accessStatus(user, attributesOf(spec, undefined)) };
      case 'SelfSubjectRulesReview':
        return { ...body, status: this.#rulesStatus(user, stringOf(spec.namespace)) };
      case 'SubjectAccessReview':
      case 'LocalSubjectAccessReview':
        return {
          ...body,
          status: this.#accessStatus(
            subjectOf(spec),
            attributesOf(spec, body.kind === 'LocalSubjectAccessReview' ? namespace : undefined),
          ),
        };
      default:
        throw apiError.unknownPath();
    }
  }

  #tokenStatus(spec: JsonObject): JsonObject {
    const asked = stringsOf(spec.audiences);
    const result = this.#tokens.authenticate(stringOf(spec.token), asked.length > 0 ? asked : undefined);
    if (result === undefined) {
      const seen = createHash('sha256').update(stringOf(spec.token)).digest('hex').slice(0, 8);
      return { authenticated: false, user: {}, error: `invalid bearer token (sha256 ${seen}…)` };
    }
    return { authenticated: true, user: userJson(result.user), audiences: result.audiences };
  }

  #accessStatus(user: UserInfo, attributes: Attributes): JsonObject {
    const decision = this.#authorizer.authorize(user, attributes);
    return { allowed: decision.isAllowed, ...(decision.reason === '' ? {} : { reason: decision.reason }) };
  }

  #rulesStatus(user: UserInfo, namespace: string): JsonObject {
    if (namespace === '') throw apiError.badRequest('no namespace on request');
    const resourceRules: Json[] = [];
    const nonResourceRules: Json[] = [];
    for (const rule of this.#authorizer.rulesFor(user, namespace)) {
      if (rule.nonResourceURLs.length > 0) {
        nonResourceRules.push({ verbs: [...rule.verbs], nonResourceURLs: [...rule.nonResourceURLs] });
      } else {
        resourceRules.push({
          verbs: [...rule.verbs],
          apiGroups: [...rule.apiGroups],
          resources: [...rule.resources],
          ...(rule.resourceNames.length > 0 ? { resourceNames: [...rule.resourceNames] } : {}),
        });
      }
    }
    return { resourceRules, nonResourceRules, incomplete: false };
  }
}

function subjectOf(spec: JsonObject): UserInfo {
  const username = stringOf(spec.user);
  const groups = stringsOf(spec.groups);
  if (username === '' && groups.length === 0) {
    throw apiError.badRequest('spec: Invalid value: at least one of user or group must be specified');
  }
  const extra = Object.fromEntries(Object.entries(objectOf(spec.extra)).map(([k, v]) => [k, stringsOf(v)]));
  return { username, uid: stringOf(spec.uid), groups, extra };
}

/** Whether somebody may do something, as an error when not. */
export function assertAllowed(authorizer: Authorizer, user: UserInfo, attributes: Attributes): void {
  const { isAllowed, reason } = authorizer.authorize(user, attributes);
  if (isAllowed) return;
  const denial = denialText(user, attributes, reason);
  if (attributes.kind === 'path') throw apiError.forbiddenPath(denial);
  throw apiError.forbidden({ group: attributes.group, plural: attributes.resource }, attributes.name, denial);
}
