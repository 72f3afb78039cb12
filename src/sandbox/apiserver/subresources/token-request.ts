import {
  type BoundObject,
  type ServiceAccountTokens,
  tokenLifetime,
} from '../auth/service-account-tokens.js';
import { ApiError, apiError, fieldError } from '../api-error.js';
import {
  isObject,
  type JsonObject,
  numberOf,
  objectOf,
  valueIn,
  stringOf,
  stringsOf,
} from '../../base/json.js';
import type { ApiObject } from '../object.js';
import { timestamp } from '../../base/timestamp.js';
import type { Operations } from '../registry/operations.js';

const group = 'authentication.k8s.io';
const boundKinds = { Pod: 'pods', Secret: 'secrets', Node: 'nodes' } as const;

function isBoundKind(kind: string): kind is keyof typeof boundKinds {
  return Object.hasOwn(boundKinds, kind);
}

function lifetimeOf(spec: JsonObject): number {
  const seconds = numberOf(spec.expirationSeconds) ?? tokenLifetime.default;
  const refuse = (detail: string): Error =>
    apiError.invalid('TokenRequest', group, '', [
      fieldError.invalid('spec.expirationSeconds', seconds, detail),
    ]);
  if (seconds < tokenLifetime.min) throw refuse('may not specify a duration less than 10 minutes');
  if (seconds > tokenLifetime.max) throw refuse('may not specify a duration larger than 2^32 seconds');
  return seconds;
}

/** The object a token is bound to. Throws 400, 404 and 409. */
function boundObject(
  operations: Operations,
  ref: ApiObject['spec'],
  account: ApiObject,
): BoundObject | undefined {
  if (!isObject(ref)) return undefined;
  const kind = stringOf(ref.kind);
  const name = stringOf(ref.name);
  const apiVersion = stringOf(ref.apiVersion);
  if (!isBoundKind(kind) || (apiVersion !== '' && apiVersion !== 'v1')) {
    throw apiError.badRequest(
      `cannot bind token to object of type ${apiVersion.includes('/') ? apiVersion : `/${apiVersion}`}, Kind=${kind}`,
    );
  }
  const plural = boundKinds[kind];
  const namespace = kind === 'Node' ? undefined : account.metadata.namespace;
  const object = operations.store.get(plural, namespace, name);
  if (object === undefined) throw apiError.notFound({ group: '', plural }, name);
  const uid = stringOf(ref.uid);
  if (uid !== '' && uid !== object.metadata.uid) {
    throw new ApiError(
      409,
      'Conflict',
      `Operation cannot be fulfilled on ${kind} "${name}": the UID in the bound object reference (${uid}) does not match the UID in record. The object might have been deleted and then recreated`,
      { name, kind },
    );
  }
  if (kind === 'Pod' && stringOf(valueIn(object, 'spec', 'serviceAccountName')) !== account.metadata.name) {
    throw apiError.badRequest(
      `cannot bind token for serviceaccount "${account.metadata.name}" to pod running with different serviceaccount name.`,
    );
  }
  const nodeName = kind === 'Pod' ? stringOf(valueIn(object, 'spec', 'nodeName')) : '';
  const node = nodeName === '' ? undefined : operations.store.get('nodes', undefined, nodeName);
  return {
    kind,
    name,
    uid: object.metadata.uid,
    ...(node === undefined ? {} : { node: { name: nodeName, uid: node.metadata.uid } }),
  };
}

/** Answers a TokenRequest for a service account with the token in its status. Throws 400, 404, 409 and 422. */
export function requestToken(
  operations: Operations,
  tokens: ServiceAccountTokens,
  account: ApiObject,
  request: ApiObject,
): JsonObject {
  const spec = objectOf(request.spec);
  const { name, namespace, uid } = account.metadata;
  const own = request.metadata;
  for (const [field, value, wanted, what] of [
    ['metadata.name', own.name, name, 'name'],
    ['metadata.namespace', own.namespace ?? '', namespace, 'namespace'],
  ] as const) {
    if (value === '' || value === wanted) continue;
    throw apiError.invalid('TokenRequest', group, name, [
      fieldError.invalid(field, value, `must match the service account ${what} if specified`),
    ]);
  }
  const seconds = lifetimeOf(spec);
  const asked = stringsOf(spec.audiences);
  const audiences = asked.length > 0 ? asked : [...tokens.defaultAudiences];
  const { token, expires } = tokens.mint(
    { namespace: namespace ?? '', name, uid },
    { audiences, lifetimeSeconds: seconds, boundTo: boundObject(operations, spec.boundObjectRef, account) },
  );
  return {
    kind: 'TokenRequest',
    apiVersion: `${group}/v1`,
    metadata: { name, namespace, creationTimestamp: timestamp() },
    spec: { audiences, expirationSeconds: seconds, boundObjectRef: spec.boundObjectRef ?? null },
    status: { token, expirationTimestamp: timestamp(expires) },
  };
}
