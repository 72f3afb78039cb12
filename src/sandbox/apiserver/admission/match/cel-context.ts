import { serviceAccountGroups, type UserInfo } from '../../user.js';
import { type AccessOracle, CelAuthorizer } from '../../cel/libraries/authorization.js';
import { celValue } from '../../cel/values.js';
import type { Authorizer } from '../../rbac/authorizer.js';
import type { ServedResource } from '../../registry/resource.js';
import type { AdmissionRequest } from '../../registry/admission.js';
import { requestView } from './request-view.js';
import { targetOf } from './rules.js';
import type { VersionedObjects } from './versions.js';

function oracle(authorizer: Authorizer, user: UserInfo): AccessOracle {
  return {
    decide: (q) =>
      authorizer.authorize(
        user,
        q.path === undefined
          ? {
              kind: 'resource',
              verb: q.verb,
              group: q.group ?? '',
              resource: q.resource ?? '',
              subresource: q.subresource ?? '',
              namespace: q.namespace ?? '',
              name: q.name ?? '',
            }
          : { kind: 'path', verb: q.verb, path: q.path },
      ),
    as: (namespace, name) =>
      oracle(authorizer, {
        username: `system:serviceaccount:${namespace}:${name}`,
        groups: serviceAccountGroups(namespace),
        extra: {},
      }),
  };
}

/** The variables of expressions about a request. */
export function celContext(
  request: AdmissionRequest,
  as: ServedResource,
  objects: VersionedObjects,
  authorizer: Authorizer,
): Record<string, unknown> {
  const { namespace, name } = targetOf(request);
  return {
    object: celValue(objects.object, undefined),
    oldObject: celValue(objects.old, undefined),
    request: celValue(requestView(request, as), undefined),
    authorizer: new CelAuthorizer(oracle(authorizer, request.user), {
      group: request.resource.group,
      resource: request.resource.plural,
      subresource: request.subresource ?? '',
      namespace: namespace ?? '',
      name,
    }),
  };
}
