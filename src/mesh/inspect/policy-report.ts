import { labelSelectorMatches } from '#base/kube/labels.js';
import type { AuthorizationPolicy, Pod, PolicyTargetReference } from '#base/kube/types.js';
import type { ZtunnelDump } from './ztunnel-dump.js';

/** One AuthorizationPolicy that applies to a pod, and whether its enforcement point has it. */
export interface AppliedPolicy {
  readonly namespace: string;
  readonly name: string;
  readonly action: string;
  /** `ztunnel` (L4, at the pod) or `waypoint ns/name` (L7). */
  readonly enforcedBy: string;
  /** Seen in the enforcement point's own configuration; undefined when it could not be asked. */
  readonly isLoaded: boolean | undefined;
}

/** What a waypoint's admin endpoint tells of its policies. */
export interface WaypointPolicies {
  readonly namespace: string;
  readonly name: string;
  /** `namespace/name` of each policy; undefined when the waypoint could not be asked. */
  readonly loaded: ReadonlySet<string> | undefined;
}

/**
 * The AuthorizationPolicies that apply to a pod: selector and namespace policies at its
 * node proxy, targetRef policies at the waypoint of the services it backs.
 */
export function appliedPolicies(from: {
  readonly pod: Pod;
  readonly policies: readonly AuthorizationPolicy[];
  readonly rootNamespace: string;
  readonly dump: ZtunnelDump | undefined;
  /** Names of the services that select the pod. */
  readonly serviceNames: readonly string[];
  readonly waypoint: WaypointPolicies | undefined;
}): readonly AppliedPolicy[] {
  const { pod, dump, waypoint } = from;
  const namespace = pod.metadata.namespace ?? '';
  const workload = dump?.workloads.find((w) => w.namespace === namespace && w.name === pod.metadata.name);
  const applied: AppliedPolicy[] = [];
  for (const policy of from.policies) {
    const policyNamespace = policy.metadata.namespace ?? '';
    const key = `${policyNamespace}/${policy.metadata.name}`;
    const common = {
      namespace: policyNamespace,
      name: policy.metadata.name,
      action: policy.spec?.action ?? 'ALLOW',
    };
    const targets = targetsOf(policy);
    if (targets.length > 0) {
      if (waypoint === undefined || policyNamespace !== namespace) continue;
      if (!targets.some((t) => isTargetOf(t, from.serviceNames, waypoint))) continue;
      applied.push({
        ...common,
        enforcedBy: `waypoint ${waypoint.namespace}/${waypoint.name}`,
        isLoaded: waypoint.loaded?.has(key),
      });
      continue;
    }
    if (policyNamespace !== namespace && policyNamespace !== from.rootNamespace) continue;
    const selector = policy.spec?.selector;
    const hasSelector = Object.keys(selector?.matchLabels ?? {}).length > 0;
    if (hasSelector && !labelSelectorMatches(selector, pod.metadata.labels)) continue;
    const isKnown = dump?.policies.some((p) => `${p.namespace}/${p.name}` === key);
    const isAttached = !hasSelector || workload?.authorizationPolicies?.includes(key) === true;
    applied.push({
      ...common,
      enforcedBy: 'ztunnel',
      isLoaded: dump === undefined ? undefined : isKnown === true && isAttached,
    });
  }
  return applied;
}

function targetsOf(policy: AuthorizationPolicy): readonly PolicyTargetReference[] {
  return [
    ...(policy.spec?.targetRefs ?? []),
    ...(policy.spec?.targetRef === undefined ? [] : [policy.spec.targetRef]),
  ];
}

function isTargetOf(
  target: PolicyTargetReference,
  serviceNames: readonly string[],
  waypoint: { readonly name: string },
): boolean {
  if (target.kind === 'Service') return serviceNames.includes(target.name);
  if (target.kind === 'Gateway') return target.name === waypoint.name;
  return target.kind === 'GatewayClass';
}
