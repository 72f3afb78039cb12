import { endpointSlices, namespaces, pods } from '#base/kube/resource.js';
import type { EndpointSlice, Namespace, Pod } from '#base/kube/types.js';
import type { ClusterCaches } from '../cache/cluster-caches.js';
import { keyOfObject, type ObjectCache } from '../cache/object-cache.js';
import type { IpFamily } from '#base/net/address.js';
import { type NetworkPolicy, networkPolicies } from '#base/kube/network-policy.js';
import { type PolicyRuleSet, policyRules } from './policy-rules.js';
import { type PodObject, policyPod, type PodSetSpec } from './pod-set.js';
import { PodSetIndex } from './pod-set-index.js';

const dnsService = { namespace: 'kube-system', name: 'kube-dns' } as const;
const dnsLabels = { 'k8s-app': 'kube-dns' } as const;

/**
 * What the policies of a cluster ask for, shared by the nodes that enforce them. Tells
 * its listeners when rules or members may have changed.
 */
export class PolicyModel {
  readonly index = new PodSetIndex();
  /** Resolves when policies, pods and namespaces are known. */
  readonly synced: Promise<void>;
  readonly #policies: ObjectCache<NetworkPolicy>;
  readonly #pods: ObjectCache<Pod>;
  readonly #listeners = new Set<() => void>();
  /** Addresses that a kubelet has just given out and the API does not show yet, by pod uid. */
  readonly #attached = new Map<string, readonly string[]>();
  /** Of the present policies; a family's are made when somebody asks. */
  readonly #rules = new Map<IpFamily, PolicyRuleSet>();
  #held: readonly PodSetSpec[] = [];

  constructor(caches: ClusterCaches) {
    this.#policies = caches.of<NetworkPolicy>(networkPolicies);
    this.#pods = caches.of<Pod>(pods);
    const allNamespaces = caches.of<Namespace>(namespaces);
    const slices = caches.of<EndpointSlice>(endpointSlices);
    this.synced = Promise.all(
      [this.#policies, this.#pods, allNamespaces, slices].map((cache) => cache.synced()),
    ).then(() => undefined);
    this.#policies.onChange(() => {
      this.#rules.clear();
      this.#changed();
    });
    this.#pods.onChange(({ object, isGone }) => {
      if (isGone) this.#attached.delete(object.metadata.uid ?? '');
      if (this.#place(object, isGone)) this.#changed();
    });
    allNamespaces.onChange(({ object, isGone }) => {
      const labels = isGone ? undefined : (object.metadata.labels ?? {});
      if (this.index.setNamespace(object.metadata.name, labels)) this.#changed();
    });
    slices.onChange(({ object, isGone }) => {
      if (this.#placeDns(object, isGone)) this.#changed();
    });
    // The caches are shared and may have been filled before.
    for (const { metadata } of allNamespaces.list())
      this.index.setNamespace(metadata.name, metadata.labels ?? {});
    for (const pod of this.#pods.list()) this.#place(pod, false);
    for (const slice of slices.list()) this.#placeDns(slice, false);
  }

  /** Whether any policy exists; without one nothing needs to be enforced. */
  get isEmpty(): boolean {
    return this.#policies.list().length === 0;
  }

  /** The rules of a family; the same object until a policy changes. */
  rules(family: IpFamily): PolicyRuleSet {
    const known = this.#rules.get(family);
    if (known !== undefined) return known;
    const rules = policyRules(this.#policies.list(), family);
    // The sets are the same for both families.
    if (this.#rules.size === 0) this.#hold([...rules.sets.values()].filter((spec) => spec.kind === 'pods'));
    this.#rules.set(family, rules);
    return rules;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** A kubelet has given a pod its addresses: policies apply before its containers start. */
  attached(pod: PodObject, ips: readonly string[]): void {
    const { uid = '', namespace = '', name } = pod.metadata;
    this.#attached.set(uid, ips);
    const known = this.#pods.get(namespace, name);
    this.#place(known?.metadata.uid === uid ? known : pod, false);
    this.#changed();
  }

  #place(pod: PodObject, isGone: boolean): boolean {
    const uid = pod.metadata.uid ?? '';
    const published = pod.status?.podIPs?.map(({ ip }) => ip) ?? [];
    const ips = published.length > 0 ? published : (this.#attached.get(uid) ?? []);
    if (published.length > 0) this.#attached.delete(uid);
    return this.index.setPod(uid, isGone ? undefined : policyPod(pod, ips));
  }

  /**
   * Cluster DNS is a pod for the policies that people write ("allow egress to k8s-app:
   * kube-dns"), though here it runs outside of any pod.
   */
  #placeDns(slice: EndpointSlice, isGone: boolean): boolean {
    const { labels = {}, namespace } = slice.metadata;
    if (namespace !== dnsService.namespace || labels['kubernetes.io/service-name'] !== dnsService.name)
      return false;
    const own = (slice.endpoints ?? []).filter((endpoint) => endpoint.targetRef === undefined);
    const uid = `endpointslice/${keyOfObject(slice)}`;
    if (isGone || own.length === 0) return this.index.setPod(uid, undefined);
    return this.index.setPod(uid, {
      uid,
      namespace,
      labels: dnsLabels,
      node: undefined,
      ips: own.flatMap((endpoint) => endpoint.addresses),
      ports: (slice.ports ?? []).flatMap(({ name, protocol = 'TCP', port }) =>
        name === undefined || port === undefined ? [] : [{ name, protocol, port }],
      ),
    });
  }

  #hold(specs: readonly PodSetSpec[]): void {
    for (const spec of specs) this.index.hold(spec);
    for (const spec of this.#held) this.index.release(spec);
    this.#held = specs;
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}
