import { waypointClass } from '#base/kube/labels.js';
import { gateways, namespaces, resourceQuotas } from '#base/kube/resource.js';
import type { Gateway, Namespace, ResourceQuota } from '#base/kube/types.js';
import type { Configuration } from '../configuration/configuration.js';
import { type Finding, subjectOf, subjectText } from '../findings/finding.js';
import { findingAbout } from './check-finding.js';
import type { ConfigurationCheck } from './configuration-check.js';

const enforcedLevel = 'pod-security.kubernetes.io/enforce';

/** Quotas and Pod Security levels that refuse the pods of the mesh: node agents, and waypoints where they are deployed. */
export const meshPodAdmission: ConfigurationCheck = {
  codes: ['MESH1180', 'MESH1181'],
  reads: [namespaces, gateways, resourceQuotas],
  run: (configuration) => [
    ...levelFindings(configuration),
    ...configuration
      .list<ResourceQuota>(resourceQuotas)
      .flatMap((quota) => quotaFindings(quota, configuration)),
  ],
};

/** Node agents use the network of the node and its files; waypoints run under every level. */
function levelFindings(configuration: Configuration): Finding[] {
  const { meshNamespace } = configuration;
  const namespace = configuration.find<Namespace>(namespaces, { name: meshNamespace });
  const level = namespace?.metadata.labels?.[enforcedLevel];
  if (namespace === undefined || level === undefined || level === 'privileged') return [];
  return [
    findingAbout(namespace, configuration, {
      code: 'MESH1181',
      severity: 'error',
      message: `Namespace ${meshNamespace} enforces Pod Security level ${level}, which refuses the node agents of the mesh`,
      fix: `kubectl label namespace ${meshNamespace} --overwrite ${enforcedLevel}=privileged`,
    }),
  ];
}

/** A quota on pods that is used up where a waypoint has no address yet, or that asks for limits a waypoint has none of. */
function quotaFindings(quota: ResourceQuota, configuration: Configuration): Finding[] {
  const namespace = quota.metadata.namespace ?? '';
  const waiting = configuration
    .inNamespace<Gateway>(gateways, namespace)
    .filter(
      ({ spec, status }) =>
        spec.gatewayClassName === waypointClass &&
        status?.conditions?.some((c) => c.type === 'Programmed' && c.status === 'True') !== true,
    );
  const [waypoint] = waiting;
  if (waypoint === undefined) return [];
  const hard = quota.status?.hard ?? quota.spec?.hard ?? {};
  const used = quota.status?.used ?? {};
  const exhausted = ['pods', 'count/pods', 'count/deployments.apps', 'services', 'count/services'].find(
    (name) => hard[name] !== undefined && Number(used[name] ?? 0) >= Number(hard[name]),
  );
  if (exhausted === undefined) return [];
  return [
    findingAbout(quota, configuration, {
      code: 'MESH1180',
      severity: 'error',
      message: `${subjectText(subjectOf(quota))} is used up (${exhausted}: ${used[exhausted] ?? '0'} of ${hard[exhausted]}): waypoint ${waypoint.metadata.name} cannot be deployed`,
      concerns: waiting.map(subjectOf),
      fix: `kubectl edit resourcequota ${quota.metadata.name} -n ${namespace}`,
    }),
  ];
}
