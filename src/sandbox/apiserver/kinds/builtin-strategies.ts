import { crdStrategy } from '../crd/crd-strategy.js';
import type { Strategy } from '../registry/resource.js';
import { admissionPolicyStrategies } from './admission-policies.js';
import { admissionWebhookStrategies } from './admission-webhooks.js';
import { controllerRevisionStrategy } from './apps/controller-revision.js';
import { daemonSetStrategy } from './apps/daemon-set.js';
import { deploymentStrategy } from './apps/deployment.js';
import {
  podTemplateStrategy,
  replicaSetStrategy,
  replicationControllerStrategy,
} from './apps/replica-set.js';
import { statefulSetStrategy } from './apps/stateful-set.js';
import { autoscalerStrategy } from './autoscaling/autoscaler.js';
import { cronJobStrategy } from './batch/cron-job.js';
import { jobStrategy } from './batch/job.js';
import { signingRequestStrategy } from './certificates/signing-request.js';
import { configMapStrategy, secretStrategy } from './core/config-data.js';
import { endpointsStrategy } from './core/endpoints.js';
import { eventStrategy } from './core/event.js';
import { leaseStrategy } from './core/lease.js';
import { namespaceStrategy } from './core/namespace.js';
import { nodeStrategy } from './core/node.js';
import { limitRangeStrategy, resourceQuotaStrategy } from './core/quota.js';
import { runtimeClassStrategy } from './core/runtime-class.js';
import { apiServiceStrategy } from './machinery/api-service.js';
import { flowSchemaStrategy, priorityLevelStrategy } from './machinery/flow-control.js';
import { endpointSliceStrategy } from './networking/endpoint-slice.js';
import { ingressClassStrategy, ingressStrategy } from './networking/ingress.js';
import { networkPolicyStrategy } from './networking/network-policy.js';
import { podStrategy } from './pods/pod.js';
import { disruptionBudgetStrategy } from './policy/disruption-budget.js';
import { priorityClassStrategy } from './policy/priority-class.js';
import { rbacStrategies } from './rbac.js';
import { serviceStrategy } from './service.js';
import { persistentVolumeClaimStrategy } from './storage/claim.js';
import { storageClassStrategy, volumeAttachmentStrategy } from './storage/class.js';
import { csiDriverStrategy, csiNodeStrategy, csiStorageCapacityStrategy } from './storage/csi.js';
import { persistentVolumeStrategy } from './storage/volume.js';

/** What is particular about each built-in kind, by qualified plural. */
export const builtinStrategies: Readonly<Record<string, Strategy>> = {
  configmaps: configMapStrategy,
  endpoints: endpointsStrategy,
  events: eventStrategy,
  limitranges: limitRangeStrategy,
  namespaces: namespaceStrategy,
  nodes: nodeStrategy,
  persistentvolumeclaims: persistentVolumeClaimStrategy,
  persistentvolumes: persistentVolumeStrategy,
  pods: podStrategy,
  podtemplates: podTemplateStrategy,
  replicationcontrollers: replicationControllerStrategy,
  resourcequotas: resourceQuotaStrategy,
  secrets: secretStrategy,
  services: serviceStrategy,
  'apiservices.apiregistration.k8s.io': apiServiceStrategy,
  'certificatesigningrequests.certificates.k8s.io': signingRequestStrategy,
  'controllerrevisions.apps': controllerRevisionStrategy,
  'cronjobs.batch': cronJobStrategy,
  'csidrivers.storage.k8s.io': csiDriverStrategy,
  'csinodes.storage.k8s.io': csiNodeStrategy,
  'csistoragecapacities.storage.k8s.io': csiStorageCapacityStrategy,
  'customresourcedefinitions.apiextensions.k8s.io': crdStrategy,
  'daemonsets.apps': daemonSetStrategy,
  'deployments.apps': deploymentStrategy,
  'endpointslices.discovery.k8s.io': endpointSliceStrategy,
  'flowschemas.flowcontrol.apiserver.k8s.io': flowSchemaStrategy,
  'horizontalpodautoscalers.autoscaling': autoscalerStrategy,
  'ingressclasses.networking.k8s.io': ingressClassStrategy,
  'ingresses.networking.k8s.io': ingressStrategy,
  'jobs.batch': jobStrategy,
  'leases.coordination.k8s.io': leaseStrategy,
  'networkpolicies.networking.k8s.io': networkPolicyStrategy,
  'poddisruptionbudgets.policy': disruptionBudgetStrategy,
  'priorityclasses.scheduling.k8s.io': priorityClassStrategy,
  'prioritylevelconfigurations.flowcontrol.apiserver.k8s.io': priorityLevelStrategy,
  'replicasets.apps': replicaSetStrategy,
  'runtimeclasses.node.k8s.io': runtimeClassStrategy,
  'statefulsets.apps': statefulSetStrategy,
  'storageclasses.storage.k8s.io': storageClassStrategy,
  'volumeattachments.storage.k8s.io': volumeAttachmentStrategy,
  ...admissionWebhookStrategies,
  ...admissionPolicyStrategies,
  ...rbacStrategies,
};
