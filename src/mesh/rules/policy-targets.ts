import * as labels from '#base/kube/labels.js';
import type { AuthorizationPolicy, PolicyTargetReference } from '#base/kube/types.js';
import { serviceHostname } from './service-name.js';

/** Whether a policy is attached to an enforcement point by reference rather than by selector. */
export function hasTargetRefs(policy: AuthorizationPolicy): boolean {
  return policy.spec?.targetRef !== undefined || (policy.spec?.targetRefs ?? []).length > 0;
}

/** The labels a policy selects by. An empty selector selects everything, as if it were absent. */
export function selectorOf(policy: {
  readonly spec?: { readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> } };
}): Readonly<Record<string, string>> | undefined {
  const matchLabels = policy.spec?.selector?.matchLabels ?? {};
  return Object.keys(matchLabels).length === 0 ? undefined : matchLabels;
}

/** Whether labels have every pair of a selector; an absent selector selects nothing. */
export function selectsLabels(
  selector: Readonly<Record<string, string>> | undefined,
  labels: Readonly<Record<string, string>>,
): boolean {
  return selector !== undefined && Object.entries(selector).every(([key, value]) => labels[key] === value);
}

/** How a policy without targetRefs reaches workloads: all of the mesh, all of its namespace, or those it selects. */
export type PolicyReach = 'mesh' | 'namespace' | 'selector';

/** The reach of a policy without targetRefs. */
export function policyReach(policy: AuthorizationPolicy, rootNamespace: string): PolicyReach {
  if (selectorOf(policy) !== undefined) return 'selector';
  return policy.metadata.namespace === rootNamespace ? 'mesh' : 'namespace';
}

/** Whether the node proxy of a workload applies a policy. One with targetRefs is for waypoints only. */
export function appliesAtZtunnel(
  policy: AuthorizationPolicy,
  workload: { readonly namespace: string; readonly labels: Readonly<Record<string, string>> },
  rootNamespace: string,
): boolean {
  if (hasTargetRefs(policy)) return false;
  const { namespace } = policy.metadata;
  if (namespace !== workload.namespace && namespace !== rootNamespace) return false;
  const selector = selectorOf(policy);
  return selector === undefined || selectsLabels(selector, workload.labels);
}

/** Controller name of waypoint classes. */
export const meshController = 'istio.io/mesh-controller';

/** Why a target has no enforcement point. */
export type TargetProblem = 'Invalid' | 'TargetNotFound' | 'AncestorNotBound';

/** Where one targetRef of a policy is enforced. */
export interface TargetResult {
  /** `Kind name`, for messages. */
  readonly target: string;
  /** Gateways (`namespace/name`) the policy is sent to; also those that are not ready yet. */
  readonly gateways: readonly string[];
  /** Set for a Service target: the policy concerns that service only. */
  readonly service: { readonly namespace: string; readonly hostname: string } | undefined;
  /** Undefined: enforced. */
  readonly problem: { readonly reason: TargetProblem; readonly message: string } | undefined;
}

/** What resolving targets needs to know of the cluster. */
export interface TargetLookup {
  readonly rootNamespace: string;
  readonly clusterDomain: string;
  /** Whether a Gateway exists and has an address. */
  gateway(key: string): { readonly isReady: boolean } | undefined;
  /** The waypoint a Service is bound to; null when it has none, undefined when there is no such Service. */
  serviceWaypoint(
    namespace: string,
    name: string,
  ): { readonly gateway: string; readonly isReady: boolean } | null | undefined;
  gatewayClass(name: string): { readonly controllerName: string } | undefined;
  /** Keys of the Gateways of a class. */
  gatewaysOfClass(name: string): readonly string[];
}

/** The references of a policy, whichever field holds them. */
export function targetRefsOf(policy: AuthorizationPolicy): readonly PolicyTargetReference[] {
  const single = policy.spec?.targetRef;
  return [...(single === undefined ? [] : [single]), ...(policy.spec?.targetRefs ?? [])];
}

/** Finds the enforcement point of each of a policy's targets. */
export function resolveTargets(policy: AuthorizationPolicy, lookup: TargetLookup): TargetResult[] {
  const namespace = policy.metadata.namespace ?? '';
  return targetRefsOf(policy).map((ref) => resolveTarget({ ref, namespace }, lookup));
}

function resolveTarget(
  { ref, namespace }: { readonly ref: PolicyTargetReference; readonly namespace: string },
  lookup: TargetLookup,
): TargetResult {
  const target = `${ref.kind} ${ref.name}`;
  const fail = (reason: TargetProblem, message: string): TargetResult => ({
    target,
    gateways: [],
    service: undefined,
    problem: { reason, message },
  });
  if (ref.namespace !== undefined && ref.namespace !== '' && ref.namespace !== namespace) {
    return fail('Invalid', `${target} is in another namespace than the policy`);
  }
  switch (`${ref.group ?? ''}/${ref.kind}`) {
    case 'gateway.networking.k8s.io/Gateway': {
      const key = `${namespace}/${ref.name}`;
      const gateway = lookup.gateway(key);
      if (gateway === undefined) return fail('TargetNotFound', `Gateway ${key} does not exist`);
      return {
        target,
        gateways: [key],
        service: undefined,
        problem: gateway.isReady
          ? undefined
          : { reason: 'TargetNotFound', message: `Gateway ${key} has no address yet` },
      };
    }
    case '/Service':
    case 'core/Service': {
      const waypoint = lookup.serviceWaypoint(namespace, ref.name);
      if (waypoint === undefined)
        return fail('TargetNotFound', `Service ${namespace}/${ref.name} does not exist`);
      if (waypoint === null) {
        return fail('AncestorNotBound', `Service ${namespace}/${ref.name} is not bound to a waypoint`);
      }
      return {
        target,
        gateways: [waypoint.gateway],
        service: { namespace, hostname: serviceHostname(namespace, ref.name, lookup.clusterDomain) },
        problem: waypoint.isReady
          ? undefined
          : { reason: 'AncestorNotBound', message: `waypoint ${waypoint.gateway} is not ready` },
      };
    }
    case 'gateway.networking.k8s.io/GatewayClass': {
      if (namespace !== lookup.rootNamespace) {
        return fail('Invalid', `policies for a GatewayClass must be in namespace ${lookup.rootNamespace}`);
      }
      const gatewayClass = lookup.gatewayClass(ref.name);
      if (gatewayClass === undefined)
        return fail('TargetNotFound', `GatewayClass ${ref.name} does not exist`);
      if (gatewayClass.controllerName !== meshController || ref.name !== labels.waypointClass) {
        return fail('Invalid', `GatewayClass ${ref.name} is not a class of waypoints`);
      }
      return { target, gateways: lookup.gatewaysOfClass(ref.name), service: undefined, problem: undefined };
    }
    default:
      return fail('Invalid', `a policy cannot target ${ref.kind} of group "${ref.group ?? ''}"`);
  }
}
