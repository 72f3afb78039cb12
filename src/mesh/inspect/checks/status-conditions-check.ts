import { authorizationPolicies, gateways, peerAuthentications, services } from '#base/kube/resource.js';
import type { Condition, KubeObject } from '#base/kube/types.js';
import type { Configuration } from '../configuration/configuration.js';
import { type Finding, subjectOf, subjectText } from '../findings/finding.js';
import { findingAbout } from './check-finding.js';
import type { ConfigurationCheck } from './configuration-check.js';

type WithConditions = KubeObject & { readonly status?: { readonly conditions?: readonly Condition[] } };

/** Conditions that say whether the mesh does what an object asks for. */
const decisive: ReadonlySet<string> = new Set([
  'ZtunnelAccepted',
  'WaypointAccepted',
  'istio.io/WaypointBound',
  'Accepted',
  'Programmed',
  'ResolvedRefs',
]);

/** What the controller says does not hold, for what no other check explains. */
export const statusConditions: ConfigurationCheck = {
  codes: ['MESH1190'],
  reads: [authorizationPolicies, peerAuthentications, gateways, services],
  run: (configuration) =>
    [authorizationPolicies, peerAuthentications, gateways, services].flatMap((resource) =>
      configuration
        .list<WithConditions>(resource)
        .filter((object) => configuration.isAskedAbout(object))
        .flatMap((object) => findingsOf(object, configuration)),
    ),
};

function findingsOf(object: WithConditions, configuration: Configuration): Finding[] {
  const failing = (object.status?.conditions ?? []).filter(
    ({ type, status }) => status === 'False' && decisive.has(type),
  );
  const [first] = failing;
  if (first === undefined) return [];
  return [
    findingAbout(object, configuration, {
      code: 'MESH1190',
      severity: 'warning',
      message: `${subjectText(subjectOf(object))}: ${first.type} is False, ${first.reason ?? ''}: ${first.message ?? ''}`,
      evidence: failing
        .slice(1)
        .map(({ type, reason, message }) => `${type} is False, ${reason}: ${message}`),
      fix: `kubectl describe ${object.kind.toLowerCase()} ${object.metadata.name} -n ${object.metadata.namespace ?? ''}`,
    }),
  ];
}
