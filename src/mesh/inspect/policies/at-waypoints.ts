import { clone, equals } from '@bufbuild/protobuf';
import type { AuthorizationPolicy } from '#base/kube/types.js';
import type { ServiceFacts } from '../../rules/facts.js';
import { convertToL7, unsupportedReason } from '../../rules/l7-authorization.js';
import { resolveTargets, type TargetLookup, targetRefsOf } from '../../rules/policy-targets.js';
import { waypointKey } from '../../rules/waypoint.js';
import {
  type AuthorizationPolicy as L7Policy,
  AuthorizationPolicy_Action,
  AuthorizationPolicySchema,
} from '../../xds/gen/meshctl/l7_pb.js';
import { type AppliedPolicy, headOf, policyKeyOf, type PolicySources } from './applied-policy.js';

/** What the waypoints in the way of the pod do with a policy that has targetRefs. */
export function atWaypoints(policy: AuthorizationPolicy, from: PolicySources): AppliedPolicy[] {
  const refs = targetRefsOf(policy);
  const unsupported = unsupportedReason(policy);
  const common = { ...headOf(policy), ...(unsupported === undefined ? {} : { shortfall: unsupported }) };
  const services = from.bindings.services.map(({ facts }) => facts);
  const targets = resolveTargets(policy, lookupOf(from));
  const found = new Map<string, AppliedPolicy>();
  for (const [index, target] of targets.entries()) {
    const service = serviceNamed(services, refs[index]?.kind === 'Service' ? refs[index].name : undefined);
    const isForUs = target.service === undefined || service?.namespace === target.service.namespace;
    const gateways = isForUs ? target.gateways.filter((key) => from.loadedAt.has(key)) : [];
    for (const key of gateways) {
      const enforcedBy = `waypoint ${key}`;
      found.set(enforcedBy, { ...common, enforcedBy, ...stateAtWaypoint({ policy, service, key }, from) });
    }
    if (
      gateways.length === 0 &&
      target.problem !== undefined &&
      service?.namespace === policy.metadata.namespace
    ) {
      found.set('nothing', {
        ...common,
        enforcedBy: 'nothing',
        isLoaded: false,
        shortfall: target.problem.message,
      });
    }
  }
  return [...found.values()];
}

function stateAtWaypoint(
  of: {
    readonly policy: AuthorizationPolicy;
    readonly service: ServiceFacts | undefined;
    readonly key: string;
  },
  from: PolicySources,
): Pick<AppliedPolicy, 'isLoaded' | 'difference'> {
  const loaded = from.loadedAt.get(of.key);
  if (loaded === undefined) return { isLoaded: undefined };
  const key = policyKeyOf(headOf(of.policy));
  const shown = loaded.find((p) => policyKeyOf(p) === key);
  if (shown === undefined) return { isLoaded: false, difference: 'the waypoint does not have it' };
  const isForAll = shown.targets.length === 0;
  if (of.service === undefined ? !isForAll : !isForAll && !isTarget(shown, of.service)) {
    return { isLoaded: false, difference: 'the waypoint has it, but for other services' };
  }
  const bare = clone(AuthorizationPolicySchema, shown);
  bare.targets = [];
  const isSame = equals(AuthorizationPolicySchema, bare, convertToL7(of.policy, []));
  return isSame
    ? { isLoaded: true }
    : { isLoaded: true, difference: 'the waypoint has another version of it' };
}

/** What the waypoints enforce for the pod and no object asks for. */
export function unaskedAtWaypoints(from: PolicySources, wanted: readonly AppliedPolicy[]): AppliedPolicy[] {
  const services = from.bindings.services.map(({ facts }) => facts);
  return [...from.loadedAt].flatMap(([key, loaded]) => {
    const enforcedBy = `waypoint ${key}`;
    const asked = new Set(wanted.filter((p) => p.enforcedBy === enforcedBy).map(policyKeyOf));
    return (loaded ?? [])
      .filter((p) => p.targets.length === 0 || services.some((service) => isTarget(p, service)))
      .filter((p) => !asked.has(policyKeyOf(p)))
      .map((p) => ({
        namespace: p.namespace,
        name: p.name,
        action: AuthorizationPolicy_Action[p.action] ?? String(p.action),
        enforcedBy,
        isLoaded: true,
        difference: 'the waypoint enforces it, and no AuthorizationPolicy asks for it there',
      }));
  });
}

/** The cluster as far as it concerns the pod: its services and the waypoints in its way. */
function lookupOf({ mesh, bindings, gatewayClasses }: PolicySources): TargetLookup {
  const { services, waypoints } = bindings;
  const isReady = (key: string) => (waypoints.get(key)?.addresses.length ?? 0) > 0;
  return {
    rootNamespace: mesh.rootNamespace,
    clusterDomain: '',
    gateway: (key) => (waypoints.get(key) === undefined ? undefined : { isReady: isReady(key) }),
    serviceWaypoint: (namespace, name) => {
      const found = services.find(({ facts }) => facts.namespace === namespace && facts.name === name);
      if (found === undefined) return undefined;
      const use = found.waypoint;
      if (use?.isUsed !== true) return null;
      const gateway = waypointKey(use.namespace, use.name);
      return { gateway, isReady: isReady(gateway) };
    },
    gatewayClass: (name) => gatewayClasses.find(({ metadata }) => metadata.name === name)?.spec,
    gatewaysOfClass: (name) =>
      [...waypoints].flatMap(([key, waypoint]) => (waypoint?.className === name ? [key] : [])),
  };
}

/** Hostnames in a waypoint end in the cluster's domain, which need not be known here. */
function isTarget(policy: L7Policy, service: ServiceFacts): boolean {
  const start = `${service.name}.${service.namespace}.svc.`;
  return policy.targets.some(
    ({ namespace, hostname }) => namespace === service.namespace && hostname.startsWith(start),
  );
}

function serviceNamed(services: readonly ServiceFacts[], name: string | undefined): ServiceFacts | undefined {
  return name === undefined ? undefined : services.find((service) => service.name === name);
}
