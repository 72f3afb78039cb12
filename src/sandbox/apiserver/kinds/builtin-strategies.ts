import type { Strategy } from '../registry/resource.js';
import { crdStrategy } from '../crd/crd-strategy.js';
import { namespaceStrategy } from './namespace.js';
import { rbacStrategies } from './rbac.js';

/** What is particular about each built-in kind, by qualified plural. */
export const builtinStrategies: Readonly<Record<string, Strategy>> = {
  namespaces: namespaceStrategy,
  'customresourcedefinitions.apiextensions.k8s.io': crdStrategy,
  ...rbacStrategies,
};
