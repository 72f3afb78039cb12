import type { Resource } from './resource.js';
import type { KubeObject, LabelSelector } from './types.js';

/** One side of a rule (networking.k8s.io/v1 NetworkPolicyPeer). */
export interface PolicyPeer {
  podSelector?: LabelSelector;
  namespaceSelector?: LabelSelector;
  ipBlock?: { cidr: string; except?: string[] };
}

/** A port or range of ports (networking.k8s.io/v1 NetworkPolicyPort). */
export interface PolicyPort {
  protocol?: string;
  port?: number | string;
  endPort?: number;
}

/** networking.k8s.io/v1 NetworkPolicy. */
export interface NetworkPolicy extends KubeObject {
  spec?: {
    podSelector?: LabelSelector;
    policyTypes?: string[];
    ingress?: { from?: PolicyPeer[]; ports?: PolicyPort[] }[];
    egress?: { to?: PolicyPeer[]; ports?: PolicyPort[] }[];
  };
}

/** networking.k8s.io/v1 */
export const networkPolicies: Resource = {
  group: 'networking.k8s.io',
  version: 'v1',
  plural: 'networkpolicies',
  kind: 'NetworkPolicy',
  isNamespaced: true,
};

/** What a policy says about one direction; absent when the policy does not isolate that direction. */
export interface PolicyDirection {
  readonly rules: readonly { readonly peers: readonly PolicyPeer[]; readonly ports: readonly PolicyPort[] }[];
}

/** The rules of a policy by direction, with policyTypes inferred as the API documents it. */
export function directionsOf(policy: NetworkPolicy): {
  readonly ingress: PolicyDirection | undefined;
  readonly egress: PolicyDirection | undefined;
} {
  const { policyTypes = [], ingress = [], egress = [] } = policy.spec ?? {};
  const types = policyTypes.length > 0 ? policyTypes : ['Ingress', ...(egress.length > 0 ? ['Egress'] : [])];
  return {
    ingress: types.includes('Ingress')
      ? { rules: ingress.map(({ from = [], ports = [] }) => ({ peers: from, ports })) }
      : undefined,
    egress: types.includes('Egress')
      ? { rules: egress.map(({ to = [], ports = [] }) => ({ peers: to, ports })) }
      : undefined,
  };
}
