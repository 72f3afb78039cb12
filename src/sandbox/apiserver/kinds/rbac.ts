import { type FieldError, fieldError } from '../http/api-error.js';
import { equalJson, isObject, objectOf, objectsOf, stringOf, stringsOf } from '../json.js';
import type { KubeObject } from '../object.js';
import type { Strategy } from '../registry/resource.js';

const rbacGroup = 'rbac.authorization.k8s.io';

function roleErrors(role: KubeObject): FieldError[] {
  const errors: FieldError[] = [];
  objectsOf(role.rules).forEach((rule, i) => {
    const path = `rules[${i}]`;
    const urls = stringsOf(rule.nonResourceURLs);
    if (stringsOf(rule.verbs).length === 0) {
      errors.push(fieldError.required(`${path}.verbs`, 'verbs must contain at least one value'));
    }
    if (urls.length > 0) {
      if (role.kind === 'Role') {
        errors.push(
          fieldError.invalid(
            `${path}.nonResourceURLs`,
            urls,
            'namespaced rules cannot apply to non-resource URLs',
          ),
        );
      }
      if (stringsOf(rule.resources).length > 0 || stringsOf(rule.apiGroups).length > 0) {
        errors.push(
          fieldError.invalid(
            `${path}.nonResourceURLs`,
            urls,
            'rules cannot apply to both regular resources and non-resource URLs',
          ),
        );
      }
      return;
    }
    if (stringsOf(rule.apiGroups).length === 0) {
      errors.push(
        fieldError.required(`${path}.apiGroups`, 'resource rules must supply at least one api group'),
      );
    }
    if (stringsOf(rule.resources).length === 0) {
      errors.push(
        fieldError.required(`${path}.resources`, 'resource rules must supply at least one resource'),
      );
    }
  });
  return errors;
}

function bindingErrors(binding: KubeObject): FieldError[] {
  const errors: FieldError[] = [];
  const ref = objectOf(binding.roleRef);
  const kinds = binding.kind === 'RoleBinding' ? ['Role', 'ClusterRole'] : ['ClusterRole'];
  if (ref.apiGroup !== rbacGroup)
    errors.push(fieldError.notSupported('roleRef.apiGroup', ref.apiGroup, [rbacGroup]));
  if (!kinds.includes(stringOf(ref.kind)))
    errors.push(fieldError.notSupported('roleRef.kind', ref.kind, kinds));
  if (stringOf(ref.name) === '') errors.push(fieldError.required('roleRef.name'));
  objectsOf(binding.subjects).forEach((subject, i) => {
    const path = `subjects[${i}]`;
    if (stringOf(subject.name) === '') errors.push(fieldError.required(`${path}.name`));
    const kind = stringOf(subject.kind);
    if (!['ServiceAccount', 'User', 'Group'].includes(kind)) {
      errors.push(fieldError.notSupported(`${path}.kind`, kind, ['ServiceAccount', 'User', 'Group']));
    }
    if (kind === 'ServiceAccount' && stringOf(subject.namespace) === '') {
      errors.push(fieldError.required(`${path}.namespace`));
    }
  });
  return errors;
}

function bindingDefaults(draft: KubeObject): void {
  if (isObject(draft.roleRef) && stringOf(draft.roleRef.apiGroup) === '') draft.roleRef.apiGroup = rbacGroup;
  for (const subject of objectsOf(draft.subjects)) {
    if (stringOf(subject.apiGroup) === '' && subject.kind !== 'ServiceAccount') subject.apiGroup = rbacGroup;
    if (subject.kind === 'ServiceAccount' && subject.apiGroup === '') delete subject.apiGroup;
  }
}

const roles: Strategy = { validate: roleErrors };
const bindings: Strategy = {
  defaults: bindingDefaults,
  validate: bindingErrors,
  validateUpdate: (binding, old) =>
    equalJson(binding.roleRef, old.roleRef)
      ? []
      : [fieldError.invalid('roleRef', binding.roleRef, 'cannot change roleRef')],
};

/** Roles and bindings. Escalation is checked in the authorizer's admission step. */
export const rbacStrategies: Readonly<Record<string, Strategy>> = {
  [`roles.${rbacGroup}`]: roles,
  [`clusterroles.${rbacGroup}`]: roles,
  [`rolebindings.${rbacGroup}`]: bindings,
  [`clusterrolebindings.${rbacGroup}`]: bindings,
};
