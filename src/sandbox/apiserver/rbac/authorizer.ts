import { mastersGroup, serviceAccountOf, type UserInfo } from '../auth/user.js';
import { type Json, objectOf, objectsOf, stringOf, stringsOf } from '../json.js';
import type { KubeObject } from '../object.js';
import type { Store } from '../storage/store.js';

const group = 'rbac.authorization.k8s.io';

/** What somebody wants to do. */
export type Attributes =
  | {
      readonly kind: 'resource';
      readonly verb: string;
      readonly group: string;
      readonly resource: string;
      readonly subresource: string;
      readonly namespace: string;
      readonly name: string;
    }
  | { readonly kind: 'path'; readonly verb: string; readonly path: string };

export interface PolicyRule {
  readonly verbs: readonly string[];
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames: readonly string[];
  readonly nonResourceURLs: readonly string[];
}

export interface Decision {
  readonly isAllowed: boolean;
  readonly reason: string;
}

/** Rules as stored objects hold them. */
export function rulesOf(role: KubeObject | undefined): PolicyRule[] {
  return objectsOf(role?.rules).map((r) => ({
    verbs: stringsOf(r.verbs),
    apiGroups: stringsOf(r.apiGroups),
    resources: stringsOf(r.resources),
    resourceNames: stringsOf(r.resourceNames),
    nonResourceURLs: stringsOf(r.nonResourceURLs),
  }));
}

function has(list: readonly string[], value: string): boolean {
  return list.includes('*') || list.includes(value);
}

/** Whether one rule permits the attributes. */
export function ruleAllows(rule: PolicyRule, a: Attributes): boolean {
  if (!has(rule.verbs, a.verb)) return false;
  if (a.kind === 'path') {
    return rule.nonResourceURLs.some((u) =>
      u.endsWith('*') ? a.path.startsWith(u.slice(0, -1)) : u === a.path,
    );
  }
  if (!has(rule.apiGroups, a.group)) return false;
  const wanted = a.subresource === '' ? a.resource : `${a.resource}/${a.subresource}`;
  const matchesResource = rule.resources.some(
    (r) => r === '*' || r === wanted || (a.subresource !== '' && r === `*/${a.subresource}`),
  );
  return matchesResource && (rule.resourceNames.length === 0 || rule.resourceNames.includes(a.name));
}

function isSubject(subject: Json, user: UserInfo, namespace: string): boolean {
  const s = objectOf(subject);
  const name = stringOf(s.name);
  switch (s.kind) {
    case 'User':
      return user.username === name;
    case 'Group':
      return user.groups.includes(name);
    case 'ServiceAccount': {
      const account = serviceAccountOf(user.username);
      return account?.name === name && account.namespace === (stringOf(s.namespace) || namespace);
    }
    default:
      return false;
  }
}

/** Role-based access control over the stored roles and bindings. Deny by default. */
export class Authorizer {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  authorize(user: UserInfo, attributes: Attributes): Decision {
    if (user.groups.includes(mastersGroup)) return { isAllowed: true, reason: '' };
    for (const { rules, origin } of this.#grants(
      user,
      attributes.kind === 'resource' ? attributes.namespace : '',
    )) {
      if (rules.some((r) => ruleAllows(r, attributes)))
        return { isAllowed: true, reason: `RBAC: allowed by ${origin}` };
    }
    return { isAllowed: false, reason: '' };
  }

  /** Every rule that applies to a user in a namespace ('' for cluster-wide rules only). */
  rulesFor(user: UserInfo, namespace: string): PolicyRule[] {
    const out: PolicyRule[] = [];
    if (user.groups.includes(mastersGroup)) {
      out.push({ verbs: ['*'], apiGroups: ['*'], resources: ['*'], resourceNames: [], nonResourceURLs: [] });
      out.push({ verbs: ['*'], apiGroups: [], resources: [], resourceNames: [], nonResourceURLs: ['*'] });
    }
    for (const { rules } of this.#grants(user, namespace)) out.push(...rules);
    return out;
  }

  /** The rules behind a role reference as seen from a namespace. */
  roleRules(roleRef: Json | undefined, namespace: string): PolicyRule[] {
    const ref = objectOf(roleRef);
    const name = stringOf(ref.name);
    return rulesOf(
      ref.kind === 'ClusterRole'
        ? this.#store.get(`clusterroles.${group}`, undefined, name)
        : this.#store.get(`roles.${group}`, namespace, name),
    );
  }

  *#grants(user: UserInfo, namespace: string): Generator<{ rules: PolicyRule[]; origin: string }> {
    for (const binding of this.#store.list(`clusterrolebindings.${group}`)) {
      if (!objectsOf(binding.subjects).some((s) => isSubject(s, user, ''))) continue;
      yield {
        rules: this.roleRules(binding.roleRef, ''),
        origin: `ClusterRoleBinding "${binding.metadata.name}"`,
      };
    }
    if (namespace === '') return;
    for (const binding of this.#store.list(`rolebindings.${group}`, namespace)) {
      if (!objectsOf(binding.subjects).some((s) => isSubject(s, user, namespace))) continue;
      yield {
        rules: this.roleRules(binding.roleRef, namespace),
        origin: `RoleBinding "${binding.metadata.name}/${namespace}"`,
      };
    }
  }
}

/** The refusal as Kubernetes words it. */
export function denialText(user: UserInfo, a: Attributes): string {
  const who = `User "${user.username}"`;
  if (a.kind === 'path') return `${who} cannot ${a.verb} path "${a.path}"`;
  const resource = a.subresource === '' ? a.resource : `${a.resource}/${a.subresource}`;
  const where = a.namespace === '' ? 'at the cluster scope' : `in the namespace "${a.namespace}"`;
  return `${who} cannot ${a.verb} resource "${resource}" in API group "${a.group}" ${where}`;
}
