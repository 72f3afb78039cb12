import type { ServiceAccountTokens } from '../auth/service-account-tokens.js';
import type { UserInfo } from '../user.js';
import { isObject, type Json, type JsonObject, objectOf, stringOf, stringsOf } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import { type Authorizer, denialText } from '../rbac/authorizer.js';
import { apiError } from '../api-error.js';
import type { Attributes } from '../rbac/attributes.js';

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

const group = 'authorization.k8s.io';

/** Refuses the spec of an access review; Kubernetes names no kind here. */
function invalidSpec(field: string, shown: string, detail: string): Error {
  const error = {
    reason: 'FieldValueInvalid',
    field,
    message: `Invalid value: ${shown}: ${detail}`,
  } as const;
  return apiError.invalid('', group, '', [error]);
}

/** What a review asks about. Throws 422 unless it is one thing, and inside the namespace of a local review. */
function attributesOf(spec: JsonObject, namespace: string | undefined): Attributes {
  const { resourceAttributes, nonResourceAttributes } = spec;
  if (isObject(nonResourceAttributes)) {
    const path = stringOf(nonResourceAttributes.path);
    const verb = stringOf(nonResourceAttributes.verb);
    const isLocal = namespace !== undefined;
    if (isLocal || isObject(resourceAttributes)) {
      throw invalidSpec(
        'spec.nonResourceAttributes',
        `authorization.NonResourceAttributes{Path:${JSON.stringify(path)}, Verb:${JSON.stringify(verb)}}`,
        isLocal
          ? 'disallowed on this kind of request'
          : 'cannot be specified in combination with resourceAttributes',
      );
    }
    return { kind: 'path', verb, path };
  }
  if (!isObject(resourceAttributes)) {
    throw invalidSpec(
      'spec.resourceAttributes',
      '"null"',
      'exactly one of nonResourceAttributes or resourceAttributes must be specified',
    );
  }
  const a = resourceAttributes;
  const asked = stringOf(a.namespace);
  if (namespace !== undefined && asked !== namespace) {
    throw invalidSpec(
      'spec.resourceAttributes.namespace',
      JSON.stringify(asked),
      'must match metadata.namespace',
    );
  }
  return {
    kind: 'resource',
    verb: stringOf(a.verb),
    group: stringOf(a.group),
    resource: stringOf(a.resource),
    subresource: stringOf(a.subresource),
    namespace: asked,
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
  answer(given: ApiObject, user: UserInfo, namespace: string | undefined): JsonObject {
    const { name, ...unnamed } = given.metadata;
    // Reviews have no name unless the client gave one.
    const body: JsonObject = name === '' ? { ...given, metadata: unnamed } : given;
    const spec = objectOf(given.spec);
    switch (given.kind) {
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
            attributesOf(spec, given.kind === 'LocalSubjectAccessReview' ? (namespace ?? '') : undefined),
          ),
        };
      default:
        throw apiError.unknownPath();
    }
  }

  #tokenStatus(spec: JsonObject): JsonObject {
    const token = stringOf(spec.token);
    if (token === '') throw apiError.badRequest('token is required for TokenReview in authentication');
    const asked = stringsOf(spec.audiences);
    const result = this.#tokens.authenticate(token, asked.length > 0 ? asked : undefined);
    if (result === undefined) return { user: {}, error: 'invalid bearer token' };
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
    throw invalidSpec('spec.user', '""', 'at least one of user or group must be specified');
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
