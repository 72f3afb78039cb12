import {
  authorizationPolicies,
  gatewayClasses,
  gateways,
  namespaces,
  services,
} from '#base/kube/resource.js';
import type { AuthorizationPolicy, GatewayClass, Service } from '#base/kube/types.js';
import {
  hasTargetRefs,
  resolveTargets,
  type TargetLookup,
  type TargetResult,
} from '../../rules/policy-targets.js';
import { unsupportedReason } from '../../rules/l7-authorization.js';
import type { Configuration } from '../configuration/configuration.js';
import { type Finding, subjectOf, subjectText } from '../findings/finding.js';
import { ConfiguredBindings } from './bindings-in-configuration.js';
import { editCommand, findingAbout } from './check-finding.js';
import { conditionEvidence } from './condition-evidence.js';
import type { ConfigurationCheck } from './configuration-check.js';

/** AuthorizationPolicies with targetRefs that no waypoint enforces: what they deny is admitted. */
export const policyTargets: ConfigurationCheck = {
  codes: ['MESH1120', 'MESH1121', 'MESH1122'],
  reads: [authorizationPolicies, services, namespaces, gateways, gatewayClasses],
  run: (configuration) => {
    const lookup = lookupIn(configuration);
    return configuration
      .list<AuthorizationPolicy>(authorizationPolicies)
      .filter((policy) => configuration.isAskedAbout(policy) && hasTargetRefs(policy))
      .flatMap((policy) => [
        ...unsupportedFindings(policy, configuration),
        ...resolveTargets(policy, lookup).flatMap((target) => findingsOf(policy, target, configuration)),
      ]);
  },
};

function findingsOf(
  policy: AuthorizationPolicy,
  { target, problem, gateways: enforcing }: TargetResult,
  configuration: Configuration,
): Finding[] {
  if (problem === undefined) return [];
  const namespace = policy.metadata.namespace ?? '';
  const [kind = '', name = ''] = target.split(' ');
  const isService = kind === 'Service';
  if (isService && !configuration.isSeen(services, namespace)) return [];
  if (kind === 'Gateway' && !configuration.isSeen(gateways, namespace)) return [];
  // Its namespace may name a waypoint, and one of another namespace may be ready.
  if (problem.reason === 'AncestorNotBound' && !configuration.isNamespaceKnown(namespace)) return [];
  if (enforcing.some((key) => !configuration.isSeen(gateways, key.split('/')[0]))) return [];
  const action = policy.spec?.action ?? 'ALLOW';
  const isMissing = problem.reason === 'TargetNotFound';
  return [
    findingAbout(policy, configuration, {
      code: isMissing ? 'MESH1121' : 'MESH1120',
      severity: 'error',
      message: `${subjectText(subjectOf(policy))} (${action}) is enforced by nobody at ${target}: ${problem.message}`,
      concerns: [{ kind, namespace, name }],
      evidence: conditionEvidence(policy),
      fix:
        isService && !isMissing
          ? `meshctl waypoint apply -n ${namespace}, then kubectl label service ${name} -n ${namespace} istio.io/use-waypoint=waypoint`
          : `Name an existing target, or remove the policy: ${editCommand(policy)}`,
    }),
  ];
}

function unsupportedFindings(policy: AuthorizationPolicy, configuration: Configuration): Finding[] {
  const unsupported = unsupportedReason(policy);
  if (unsupported === undefined) return [];
  return [
    findingAbout(policy, configuration, {
      code: 'MESH1122',
      severity: 'warning',
      message: `${subjectText(subjectOf(policy))} is not enforced as it is written: ${unsupported}`,
      evidence: conditionEvidence(policy),
      fix: editCommand(policy),
    }),
  ];
}

function lookupIn(configuration: Configuration): TargetLookup {
  const bindings = new ConfiguredBindings(configuration);
  const isReady = (key: string): boolean => (bindings.waypoints.get(key)?.addresses.length ?? 0) > 0;
  const classes = configuration.list<GatewayClass>(gatewayClasses);
  const byKey = new Map(
    configuration
      .list<Service>(services)
      .map((service) => [`${service.metadata.namespace ?? ''}/${service.metadata.name}`, service]),
  );
  return {
    rootNamespace: configuration.settings.mesh.rootNamespace,
    clusterDomain: '',
    gateway: (key) => (bindings.waypoints.has(key) ? { isReady: isReady(key) } : undefined),
    serviceWaypoint: (namespace, name) => {
      const service = byKey.get(`${namespace}/${name}`);
      if (service === undefined) return undefined;
      const binding = bindings.bind(service, 'service');
      return binding.kind === 'bound'
        ? { gateway: binding.waypoint, isReady: isReady(binding.waypoint) }
        : null;
    },
    gatewayClass: (name) => classes.find(({ metadata }) => metadata.name === name)?.spec,
    gatewaysOfClass: (name) =>
      [...bindings.waypoints].flatMap(([key, waypoint]) => (waypoint.className === name ? [key] : [])),
  };
}
