import type { KubeClient } from '#base/kube/client.js';
import type { ApiServer } from '../base/api-server.js';
import { ClusterCaches, sharedSignal } from './cache/cluster-caches.js';
import {
  type Controller,
  type ClusterControllerDeps,
  type ControllerQueue,
  startController,
} from './controllers/controller.js';
import { cronJobController } from './controllers/batch/cron-job.js';
import { daemonSetController } from './controllers/apps/daemon-set.js';
import { deploymentController } from './controllers/apps/deployment.js';
import { endpointSliceMirroringController } from './controllers/service/endpoint-slice-mirroring.js';
import { endpointSliceController } from './controllers/service/endpoint-slice.js';
import { disruptionBudgetController } from './controllers/disruption/disruption-budget.js';
import { EventRecorder } from '../base/event-recorder.js';
import { jobController } from './controllers/batch/job.js';
import { jobOrphanController } from './controllers/batch/job-tracking.js';
import { loadBalancerController } from './controllers/service/load-balancer.js';
import { nodeLifecycleController } from './controllers/node/node-lifecycle.js';
import { policyTypesController } from './controllers/policy-types.js';
import { podAutoscalerController } from './controllers/pod-autoscaler.js';
import { certificateApproverController } from './controllers/certificates/certificate-approver.js';
import { certificateCleanerController } from './controllers/certificates/certificate-cleaner.js';
import { certificateSignerController } from './controllers/certificates/certificate-signer.js';
import { accountTokenController } from './controllers/namespace/account-tokens.js';
import { namespaceTerminationController } from './controllers/namespace/namespace-termination.js';
import { rootCaController } from './controllers/namespace/root-ca.js';
import { serviceAccountController } from './controllers/namespace/service-account.js';
import { podGarbageController } from './controllers/node/pod-garbage.js';
import { replicaSetController, replicationController } from './controllers/apps/replica-set.js';
import { statefulSetController } from './controllers/apps/stateful-set.js';
import { roleAggregationController } from './controllers/rbac/role-aggregation.js';
import { resourceQuotaController } from './controllers/quota/resource-quota.js';
import { controlPlaneIdentities } from './identities.js';
import { ownershipOf } from './garbage-collection/ownership-graph.js';
import { MetadataWatches } from './metadata/metadata-watches.js';
import { GarbageCollector } from './garbage-collection/garbage-collector.js';
import { claimBinderController } from './controllers/storage/claim-binder.js';
import { ephemeralClaimController } from './controllers/storage/ephemeral-claims.js';
import {
  claimProtectionController,
  volumeProtectionController,
} from './controllers/storage/storage-protection.js';
import { type RemoveNodeFolder, volumeReclaimController } from './controllers/storage/volume-reclaim.js';
import { schedulerController } from './scheduler/scheduler.js';

export { ensureDefaultStorageClass } from './controllers/storage/node-path-volume.js';
export { ClusterCaches } from './cache/cluster-caches.js';
export { type DnsOptions, type DnsServer, startDns } from './dns/dns-server.js';
export { publishDnsService } from './dns/dns-service.js';
export { type PolicyEnforcer, startPolicyEnforcer } from './network-policy/policy-enforcer.js';
export type { PodObject } from './network-policy/pod-set.js';
export { PolicyModel } from './network-policy/policy-model.js';
export {
  type ServiceRouting,
  type ServiceRoutingOptions,
  startServiceRouting,
} from './service-routing/service-routing.js';

type MakeController = (deps: ClusterControllerDeps, queue: ControllerQueue) => Controller;

/** Controllers with the component name their events are signed with. */
const controllers: Readonly<Record<string, MakeController>> = {
  'deployment-controller': deploymentController,
  'replicaset-controller': replicaSetController,
  'replication-controller': replicationController,
  'daemonset-controller': daemonSetController,
  'statefulset-controller': statefulSetController,
  'job-controller': jobController,
  'job-orphan-controller': jobOrphanController,
  'cronjob-controller': cronJobController,
  'endpoint-slice-controller': endpointSliceController,
  'endpoint-slice-mirroring-controller': endpointSliceMirroringController,
  'node-controller': nodeLifecycleController,
  'service-controller': loadBalancerController,
  'pod-garbage-collector': podGarbageController,
  'disruption-controller': disruptionBudgetController,
  'horizontal-pod-autoscaler': podAutoscalerController,
  'persistentvolume-controller': claimBinderController,
  'ephemeral-volume-controller': ephemeralClaimController,
  'pvc-protection-controller': claimProtectionController,
  'pv-protection-controller': volumeProtectionController,
};

/**
 * Starts the scheduler and the controllers of a cluster; they run until the
 * signal ends and survive restarts of the API server. `caches` may be shared
 * with service routing and DNS in the same process.
 */
export function startClusterControllers(o: {
  readonly client: KubeClient;
  /** Acts as the scheduler; `client` when absent. */
  readonly scheduler?: KubeClient;
  readonly signal: AbortSignal;
  readonly caches?: ClusterCaches;
  /** Takes the data of provisioned volumes off the disks of nodes. Without it none are provisioned. */
  readonly removeNodeFolder?: RemoveNodeFolder;
}): void {
  const { client } = o;
  const signal = sharedSignal(o.signal);
  const caches = o.caches ?? new ClusterCaches({ client, signal });
  for (const [component, make] of Object.entries(controllers)) {
    startController({ client, caches, signal, events: new EventRecorder({ client, component }) }, make);
  }
  if (o.removeNodeFolder !== undefined) {
    const component = 'volume-provisioner';
    const deps = { client, caches, signal, events: new EventRecorder({ client, component }) };
    startController(deps, volumeReclaimController(o.removeNodeFolder));
  }
  // One worker: each placement must see the one before.
  const scheduler = o.scheduler ?? client;
  const events = new EventRecorder({ client: scheduler, component: 'default-scheduler' });
  startController({ client: scheduler, caches, signal, events }, schedulerController, { workersMax: 1 });
}

/**
 * Starts the controllers that the API itself relies on, whatever runs in the cluster: garbage
 * collection, namespace termination, service accounts, role aggregation, certificates, quotas. They run until the signal ends.
 */
export async function startApiControllers(o: {
  readonly signal: AbortSignal;
  readonly caches?: ClusterCaches;
  readonly api: Pick<ApiServer, 'caPem' | 'tokenKeyPem' | 'identity' | 'connect' | 'sign'>;
}): Promise<void> {
  const { api } = o;
  const { caPem, tokenKeyPem } = api;
  const signal = sharedSignal(o.signal);
  const identities = await controlPlaneIdentities(api);
  const reader = identities.controllerManager;
  const caches = o.caches ?? new ClusterCaches({ client: reader, signal });
  const depsAs = (client: KubeClient, component: string): ClusterControllerDeps => ({
    client,
    caches,
    signal,
    events: new EventRecorder({ client, component }),
  });
  const start = async (name: string, make: MakeController): Promise<void> =>
    startController(depsAs(await identities.controller(name), name), make);
  startController(depsAs(reader, 'token-controller'), (deps, queue) =>
    accountTokenController(deps, queue, { caPem, signingKeyPem: tokenKeyPem }),
  );
  await start('service-account-controller', serviceAccountController);
  await start('root-ca-cert-publisher', (deps, queue) => rootCaController(deps, queue, { caPem, reader }));
  await start('namespace-controller', namespaceTerminationController);
  await start('clusterrole-aggregation-controller', roleAggregationController);
  const certificates = await identities.controller('certificate-controller');
  for (const make of [
    certificateApproverController,
    certificateCleanerController,
    (deps: ClusterControllerDeps, queue: ControllerQueue) => certificateSignerController(deps, queue, api),
  ])
    startController(depsAs(certificates, 'certificate-controller'), make);
  await start('validatingadmissionpolicy-status-controller', (deps, queue) =>
    policyTypesController(deps, queue, { reader }),
  );
  const watches = new MetadataWatches({ client: reader, signal, keep: ownershipOf });
  await start('resourcequota-controller', (deps, queue) =>
    resourceQuotaController(deps, queue, {
      watches,
      isCreationCountedByAdmission: api.identity.kind === 'external',
    }),
  );
  const client = await identities.controller('generic-garbage-collector');
  const events = new EventRecorder({ client, component: 'garbage-collector-controller' });
  void new GarbageCollector({ client, watches, signal, events }).run();
}
