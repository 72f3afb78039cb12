/** Who makes a request. */
export interface UserInfo {
  readonly username: string;
  readonly uid?: string | undefined;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

/** The group whose members may do anything, whatever the RBAC objects say. */
export const mastersGroup = 'system:masters';

/** The server's own doings: controllers inside it, and its bootstrap. */
export const systemUser: UserInfo = { username: 'system:apiserver', groups: [mastersGroup], extra: {} };

/** The user behind requests without credentials. */
export const anonymousUser: UserInfo = {
  username: 'system:anonymous',
  groups: ['system:unauthenticated'],
  extra: {},
};

/** Namespace and name of the service account behind a user name; undefined for other users. */
export function serviceAccountOf(username: string): { namespace: string; name: string } | undefined {
  const match = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(username);
  return match?.[1] === undefined || match[2] === undefined
    ? undefined
    : { namespace: match[1], name: match[2] };
}

/** Groups that every service account of a namespace is in. */
export function serviceAccountGroups(namespace: string): string[] {
  return ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'];
}
