import { apiError } from '../api-error.js';
import { equalJson, objectOf, stringOf } from '../../base/json.js';
import { mastersGroup, type UserInfo } from '../user.js';
import { type Authorizer, type PolicyRule, rulesOf } from '../rbac/authorizer.js';
import type { AdmissionPlugin } from '../registry/admission.js';

const group = 'rbac.authorization.k8s.io';

function covers(owned: readonly string[], wanted: readonly string[]): boolean {
  return owned.includes('*') || wanted.every((w) => owned.includes(w));
}

function coversResources(owned: readonly string[], wanted: readonly string[]): boolean {
  return wanted.every((w) => {
    const slash = w.indexOf('/');
    return owned.includes('*') || owned.includes(w) || (slash > 0 && owned.includes(`*${w.slice(slash)}`));
  });
}

function coversUrls(owned: readonly string[], wanted: readonly string[]): boolean {
  return wanted.every((w) => owned.some((o) => o === w || (o.endsWith('*') && w.startsWith(o.slice(0, -1)))));
}

/** Whether one rule is contained in a set of rules; checked verb by verb and resource by resource. */
function isCovered(rule: PolicyRule, owned: readonly PolicyRule[]): boolean {
  const parts: PolicyRule[] = [];
  for (const verb of rule.verbs) {
    for (const url of rule.nonResourceURLs) {
      parts.push({ verbs: [verb], apiGroups: [], resources: [], resourceNames: [], nonResourceURLs: [url] });
    }
    for (const apiGroup of rule.apiGroups) {
      for (const resource of rule.resources) {
        for (const name of rule.resourceNames.length > 0 ? rule.resourceNames : [undefined]) {
          parts.push({
            verbs: [verb],
            apiGroups: [apiGroup],
            resources: [resource],
            resourceNames: name === undefined ? [] : [name],
            nonResourceURLs: [],
          });
        }
      }
    }
  }
  return parts.every((part) =>
    owned.some((o) => {
      if (!covers(o.verbs, part.verbs)) return false;
      if (part.nonResourceURLs.length > 0) return coversUrls(o.nonResourceURLs, part.nonResourceURLs);
      const namesFit =
        o.resourceNames.length === 0 ||
        (part.resourceNames.length > 0 && covers(o.resourceNames, part.resourceNames));
      return covers(o.apiGroups, part.apiGroups) && coversResources(o.resources, part.resources) && namesFit;
    }),
  );
}

/** Nobody grants what they do not hold, unless `escalate` or `bind` permits it. */
export function rbacEscalation(authorizer: Authorizer): AdmissionPlugin {
  const may = (user: UserInfo, verb: string, resource: string, namespace: string, name: string): boolean =>
    authorizer.authorize(user, { kind: 'resource', verb, group, resource, subresource: '', namespace, name })
      .isAllowed;
  return {
    name: 'RBAC',
    validate: ({ operation, resource, object, old, user }) => {
      if (operation === 'DELETE' || resource.group !== group || user.groups.includes(mastersGroup)) return;
      const namespace = object.metadata.namespace ?? '';
      const isBinding = resource.kind.endsWith('Binding');
      const isSame = isBinding
        ? equalJson(object.roleRef, old?.roleRef) && equalJson(object.subjects, old?.subjects)
        : equalJson(object.rules, old?.rules);
      if (old !== undefined && isSame) return;
      const ref = objectOf(object.roleRef);
      const excused = isBinding
        ? may(
            user,
            'bind',
            ref.kind === 'ClusterRole' ? 'clusterroles' : 'roles',
            namespace,
            stringOf(ref.name),
          )
        : may(user, 'escalate', resource.plural, namespace, object.metadata.name);
      if (excused) return;
      const wanted = isBinding ? authorizer.roleRules(ref, namespace) : rulesOf(object);
      const owned = authorizer.rulesFor(user, namespace);
      const missing = wanted.filter((rule) => !isCovered(rule, owned));
      if (missing.length === 0) return;
      const texts = missing.map(
        (r) =>
          `{${[
            ['APIGroups', r.apiGroups],
            ['Resources', r.resources],
            ['NonResourceURLs', r.nonResourceURLs],
            ['Verbs', r.verbs],
          ]
            .filter(([, list]) => (list?.length ?? 0) > 0)
            .map(([label, list]) => `${String(label)}:${JSON.stringify(list)}`)
            .join(', ')}}`,
      );
      throw apiError.forbidden(
        resource,
        object.metadata.name,
        `user "${user.username}" (groups=${JSON.stringify(user.groups)}) is attempting to grant RBAC permissions not currently held:\n${texts.join('\n')}`,
      );
    },
  };
}
