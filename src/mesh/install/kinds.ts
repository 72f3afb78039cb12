import { MeshError } from '#base/errors/mesh-error.js';
import {
  apiVersionOf,
  clusterRoleBindings,
  clusterRoles,
  configMaps,
  customResourceDefinitions,
  daemonSets,
  deployments,
  gateways,
  namespaces,
  podDisruptionBudgets,
  type Resource,
  resourceQuotas,
  serviceAccounts,
  services,
} from '#base/kube/resource.js';

const rbac = 'rbac.authorization.k8s.io';

/** Kinds an installation may consist of. */
export const roles: Resource = {
  group: rbac,
  version: 'v1',
  plural: 'roles',
  kind: 'Role',
  isNamespaced: true,
};
export const roleBindings: Resource = {
  group: rbac,
  version: 'v1',
  plural: 'rolebindings',
  kind: 'RoleBinding',
  isNamespaced: true,
};
const known: readonly Resource[] = [
  namespaces,
  customResourceDefinitions,
  serviceAccounts,
  clusterRoles,
  clusterRoleBindings,
  roles,
  roleBindings,
  configMaps,
  resourceQuotas,
  services,
  podDisruptionBudgets,
  deployments,
  daemonSets,
  gateways,
];

/** Where objects of a kind live. @throws MESH0304 for a kind the installer does not know */
export function resourceOf(object: { readonly apiVersion: string; readonly kind: string }): Resource {
  const found = known.find((r) => r.kind === object.kind && apiVersionOf(r) === object.apiVersion);
  if (found === undefined) {
    throw new MeshError('MESH0304', `the installer does not know ${object.apiVersion} ${object.kind}`);
  }
  return found;
}
