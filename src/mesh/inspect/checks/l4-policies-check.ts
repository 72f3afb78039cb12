import { counted } from '#base/collections/counted.js';
import { authorizationPolicies, namespaces, peerAuthentications, pods } from '#base/kube/resource.js';
import type { AuthorizationPolicy, PeerAuthentication } from '#base/kube/types.js';
import { convertToL4, l4Shortfall } from '../../rules/l4-authorization.js';
import { peerAuthFacts, peerAuthShortfall } from '../../rules/mtls-mode.js';
import { hasTargetRefs, selectorOf } from '../../rules/policy-targets.js';
import type { Configuration } from '../configuration/configuration.js';
import { type Finding, subjectOf, subjectText } from '../findings/finding.js';
import { editCommand, findingAbout } from './check-finding.js';
import { configuredPodsOf } from './configured-pods.js';
import { conditionEvidence } from './condition-evidence.js';
import type { ConfigurationCheck } from './configuration-check.js';

/**
 * Policies for node proxies that are not enforced as they are written, or at nobody: HTTP in a policy without targetRefs,
 * selectors that match no pod, pods that are not in the mesh.
 */
export const l4Policies: ConfigurationCheck = {
  codes: ['MESH1130', 'MESH1131', 'MESH1132', 'MESH1133'],
  reads: [authorizationPolicies, peerAuthentications, namespaces, pods],
  run: (configuration) => [
    ...configuration
      .list<AuthorizationPolicy>(authorizationPolicies)
      .filter((policy) => configuration.isAskedAbout(policy) && !hasTargetRefs(policy))
      .flatMap((policy) => shortfallFindings(policy, configuration)),
    ...reachFindings(configuration),
    ...configuration
      .list<PeerAuthentication>(peerAuthentications)
      .filter((policy) => configuration.isAskedAbout(policy))
      .flatMap((policy) => peerAuthFindings(policy, configuration)),
  ],
};

function shortfallFindings(policy: AuthorizationPolicy, configuration: Configuration): Finding[] {
  const conversion = convertToL4(policy, configuration.settings.mesh);
  const shortfall = l4Shortfall(conversion);
  if (shortfall === undefined) return [];
  const action = policy.spec?.action ?? 'ALLOW';
  const admitsNobody =
    action === 'ALLOW' &&
    conversion.authorization !== undefined &&
    conversion.authorization.rules.length === 0;
  const effect = admitsNobody ? 'every call to the pods it selects is refused' : shortfall;
  return [
    findingAbout(policy, configuration, {
      code: 'MESH1130',
      severity: 'error',
      message: `${subjectText(subjectOf(policy))} (${action}) asks node proxies for what only a waypoint can do: ${effect}`,
      concerns:
        selectorOf(policy) === undefined
          ? [{ kind: 'Namespace', name: policy.metadata.namespace ?? '' }]
          : [],
      evidence: [...(admitsNobody ? [shortfall] : []), ...conditionEvidence(policy)],
      fix: `Attach it to a waypoint: replace spec.selector by targetRefs to the Service; meshctl waypoint apply -n ${policy.metadata.namespace}`,
    }),
  ];
}

/** Selectors that match nothing, and pods that policies select in vain because they are not in the mesh. */
function reachFindings(configuration: Configuration): Finding[] {
  const { rootNamespace } = configuration.settings.mesh;
  const known = configuredPodsOf(configuration);
  return configuration
    .list<AuthorizationPolicy>(authorizationPolicies)
    .filter((policy) => configuration.isAskedAbout(policy) && !hasTargetRefs(policy))
    .flatMap((policy): Finding[] => {
      const namespace = policy.metadata.namespace ?? '';
      // Those of the whole mesh concern pods that nobody asked about.
      if (namespace === rootNamespace || !configuration.isSeen(pods, namespace)) return [];
      const selector = selectorOf(policy);
      const selected = known.withLabels(namespace, selector ?? {});
      const name = subjectText(subjectOf(policy));
      if (selected.length === 0) {
        if (selector === undefined) return [];
        const wanted = Object.entries(selector).map(([key, value]) => `${key}=${value}`);
        return [
          findingAbout(policy, configuration, {
            code: 'MESH1131',
            severity: 'warning',
            message: `${name} selects no pod: none in ${namespace} has ${wanted.join(',')}`,
            fix: `kubectl get pods -n ${namespace} --show-labels`,
          }),
        ];
      }
      if (!configuration.isNamespaceKnown(namespace)) return [];
      if (selected.some((pod) => known.isEnrolled(pod))) return [];
      return [
        findingAbout(policy, configuration, {
          code: 'MESH1132',
          severity: 'warning',
          message: `${name} has no effect: none of what it selects (${counted(selected.length, 'pod')}) is in the mesh`,
          concerns: selected.map(subjectOf),
          fix: `meshctl enroll ${namespace} --wait`,
        }),
      ];
    });
}

function peerAuthFindings(policy: PeerAuthentication, configuration: Configuration): Finding[] {
  return [...peerAuthShortfalls(policy, configuration), ...peerAuthReach(policy, configuration)];
}

/** A selector of a PeerAuthentication that selects nobody: those it was meant for have another mode. */
function peerAuthReach(policy: PeerAuthentication, configuration: Configuration): Finding[] {
  const namespace = policy.metadata.namespace ?? '';
  const { selector } = peerAuthFacts(policy);
  if (selector === undefined || Object.keys(selector).length === 0) return [];
  if (namespace === configuration.settings.mesh.rootNamespace || !configuration.isSeen(pods, namespace))
    return [];
  if (configuredPodsOf(configuration).withLabels(namespace, selector).length > 0) return [];
  const wanted = Object.entries(selector).map(([key, value]) => `${key}=${value}`);
  return [
    findingAbout(policy, configuration, {
      code: 'MESH1131',
      severity: 'warning',
      message: `${subjectText(subjectOf(policy))} selects no pod: none in ${namespace} has ${wanted.join(',')}`,
      fix: `kubectl get pods -n ${namespace} --show-labels`,
    }),
  ];
}

function peerAuthShortfalls(policy: PeerAuthentication, configuration: Configuration): Finding[] {
  const { rootNamespace } = configuration.settings.mesh;
  const shortfall = peerAuthShortfall(peerAuthFacts(policy), rootNamespace);
  if (shortfall === undefined) return [];
  return [
    findingAbout(policy, configuration, {
      code: 'MESH1133',
      severity: 'warning',
      message: `${subjectText(subjectOf(policy))} is not followed as it is written: ${shortfall}`,
      evidence: conditionEvidence(policy),
      fix: editCommand(policy),
    }),
  ];
}
