import type { JsonObject } from '../../base/json.js';
import data from './bootstrap-rbac.json' with { type: 'json' };

const group = 'rbac.authorization.k8s.io';
const apiVersion = `${group}/v1`;
const aggregateLabel = `${group}/aggregate-to-`;

interface RoleEntry {
  readonly rules?: readonly string[];
  /** Roles that take these rules in. */
  readonly aggregatesTo?: readonly string[];
  /** Roles whose rules this one takes in. */
  readonly aggregates?: readonly string[];
}

interface BindingEntry {
  readonly role: string;
  readonly subjects: readonly string[];
}

/** The roles and bindings that kube-apiserver 1.32 starts a cluster with. */
const roles: {
  readonly clusterRoles: Readonly<Record<string, RoleEntry>>;
  readonly clusterRoleBindings: Readonly<Record<string, BindingEntry>>;
  /** By NAMESPACE/NAME, as are the bindings. */
  readonly roles: Readonly<Record<string, RoleEntry>>;
  readonly roleBindings: Readonly<Record<string, BindingEntry>>;
} = data;

/** A rule from its text: `VERBS | GROUPS | RESOURCES [| NAMES]`, or `VERBS | url | PATHS`. */
function ruleOf(text: string): JsonObject {
  const [verbs = [], groups = [], targets = [], names] = text.split(' | ').map((part) => part.split(','));
  if (groups[0] === 'url') return { verbs, nonResourceURLs: targets };
  return {
    verbs,
    apiGroups: groups.map((g) => (g === 'core' ? '' : g)),
    resources: targets,
    ...(names === undefined ? {} : { resourceNames: names }),
  };
}

function metaOf(key: string, labels: Record<string, string> = {}): JsonObject {
  const slash = key.indexOf('/');
  return {
    name: key.slice(slash + 1),
    ...(slash < 0 ? {} : { namespace: key.slice(0, slash) }),
    labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults', ...labels },
    annotations: { 'rbac.authorization.kubernetes.io/autoupdate': 'true' },
  };
}

/** A subject from its text: `Group:NAME`, `User:NAME` or `ServiceAccount:NAMESPACE:NAME`. */
function subjectOf(text: string): JsonObject {
  const [kind = '', first = '', ...rest] = text.split(':');
  if (kind === 'ServiceAccount') return { kind, namespace: first, name: rest.join(':') };
  return { kind, apiGroup: group, name: [first, ...rest].join(':') };
}

function labelsOf(entry: RoleEntry): Record<string, string> {
  return Object.fromEntries((entry.aggregatesTo ?? []).map((to) => [`${aggregateLabel}${to}`, 'true']));
}

function clusterRole([name, entry]: readonly [string, RoleEntry]): JsonObject {
  const base = { apiVersion, kind: 'ClusterRole', metadata: metaOf(name, labelsOf(entry)) };
  if (entry.aggregates === undefined) return { ...base, rules: (entry.rules ?? []).map(ruleOf) };
  const clusterRoleSelectors = entry.aggregates.map((from) => ({
    matchLabels: { [`${aggregateLabel}${from}`]: 'true' },
  }));
  return { ...base, aggregationRule: { clusterRoleSelectors }, rules: [] };
}

function binding(kind: string, roleKind: string, [key, entry]: readonly [string, BindingEntry]): JsonObject {
  return {
    apiVersion,
    kind,
    metadata: metaOf(key),
    roleRef: { apiGroup: group, kind: roleKind, name: entry.role },
    ...(entry.subjects.length === 0 ? {} : { subjects: entry.subjects.map(subjectOf) }),
  };
}

/** The roles and bindings every cluster starts with, in the order in which they can be made. */
export function bootstrapRbac(): JsonObject[] {
  return [
    ...Object.entries(roles.clusterRoles).map(clusterRole),
    ...Object.entries(roles.clusterRoleBindings).map((e) => binding('ClusterRoleBinding', 'ClusterRole', e)),
    ...Object.entries(roles.roles).map(([key, entry]) => ({
      apiVersion,
      kind: 'Role',
      metadata: metaOf(key),
      rules: (entry.rules ?? []).map(ruleOf),
    })),
    ...Object.entries(roles.roleBindings).map((e) => binding('RoleBinding', 'Role', e)),
  ];
}
