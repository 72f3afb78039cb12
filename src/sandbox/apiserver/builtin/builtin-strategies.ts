import { crdStrategy } from '../crd/crd-strategy.js';
import type { Strategy } from '../registry/resource.js';
import { admissionPolicyStrategies } from '../admission/policy/policy-strategies.js';
import { admissionWebhookStrategies } from '../admission/webhook/webhook-strategies.js';
import { controllerRevisionStrategy } from '../kinds/apps/controller-revision.js';
import { daemonSetStrategy } from '../kinds/apps/daemon-set.js';
import { deploymentStrategy } from '../kinds/apps/deployment.js';
import {
  podTemplateStrategy,
  replicaSetStrategy,
  replicationControllerStrategy,
} from '../kinds/apps/replica-set.js';
import { statefulSetStrategy } from '../kinds/apps/stateful-set.js';
import { autoscalerStrategy } from '../kinds/autoscaling/autoscaler.js';
import { cronJobStrategy } from '../kinds/batch/cron-job.js';
import { jobStrategy } from '../kinds/batch/job.js';
import { signingRequestStrategy } from '../kinds/certificates/signing-request.js';
import { configMapStrategy, secretStrategy } from '../kinds/core/config-data.js';
import { endpointsStrategy } from '../kinds/core/endpoints.js';
import { eventStrategy } from '../kinds/core/event.js';
import { leaseStrategy } from '../kinds/core/lease.js';
import { namespaceStrategy } from '../kinds/core/namespace.js';
import { nodeStrategy } from '../kinds/core/node.js';
import { limitRangeStrategy, resourceQuotaStrategy } from '../kinds/core/quota.js';
import { runtimeClassStrategy } from '../kinds/core/runtime-class.js';
import { apiServiceStrategy } from '../kinds/machinery/api-service.js';
import { flowSchemaStrategy, priorityLevelStrategy } from '../kinds/machinery/flow-control.js';
import { endpointSliceStrategy } from '../kinds/networking/endpoint-slice.js';
import { ingressClassStrategy, ingressStrategy } from '../kinds/networking/ingress.js';
import { networkPolicyStrategy } from '../kinds/networking/network-policy.js';
import { podStrategy } from '../kinds/pods/pod.js';
import { disruptionBudgetStrategy } from '../kinds/policy/disruption-budget.js';
import { priorityClassStrategy } from '../kinds/policy/priority-class.js';
import { rbacStrategies } from '../kinds/rbac.js';
import { serviceStrategy } from '../kinds/service.js';
import { persistentVolumeClaimStrategy } from '../kinds/storage/claim.js';
import { storageClassStrategy, volumeAttachmentStrategy } from '../kinds/storage/class.js';
import { csiDriverStrategy, csiNodeStrategy, csiStorageCapacityStrategy } from '../kinds/storage/csi.js';
import { persistentVolumeStrategy } from '../kinds/storage/volume.js';

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
