import { selectorOf, selectsLabels } from '../../rules/policy-targets.js';
import type { PeerAuthFacts } from '../../rules/mtls-mode.js';
import { peerAuthPolicyKeys } from '../../rules/peer-authentication.js';
import type { ServiceFacts } from '../../rules/facts.js';
import { namesWaypoint, type WaypointBinding } from '../../rules/waypoint-binding.js';
import { isSameWire } from '../../xds/server/resource.js';
import type { Collection } from '../graph/collection.js';
import type { Graph } from '../graph/graph.js';
import { LabelIndex, Selection, type Selector } from '../graph/selection.js';
import type { MeshCluster, ConvertedPolicy, InputView } from './input-view.js';
import { objectKey, type Inputs } from './inputs.js';
import type { AccountFacts } from './object-facts.js';
import { endpointWorkloads, podWorkload, type MeshWorkload, type ServicePorts } from './workload.js';

/** A policy as far as it concerns which pods it applies to. */
interface PolicySelector extends Selector {
  /** `namespace/name` of the policy. */
  readonly key: string;
}

/** The workloads of the mesh from all their sources: pods, and endpoints that are no pods. */
export function createWorkloads(o: {
  readonly graph: Graph;
  readonly inputs: Inputs;
  readonly cluster: MeshCluster;
  readonly view: InputView;
  readonly conversions: Collection<ConvertedPolicy>;
}): Collection<MeshWorkload> {
  const { graph, inputs, cluster, view } = o;
  const servicePorts = graph.derive<ServiceFacts, ServicePorts>({
    name: 'service-ports',
    from: inputs.services,
    compute: ({ namespace, name, selector, ports }) => [
      { key: `${namespace}/${name}`, value: { namespace, name, selector, ports } },
    ],
  });
  const policySelectors = graph.derive<ConvertedPolicy, PolicySelector>({
    name: 'policy-selectors',
    from: o.conversions,
    compute: ({ policy, l4 }, reader) => {
      const labels = selectorOf(policy);
      if (l4.authorization === undefined || labels === undefined) return [];
      const { namespace = '' } = policy.metadata;
      const isMeshWide = namespace === view.mesh(reader).rootNamespace;
      const key = objectKey(policy);
      return [{ key, value: { key, namespace: isMeshWide ? undefined : namespace, labels } }];
    },
  });
  const peerAuthSelectors = graph.derive<PeerAuthFacts, PeerAuthFacts>({
    name: 'peer-authentication-selectors',
    from: inputs.peerAuths,
    // Selectors in the root namespace are ignored, as upstream.
    compute: (policy, reader) =>
      policy.selector === undefined || policy.namespace === view.mesh(reader).rootNamespace
        ? []
        : [{ key: `${policy.namespace}/${policy.name}`, value: policy }],
  });

  const podDefaults = graph.derive({
    name: 'pod-defaults',
    from: inputs.namespaces,
    compute: ({ name }, reader) => [{ key: name, value: view.podDefaults(name, reader) }],
  });
  // Bound once for all pods of an account: they are recomputed when that comes out differently.
  const accountBindings = graph.derive<AccountFacts, WaypointBinding>({
    name: 'account-bindings',
    from: inputs.accounts,
    compute: (account, reader) => [
      { key: `${account.namespace}/${account.name}`, value: view.bindAccount(account, reader) },
    ],
  });
  const pods = new LabelIndex(inputs.pods);
  const selectingServices = new Selection({
    selecting: servicePorts,
    selectorOf: ({ namespace, selector }) =>
      selector === undefined ? undefined : { namespace, labels: selector },
    members: pods,
  });
  const selectingPolicies = new Selection({
    selecting: policySelectors,
    selectorOf: (selector) => selector,
    members: pods,
  });
  const selectingPeerAuths = new Selection({
    selecting: peerAuthSelectors,
    selectorOf: ({ namespace, selector }) =>
      selector === undefined ? undefined : { namespace, labels: selector },
    members: pods,
  });

  const podWorkloads = graph.derive({
    name: 'pod-workloads',
    from: inputs.pods,
    follows: [selectingServices, selectingPolicies, selectingPeerAuths],
    compute: (pod, reader) => {
      if (pod.ips.length === 0) return [];
      const key = `${pod.namespace}/${pod.name}`;
      const { trustDomain, rootNamespace, strictBy, binding } =
        podDefaults.get(pod.namespace, reader) ?? view.podDefaults(pod.namespace, reader);
      const workload = podWorkload(pod, {
        ...cluster,
        trustDomain,
        services: selectingServices.get(key, pod, reader),
        node: view.node(pod.node, reader),
        binding: view.bindPod(
          pod,
          namesWaypoint(pod.labels)
            ? binding
            : (accountBindings.get(`${pod.namespace}/${pod.serviceAccount}`, reader) ?? binding),
          reader,
        ),
        policies: [
          ...selectingPolicies
            .get(key, pod, reader)
            .map((policy) => policy.key)
            .sort(),
          ...peerAuthPolicyKeys(pod, {
            rootNamespace,
            root: strictBy === undefined ? [] : [strictBy],
            own: selectingPeerAuths.get(key, pod, reader),
          }),
        ],
      });
      return [{ key: workload.uid, value: workload }];
    },
    isEqual: isSameWire,
  });
  const podsByIp = inputs.pods.index((pod) => (pod.isHostNetwork ? [] : pod.ips));
  const endpoints = graph.derive({
    name: 'endpoint-workloads',
    from: inputs.slices,
    compute: (slice, reader) => {
      const service = servicePorts.get(`${slice.namespace}/${slice.service}`, reader);
      // What the cluster makes of a selector is known from the pods.
      if (service === undefined || (service.selector !== undefined && slice.isOfSelector)) return [];
      return endpointWorkloads(slice, {
        ...cluster,
        trustDomain: view.mesh(reader).trustDomain,
        service,
        podAt: (ip) => podsByIp.get(ip, reader)[0],
        nodeOf: (pod) => view.node(pod.node, reader),
        isSelected: (pod) =>
          pod.namespace === service.namespace && selectsLabels(service.selector, pod.labels),
      }).map((value) => ({ key: value.uid, value }));
    },
    isEqual: isSameWire,
  });
  return graph.join<MeshWorkload>(podWorkloads, endpoints);
}
