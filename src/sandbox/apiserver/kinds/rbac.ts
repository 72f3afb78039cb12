import { type FieldError, fieldError } from '../api-error.js';
import { equalJson, isObject, objectOf, objectsOf, stringOf, stringsOf } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import type { Strategy } from '../registry/resource.js';
import { Checks, isUnset } from './validation/checks.js';
import { labelSelector } from './validation/selectors.js';

const rbacGroup = 'rbac.authorization.k8s.io';

function roleErrors(role: ApiObject): FieldError[] {
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

function bindingErrors(binding: ApiObject): FieldError[] {
  const errors: FieldError[] = [];
  const ref = objectOf(binding.roleRef);
  const kinds = binding.kind === 'RoleBinding' ? ['Role', 'ClusterRole'] : ['ClusterRole'];
  if (ref.apiGroup !== rbacGroup)
    errors.push(fieldError.notSupported('roleRef.apiGroup', ref.apiGroup, [rbacGroup]));
  if (!kinds.includes(stringOf(ref.kind)))
    errors.push(fieldError.notSupported('roleRef.kind', ref.kind, kinds));
  if (stringOf(ref.name) === '') errors.push(fieldError.required('roleRef.name'));
  const checks = new Checks();
  checks.each(binding.subjects, 'subjects', (subject, path) => {
    if (isUnset(subject.name)) checks.required(`${path}.name`);
    const group = stringOf(subject.apiGroup);
    switch (subject.kind) {
      case 'ServiceAccount':
        if (!isUnset(subject.name)) checks.name(subject.name, `${path}.name`, 'subdomain');
        if (group !== '') checks.notSupported(`${path}.apiGroup`, group, ['']);
        if (binding.kind === 'ClusterRoleBinding' && isUnset(subject.namespace))
          checks.required(`${path}.namespace`);
        break;
      case 'User':
      case 'Group':
        if (group !== rbacGroup) checks.notSupported(`${path}.apiGroup`, group, [rbacGroup]);
        break;
      default:
        checks.notSupported(`${path}.kind`, subject.kind ?? '', ['ServiceAccount', 'User', 'Group']);
    }
  });
  errors.push(...checks.errors);
  return errors;
}

function bindingDefaults(draft: ApiObject): void {
  if (isObject(draft.roleRef) && stringOf(draft.roleRef.apiGroup) === '') draft.roleRef.apiGroup = rbacGroup;
  for (const subject of objectsOf(draft.subjects)) {
    if (isUnset(subject.apiGroup) && (subject.kind === 'User' || subject.kind === 'Group'))
      subject.apiGroup = rbacGroup;
    if (subject.kind === 'ServiceAccount' && subject.apiGroup === '') delete subject.apiGroup;
  }
}

function aggregationErrors(role: ApiObject): FieldError[] {
  const checks = new Checks();
  if (!isObject(role.aggregationRule)) return [];
  const path = 'aggregationRule.clusterRoleSelectors';
  const selectors = objectsOf(role.aggregationRule.clusterRoleSelectors);
  if (selectors.length === 0)
    checks.required(path, 'at least one clusterRoleSelector required if aggregationRule is non-nil');
  checks.each(selectors, path, (selector, where) => {
    const before = checks.errors.length;
    labelSelector(checks, selector, where);
    if (checks.errors.length > before) checks.invalid(where, selector, 'invalid label selector.');
  });
  return checks.errors;
}

const roles: Strategy = { validate: roleErrors };
const clusterRoles: Strategy = { validate: (role) => [...roleErrors(role), ...aggregationErrors(role)] };
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
  [`clusterroles.${rbacGroup}`]: clusterRoles,
  [`rolebindings.${rbacGroup}`]: bindings,
  [`clusterrolebindings.${rbacGroup}`]: bindings,
};
