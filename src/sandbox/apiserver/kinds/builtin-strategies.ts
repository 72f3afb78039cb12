import { crdStrategy } from '../crd/crd-strategy.js';
import type { Strategy } from '../registry/resource.js';
import { autoscalerStrategy } from './autoscaling/autoscaler.js';
import { admissionPolicyStrategies } from './admission-policies.js';
import { admissionWebhookStrategies } from './admission-webhooks.js';
import { clusterStrategies } from './cluster-kinds.js';
import { configurationStrategies } from './configuration.js';
import { namespaceStrategy } from './namespace.js';
import { podStrategy } from './pod.js';
import { quotaStrategies } from './quotas.js';
import { rbacStrategies } from './rbac.js';
import { serviceStrategy } from './service.js';
import { workloadStrategies } from './workloads.js';

/** What is particular about each built-in kind, by qualified plural. */
export const builtinStrategies: Readonly<Record<string, Strategy>> = {
  namespaces: namespaceStrategy,
  pods: podStrategy,
  services: serviceStrategy,
  'customresourcedefinitions.apiextensions.k8s.io': crdStrategy,
  'horizontalpodautoscalers.autoscaling': autoscalerStrategy,
  ...configurationStrategies,
  ...admissionWebhookStrategies,
  ...admissionPolicyStrategies,
  ...quotaStrategies,
  ...clusterStrategies,
  ...workloadStrategies,
  ...rbacStrategies,
};
