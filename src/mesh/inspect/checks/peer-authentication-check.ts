import { namespaces, peerAuthentications, pods, services } from '#base/kube/resource.js';
import type { PeerAuthentication, Pod, Service } from '#base/kube/types.js';
import { groupBy } from '#base/collections/group-by.js';
import { peerAuthFacts, peerAuthScope, workloadMtls } from '../../rules/mtls-mode.js';
import type { Configuration } from '../configuration/configuration.js';
import { type Finding, subjectOf, subjectText } from '../findings/finding.js';
import { editCommand, findingAbout } from './check-finding.js';
import { configuredPodsOf } from './configured-pods.js';
import type { ConfigurationCheck } from './configuration-check.js';

/** PeerAuthentications of which another of the same scope wins, and Services for the outside that STRICT closes. */
export const peerAuthenticationScopes: ConfigurationCheck = {
  codes: ['MESH1134', 'MESH1135'],
  reads: [peerAuthentications, services, pods, namespaces],
  run: (configuration) => [...sameScopeFindings(configuration), ...outsideFindings(configuration)],
};

/** The oldest of a scope applies, as the rule has it; the others are silent. */
function sameScopeFindings(configuration: Configuration): Finding[] {
  const all = configuration.list<PeerAuthentication>(peerAuthentications);
  const scopes = groupBy(all, (policy) => {
    const { namespace, selector } = peerAuthFacts(policy);
    return JSON.stringify([
      namespace,
      Object.entries(selector ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1)),
    ]);
  });
  return [...scopes.values()].flatMap((group) => {
    const [winner, ...others] = group.toSorted((a, b) => (rankOf(a) < rankOf(b) ? -1 : 1));
    if (winner === undefined) return [];
    return others
      .filter((policy) => configuration.isAskedAbout(policy))
      .map((policy) =>
        findingAbout(policy, configuration, {
          code: 'MESH1134',
          severity: 'warning',
          message: `${subjectText(subjectOf(policy))} has no effect: ${subjectText(subjectOf(winner))} has the same scope and is older`,
          concerns: [subjectOf(winner)],
          fix: `kubectl delete peerauthentication ${policy.metadata.name} -n ${policy.metadata.namespace}`,
        }),
      );
  });
}

function rankOf({ metadata }: PeerAuthentication): string {
  return `${metadata.creationTimestamp ?? ''}/${metadata.name}`;
}

const outsideTypes: ReadonlySet<string> = new Set(['LoadBalancer', 'NodePort']);

/** Who calls through a load balancer or a node's port has no identity, and is refused by STRICT. */
function outsideFindings(configuration: Configuration): Finding[] {
  const { rootNamespace } = configuration.settings.mesh;
  const known = configuredPodsOf(configuration);
  const facts = configuration.list<PeerAuthentication>(peerAuthentications).map(peerAuthFacts);
  if (facts.length === 0) return [];
  return configuration
    .list<Service>(services)
    .filter(
      (service) => configuration.isAskedAbout(service) && outsideTypes.has(service.spec.type ?? 'ClusterIP'),
    )
    .flatMap((service) => {
      const { namespace = '' } = service.metadata;
      const { selector = {}, type } = service.spec;
      if (Object.keys(selector).length === 0) return [];
      const scope = peerAuthScope(facts, { namespace, rootNamespace });
      const strict = known.withLabels(namespace, selector).find((pod: Pod) => {
        const mtls = workloadMtls({ namespace, labels: pod.metadata.labels ?? {} }, scope);
        return mtls.mode === 'STRICT' && mtls.exceptions.length === 0 && known.isEnrolled(pod);
      });
      if (strict === undefined) return [];
      const { decidedBy } = workloadMtls({ namespace, labels: strict.metadata.labels ?? {} }, scope);
      const policy = `PeerAuthentication ${decidedBy?.namespace}/${decidedBy?.name}`;
      return [
        findingAbout(service, configuration, {
          code: 'MESH1135',
          severity: 'info',
          message: `${subjectText(subjectOf(service))} is of type ${type}, and ${policy} (STRICT) refuses callers from outside the mesh`,
          fix: `Let them in through a gateway, or make the port PERMISSIVE: ${editCommand({ apiVersion: '', kind: 'PeerAuthentication', metadata: { name: decidedBy?.name ?? '', namespace: decidedBy?.namespace ?? '' } })}`,
        }),
      ];
    });
}
