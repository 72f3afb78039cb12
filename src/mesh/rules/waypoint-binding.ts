import * as labels from '#base/kube/labels.js';
import type { GatewayAddress } from '../xds/gen/istio/workload_pb.js';
import type { WaypointFailurePolicy } from './mesh-config.js';
import { gatewayAddressOf, noWaypoint, waypointKey, type Waypoint } from './waypoint.js';

type Labels = Readonly<Record<string, string>>;

/** Why an object that names a waypoint is not served by it. Reasons as upstream writes them. */
export type BindingProblem = 'WaypointIsNotReady' | 'AttachmentDenied' | 'UnsupportedTrafficType';

/** Outcome of looking for an object's waypoint. */
export type WaypointBinding =
  | { readonly kind: 'none' }
  | {
      readonly kind: 'bound';
      /** `namespace/name` of the Gateway. */
      readonly waypoint: string;
      readonly address: GatewayAddress;
      /** Set when traffic is sent to a waypoint that cannot take it yet, so that it fails instead of passing by. */
      readonly problem: BindingProblem | undefined;
    }
  | { readonly kind: 'refused'; readonly waypoint: string; readonly problem: BindingProblem };

export interface BindingInput {
  readonly namespace: string;
  readonly labels: Labels;
  /** Of the ServiceAccount that a workload runs as. */
  readonly accountLabels?: Labels | undefined;
  readonly namespaceLabels: Labels;
  readonly traffic: 'service' | 'workload';
  readonly getWaypoint: (key: string) => Waypoint | undefined;
  readonly failurePolicy: WaypointFailurePolicy;
  readonly clusterDomain: string;
  readonly network: string;
}

/**
 * Finds the waypoint of a Service or workload: its own label decides alone (`none` opts out), else of a workload that of
 * the ServiceAccount it runs as, else its namespace's. A waypoint that is missing or not ready keeps the binding, so that traffic is
 * refused rather than let past its policies; policy `open` restores upstream's behavior.
 */
export function bindWaypoint(input: BindingInput): WaypointBinding {
  if (isPartOfWaypoint(input, input.traffic, (key) => input.getWaypoint(key) !== undefined)) {
    return { kind: 'none' };
  }
  const named = waypointInEffect(input);
  if (named === undefined) return { kind: 'none' };

  const key = waypointKey(named.namespace, named.name);
  const waypoint = input.getWaypoint(key);
  // An unknown Gateway is taken for what one without a label would be: a waypoint for services.
  // Only an object that names it itself is bound to it whatever it is for.
  const isServed =
    waypoint === undefined
      ? input.traffic === 'service' || !named.isInherited
      : waypoint.traffic === 'all' || waypoint.traffic === input.traffic;
  // A workload that inherits a waypoint for services is the normal case, not a mistake.
  if (!isServed && input.traffic === 'workload' && named.isInherited) return { kind: 'none' };
  if (waypoint !== undefined && !isNamespaceAllowed(waypoint, input)) {
    return { kind: 'refused', waypoint: key, problem: 'AttachmentDenied' };
  }
  if (!isServed) return { kind: 'refused', waypoint: key, problem: 'UnsupportedTrafficType' };
  const isReady = (waypoint?.addresses.length ?? 0) > 0;
  if (!isReady && input.failurePolicy === 'open') {
    return { kind: 'refused', waypoint: key, problem: 'WaypointIsNotReady' };
  }
  return {
    kind: 'bound',
    waypoint: key,
    address: gatewayAddressOf({
      namespace: named.namespace,
      name: named.name,
      waypoint,
      clusterDomain: input.clusterDomain,
      network: input.network,
    }),
    problem: isReady ? undefined : 'WaypointIsNotReady',
  };
}

/** Labels that may name a waypoint, of an object and of what it belongs to. */
export type WaypointLabels = Pick<
  BindingInput,
  'namespace' | 'labels' | 'accountLabels' | 'namespaceLabels' | 'traffic'
>;

/** The waypoint that the labels in effect name, wherever it may be; undefined when none do, or one opts out. */
export function waypointInEffect(
  of: WaypointLabels,
): { readonly namespace: string; readonly name: string; readonly isInherited: boolean } | undefined {
  const accountLabels = of.traffic === 'workload' ? (of.accountLabels ?? {}) : {};
  const own = namedWaypoint(of.labels, of.namespace) ?? namedWaypoint(accountLabels, of.namespace);
  const named = own ?? namedWaypoint(of.namespaceLabels, of.namespace);
  return named === undefined || named === noWaypoint
    ? undefined
    : { ...named, isInherited: own === undefined };
}

/** A waypoint's own Service and pods are never behind a waypoint. */
export function isPartOfWaypoint(
  object: { readonly namespace: string; readonly labels: Labels },
  traffic: BindingInput['traffic'],
  isWaypoint: (key: string) => boolean,
): boolean {
  if (managedWaypoints.has(object.labels[labels.gatewayManaged] ?? '')) return true;
  const gateway = object.labels[labels.gatewayName];
  return (
    traffic === 'workload' && gateway !== undefined && isWaypoint(waypointKey(object.namespace, gateway))
  );
}

/** Whether an object's own label decides about its waypoint; an empty one does not. */
export function namesWaypoint(from: Labels): boolean {
  return (from[labels.useWaypoint] ?? '') !== '';
}

/** Values of the managed-by label on objects of a waypoint. */
const managedWaypoints: ReadonlySet<string> = new Set([
  'istio.io-mesh-controller',
  'istio.io-eastwest-controller',
]);

/** The waypoint that labels name, wherever it may be; `none` opts out. An empty value names nothing. */
export function namedWaypoint(
  from: Labels,
  ownNamespace: string,
): { readonly namespace: string; readonly name: string } | typeof noWaypoint | undefined {
  const name = from[labels.useWaypoint];
  if (name === undefined || !namesWaypoint(from)) return undefined;
  if (name === noWaypoint) return noWaypoint;
  const namespace = from[labels.useWaypointNamespace];
  return { name, namespace: namespace === undefined || namespace === '' ? ownNamespace : namespace };
}

/** What is wrong with a binding and what that does to traffic, in words; undefined when nothing is. */
export function bindingProblemText(
  binding: WaypointBinding,
  traffic: BindingInput['traffic'],
): string | undefined {
  if (binding.kind === 'none' || binding.problem === undefined) return undefined;
  const { waypoint } = binding;
  const consequence = binding.kind === 'bound' ? 'traffic is refused until it is ready' : 'it is not used';
  switch (binding.problem) {
    case 'WaypointIsNotReady':
      return `waypoint ${waypoint} is missing or not ready; ${consequence}`;
    case 'AttachmentDenied':
      return `waypoint ${waypoint} does not admit this namespace; ${consequence}`;
    case 'UnsupportedTrafficType':
      return `waypoint ${waypoint} is not for ${traffic}s; ${consequence}`;
  }
}

function isNamespaceAllowed(waypoint: Waypoint, input: BindingInput): boolean {
  if (waypoint.namespace === input.namespace && waypoint.allowedRoutes.from !== 'Selector') return true;
  switch (waypoint.allowedRoutes.from) {
    case 'All':
      return true;
    case 'Same':
      return false;
    case 'Selector':
      return labels.labelSelectorMatches(waypoint.allowedRoutes.selector, input.namespaceLabels);
  }
}
