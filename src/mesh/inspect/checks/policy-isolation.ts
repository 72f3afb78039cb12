import { labelSelectorMatches } from '#base/kube/labels.js';
import {
  directionsOf,
  networkPolicies,
  type NetworkPolicy,
  type PolicyPeer,
  type PolicyPort,
} from '#base/kube/network-policy.js';
import type { Pod } from '#base/kube/types.js';
import { ipToBytes } from '#base/net/address.js';
import { isInCidr, parseNetwork } from '#base/net/cidr.js';
import type { Configuration } from '../configuration/configuration.js';
import { type ConfiguredPods, configuredPodsOf } from './configured-pods.js';

/** What NetworkPolicies let into pods and out of them, as networking.k8s.io/v1 defines it. */
export class PolicyIsolation {
  readonly #configuration: Configuration;
  readonly #known: ConfiguredPods;
  /** By direction, namespace and labels, which the pods of a workload have in common. */
  readonly #isolating = new Map<string, readonly NetworkPolicy[]>();

  constructor(configuration: Configuration) {
    this.#configuration = configuration;
    this.#known = configuredPodsOf(configuration);
  }

  /** Policies that isolate a pod for what comes in; without any everything is let in. */
  ingressPolicies(pod: Pod): readonly NetworkPolicy[] {
    return this.#policies('ingress', pod);
  }

  /** Policies that isolate a pod for what goes out; without any everything is let out. */
  egressPolicies(pod: Pod): readonly NetworkPolicy[] {
    return this.#policies('egress', pod);
  }

  /** Whether a pod may call another on a TCP port, as far as the policies of the one that calls go. */
  letsOut(pod: Pod, called: Pod, port: number): boolean {
    const policies = this.egressPolicies(pod);
    return policies.length === 0 || this.#isAdmitted('egress', policies, { pod, other: called, port });
  }

  #policies(direction: 'ingress' | 'egress', pod: Pod): readonly NetworkPolicy[] {
    const { namespace = '', labels = {} } = pod.metadata;
    const key = JSON.stringify([direction, namespace, labels]);
    const known = this.#isolating.get(key);
    if (known !== undefined) return known;
    const found = this.#configuration
      .inNamespace<NetworkPolicy>(networkPolicies, namespace)
      .filter(
        (policy) =>
          directionsOf(policy)[direction] !== undefined &&
          labelSelectorMatches(policy.spec?.podSelector ?? {}, labels),
      );
    this.#isolating.set(key, found);
    return found;
  }

  /** The policies that isolate a pod, when none of them lets anybody in on a TCP port; else none. */
  closing(pod: Pod, port: number): readonly NetworkPolicy[] {
    const policies = this.ingressPolicies(pod);
    const isOpen = policies.some((policy) =>
      directionsOf(policy).ingress?.rules.some(({ ports }) => admitsPort(ports, port)),
    );
    return isOpen ? [] : policies;
  }

  /** Whether a pod may call another on a TCP port, as far as the policies of the one that is called go. */
  admits(pod: Pod, caller: Pod, port: number): boolean {
    const policies = this.ingressPolicies(pod);
    return policies.length === 0 || this.#isAdmitted('ingress', policies, { pod, other: caller, port });
  }

  #isAdmitted(
    direction: 'ingress' | 'egress',
    policies: readonly NetworkPolicy[],
    { pod, other, port }: { readonly pod: Pod; readonly other: Pod; readonly port: number },
  ): boolean {
    return policies.some((policy) =>
      directionsOf(policy)[direction]?.rules.some(
        ({ peers, ports }) =>
          admitsPort(ports, port) &&
          (peers.length === 0 ||
            peers.some((peer) => this.#isPeer(peer, other, pod.metadata.namespace ?? ''))),
      ),
    );
  }

  #isPeer({ ipBlock, namespaceSelector, podSelector }: PolicyPeer, pod: Pod, own: string): boolean {
    const { namespace = '', labels } = pod.metadata;
    if (ipBlock !== undefined) {
      const address = ipToBytes(pod.status?.podIP ?? '');
      return address !== undefined && isInBlock(ipBlock, address);
    }
    const isInNamespace =
      namespaceSelector === undefined
        ? namespace === own
        : labelSelectorMatches(namespaceSelector, this.#known.namespaceLabels(namespace));
    return isInNamespace && (podSelector === undefined || labelSelectorMatches(podSelector, labels));
  }
}

/** Whether ports of a rule admit a TCP port; no port is all. A name is that of a port of the application, never of the mesh. */
export function admitsPort(ports: readonly PolicyPort[], wanted: number): boolean {
  return (
    ports.length === 0 ||
    ports.some(
      ({ protocol = 'TCP', port, endPort }) =>
        protocol === 'TCP' &&
        (port === undefined || (typeof port === 'number' && port <= wanted && wanted <= (endPort ?? port))),
    )
  );
}

/** Whether an address is in a block and in none of its exceptions. */
export function isInBlock(block: NonNullable<PolicyPeer['ipBlock']>, address: Uint8Array): boolean {
  const isIn = (text: string): boolean => {
    const cidr = parseNetwork(text);
    return cidr !== undefined && isInCidr(cidr, address);
  };
  return isIn(block.cidr) && !(block.except ?? []).some(isIn);
}
