import { apiError } from '../api-error.js';
import type { IncomingApiRequest } from '../http/exchange.js';
import { type Authorizer, denialText } from '../rbac/authorizer.js';
import { serviceAccountGroups, serviceAccountOf, type UserInfo } from '../user.js';

const extraPrefix = 'impersonate-extra-';

function valuesOf(request: IncomingApiRequest, header: string): string[] {
  const out: string[] = [];
  for (let i = 0; i < request.rawHeaders.length; i += 2) {
    if (request.rawHeaders[i]?.toLowerCase() === header) out.push(request.rawHeaders[i + 1] ?? '');
  }
  return out;
}

/** The user to act as. Throws 403 unless RBAC grants `impersonate` on every part of it. */
export function impersonate(request: IncomingApiRequest, user: UserInfo, authorizer: Authorizer): UserInfo {
  const asUser = valuesOf(request, 'impersonate-user')[0];
  const asGroups = valuesOf(request, 'impersonate-group');
  const asUid = valuesOf(request, 'impersonate-uid')[0];
  const extraNames = Object.keys(request.headers).filter((h) => h.startsWith(extraPrefix));
  if (asUser === undefined) {
    if (asGroups.length > 0 || asUid !== undefined || extraNames.length > 0) {
      throw apiError.badRequest('requested impersonation without impersonating a user');
    }
    return user;
  }
  const check = (
    group: string,
    resource: string,
    subresource: string,
    namespace: string,
    name: string,
  ): void => {
    const attributes = {
      kind: 'resource',
      verb: 'impersonate',
      group,
      resource,
      subresource,
      namespace,
      name,
    } as const;
    if (!authorizer.authorize(user, attributes).isAllowed) {
      throw apiError.forbidden({ group, plural: resource }, name, denialText(user, attributes));
    }
  };
  const account = serviceAccountOf(asUser);
  if (account !== undefined) check('', 'serviceaccounts', '', account.namespace, account.name);
  else check('', 'users', '', '', asUser);
  for (const g of asGroups) check('', 'groups', '', '', g);
  if (asUid !== undefined) check('authentication.k8s.io', 'uids', '', '', asUid);
  const extra: Record<string, string[]> = {};
  for (const header of extraNames) {
    const key = decodeURIComponent(header.slice(extraPrefix.length));
    extra[key] = valuesOf(request, header);
    for (const value of extra[key]) check('authentication.k8s.io', 'userextras', key, '', value);
  }
  const base =
    asGroups.length > 0 || account === undefined ? asGroups : serviceAccountGroups(account.namespace);
  const implied = asUser === 'system:anonymous' ? 'system:unauthenticated' : 'system:authenticated';
  return { username: asUser, uid: asUid, groups: base.includes(implied) ? base : [...base, implied], extra };
}
