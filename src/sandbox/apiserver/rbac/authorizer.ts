import { mastersGroup, serviceAccountOf, type UserInfo } from '../user.js';
import { type Json, objectOf, objectsOf, stringOf, stringsOf } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import type { Store } from '../storage/store.js';
import { NodeAuthorizer } from './node-authorizer.js';
import type { Attributes, AccessDecision } from './attributes.js';

const group = 'rbac.authorization.k8s.io';

export interface PolicyRule {
  readonly verbs: readonly string[];
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames: readonly string[];
  readonly nonResourceURLs: readonly string[];
}

/** Rules as stored objects hold them. */
export function rulesOf(role: ApiObject | undefined): PolicyRule[] {
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

/** The subject of a binding as reasons name it. */
function subjectText(subject: Json, namespace: string): string {
  const s = objectOf(subject);
  const name = stringOf(s.name);
  if (s.kind === 'ServiceAccount') return `ServiceAccount "${name}/${stringOf(s.namespace) || namespace}"`;
  return `${stringOf(s.kind)} "${name}"`;
}

/** The rules one binding gives somebody, and how to say so. */
interface Grant {
  readonly rules: readonly PolicyRule[];
  readonly origin: string;
  /** What is said of a binding to a role that is not there. */
  readonly missingRole?: string;
}

/** A hint at bindings that give nothing because their role is missing. */
function missingText(missing: readonly string[]): string {
  if (missing.length === 0) return '';
  return `RBAC: ${missing.length === 1 ? missing[0] : `[${missing.join(', ')}]`}`;
}

/**
 * Decides who may do what: members of system:masters anything, nodes what their
 * pods need, everybody what the stored roles and bindings give. Deny by default.
 */
export class Authorizer {
  readonly #store: Store;
  readonly #nodes: NodeAuthorizer;

  constructor(store: Store) {
    this.#store = store;
    this.#nodes = new NodeAuthorizer(store);
  }

  authorize(user: UserInfo, attributes: Attributes): AccessDecision {
    if (user.groups.includes(mastersGroup)) return { isAllowed: true, reason: '' };
    const node = this.#nodes.authorize(user, attributes);
    if (node?.isAllowed === true) return node;
    const where = attributes.kind === 'resource' ? attributes.namespace : '';
    const missing: string[] = [];
    for (const { rules, origin, missingRole } of this.#grants(user, where)) {
      if (missingRole !== undefined) missing.push(missingRole);
      if (rules.some((r) => ruleAllows(r, attributes)))
        return { isAllowed: true, reason: `RBAC: allowed by ${origin}` };
    }
    const reasons = [node?.reason ?? '', missingText(missing)].filter((r) => r !== '');
    return { isAllowed: false, reason: reasons.join(', ') };
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
    return rulesOf(this.#role(roleRef, namespace));
  }

  #role(roleRef: Json | undefined, namespace: string): ApiObject | undefined {
    const ref = objectOf(roleRef);
    const name = stringOf(ref.name);
    return ref.kind === 'ClusterRole'
      ? this.#store.get(`clusterroles.${group}`, undefined, name)
      : this.#store.get(`roles.${group}`, namespace, name);
  }

  *#grants(user: UserInfo, namespace: string): Generator<Grant> {
    for (const binding of this.#store.list(`clusterrolebindings.${group}`)) {
      const subject = objectsOf(binding.subjects).find((s) => isSubject(s, user, ''));
      if (subject !== undefined) yield this.#grant(binding, subject, '');
    }
    if (namespace === '') return;
    for (const binding of this.#store.list(`rolebindings.${group}`, namespace)) {
      const subject = objectsOf(binding.subjects).find((s) => isSubject(s, user, namespace));
      if (subject !== undefined) yield this.#grant(binding, subject, namespace);
    }
  }

  #grant(binding: ApiObject, subject: Json, namespace: string): Grant {
    const role = objectOf(binding.roleRef);
    const name = namespace === '' ? binding.metadata.name : `${binding.metadata.name}/${namespace}`;
    const isMissing = this.#role(binding.roleRef, namespace) === undefined;
    const resource = stringOf(role.kind).toLowerCase();
    return {
      rules: this.roleRules(binding.roleRef, namespace),
      ...(isMissing ? { missingRole: `${resource}.${group} "${stringOf(role.name)}" not found` } : {}),
      origin: `${binding.kind} "${name}" of ${stringOf(role.kind)} "${stringOf(role.name)}" to ${subjectText(subject, namespace)}`,
    };
  }
}

/** The refusal as Kubernetes words it. */
export function denialText(user: UserInfo, a: Attributes, reason = ''): string {
  const who = `User "${user.username}"`;
  const why = reason === '' ? '' : `: ${reason}`;
  if (a.kind === 'path') return `${who} cannot ${a.verb} path "${a.path}"${why}`;
  const resource = a.subresource === '' ? a.resource : `${a.resource}/${a.subresource}`;
  const where = a.namespace === '' ? 'at the cluster scope' : `in the namespace "${a.namespace}"`;
  return `${who} cannot ${a.verb} resource "${resource}" in API group "${a.group}" ${where}${why}`;
}
