import { groupBy } from '#base/collections/group-by.js';
import { labelSelectorMatches } from '#base/kube/labels.js';
import {
  directionsOf,
  networkPolicies,
  type NetworkPolicy,
  type PolicyPeer,
  type PolicyPort,
} from '#base/kube/network-policy.js';
import { namespaces, pods } from '#base/kube/resource.js';
import type { Namespace, Pod } from '#base/kube/types.js';
import { ipToBytes } from '#base/net/address.js';
import { hbonePort } from '../../hbone/parameters.js';
import type { Configuration } from '../configuration/configuration.js';
import { type Finding, subjectOf, subjectText } from '../findings/finding.js';
import { editCommand, findingAbout } from './check-finding.js';
import type { ConfigurationCheck } from './configuration-check.js';
import { type ConfiguredPods, configuredPodsOf } from './configured-pods.js';
import { admitsPort, isInBlock } from './policy-isolation.js';

type Direction = 'ingress' | 'egress';

/** A rule of a policy that isolates pods. */
interface Rule {
  readonly policy: NetworkPolicy;
  readonly index: number;
  readonly peers: readonly PolicyPeer[];
  readonly ports: readonly PolicyPort[];
}

/**
 * NetworkPolicies that admit the port of an application between pods of the mesh, but not port 15008, on which such calls
 * really arrive: they time out.
 */
export const networkPoliciesCheck: ConfigurationCheck = {
  codes: ['MESH1140', 'MESH1142'],
  reads: [networkPolicies, namespaces, pods],
  run: (configuration) => {
    const known = configuredPodsOf(configuration);
    const peers = new MeshPeers(configuration, known);
    const all = configuration.list<NetworkPolicy>(networkPolicies);
    return [...groupBy(all, ({ metadata }) => metadata.namespace ?? '')].flatMap(([namespace, policies]) =>
      policies.some((policy) => configuration.isAskedAbout(policy))
        ? (['ingress', 'egress'] as const).flatMap((direction) =>
            directionFindings(direction, { namespace, policies, configuration, known, peers }),
          )
        : [],
    );
  },
};

/** The policies of one namespace, and what is known of pods. */
interface PolicyScope {
  readonly namespace: string;
  readonly policies: readonly NetworkPolicy[];
  readonly configuration: Configuration;
  readonly known: ConfiguredPods;
  readonly peers: MeshPeers;
}

/** Pods that the same policies isolate are one question: what these admit in sum. */
function directionFindings(direction: Direction, scope: PolicyScope): Finding[] {
  const { namespace, policies, configuration, known } = scope;
  const isolatedBy = new Map<Pod, NetworkPolicy[]>();
  for (const policy of policies.filter((one) => directionsOf(one)[direction] !== undefined)) {
    for (const pod of known.selectedBy(namespace, policy.spec?.podSelector ?? {})) {
      if (!known.isEnrolled(pod)) continue;
      const others = isolatedBy.get(pod);
      if (others === undefined) isolatedBy.set(pod, [policy]);
      else others.push(policy);
    }
  }
  const groups = groupBy(isolatedBy, ([, by]) => by.map(({ metadata }) => metadata.name).join(' '));
  const found = new Map<string, Finding>();
  for (const group of groups.values()) {
    const isolated = group.map(([pod]) => pod);
    const rules = (group[0]?.[1] ?? []).flatMap((policy) =>
      (directionsOf(policy)[direction]?.rules ?? []).map((rule, index) => ({ policy, index, ...rule })),
    );
    const findings = [
      ...blockingRules(rules, scope).map((rule) => blockedFinding(rule, direction, configuration)),
      ...(direction === 'ingress' ? probeFindings(rules, isolated, configuration) : []),
    ];
    for (const finding of findings) {
      const concerns = [...(found.get(finding.message)?.concerns ?? []), ...isolated.map(subjectOf)];
      found.set(finding.message, { ...finding, concerns });
    }
  }
  return [...found.values()];
}

/** Rules that admit other ports than 15008 for pods of the mesh, where no rule admits 15008 for the same peers. */
function blockingRules(
  rules: readonly Rule[],
  { namespace, peers: meshPeers }: PolicyScope,
): readonly Rule[] {
  const opening = rules.filter(({ ports }) => admitsPort(ports, hbonePort));
  return rules.filter(
    ({ peers, ports }) =>
      !admitsPort(ports, hbonePort) &&
      ports.some(isApplicationPort) &&
      meshPeers.areInMesh(peers, namespace) &&
      !opening.some((other) => covers(other.peers, peers)),
  );
}

function isTcp({ protocol = 'TCP' }: PolicyPort): boolean {
  return protocol === 'TCP';
}

const dnsPort = 53;

/** A port on which pods of the mesh call each other; name servers are asked by everybody, and in plaintext. */
function isApplicationPort(one: PolicyPort): boolean {
  return isTcp(one) && one.port !== dnsPort;
}

/** Whether everybody among `inner` is among `outer`, as far as equal peers tell. */
function covers(outer: readonly PolicyPeer[], inner: readonly PolicyPeer[]): boolean {
  if (outer.length === 0) return true;
  const texts = new Set(outer.map((peer) => JSON.stringify(peer)));
  return inner.length > 0 && inner.every((peer) => texts.has(JSON.stringify(peer)));
}

/** Answers whether peers of a rule can be pods of the mesh; each question is answered once. */
class MeshPeers {
  readonly #configuration: Configuration;
  readonly #known: ConfiguredPods;
  readonly #answers = new Map<string, boolean>();

  constructor(configuration: Configuration, known: ConfiguredPods) {
    this.#configuration = configuration;
    this.#known = known;
  }

  areInMesh(peers: readonly PolicyPeer[], namespace: string): boolean {
    if (peers.length === 0) return true;
    return peers.some((peer) => {
      const key = JSON.stringify([peer.namespaceSelector === undefined ? namespace : '', peer]);
      const before = this.#answers.get(key);
      if (before !== undefined) return before;
      const answer = this.#isInMesh(peer, namespace);
      this.#answers.set(key, answer);
      return answer;
    });
  }

  #isInMesh({ ipBlock, namespaceSelector, podSelector = {} }: PolicyPeer, own: string): boolean {
    if (ipBlock !== undefined) {
      return this.#configuration.list<Pod>(pods).some((pod) => {
        const address = ipToBytes(pod.status?.podIP ?? '');
        return address !== undefined && isInBlock(ipBlock, address) && this.#known.isEnrolled(pod);
      });
    }
    const spaces =
      namespaceSelector === undefined
        ? [own]
        : this.#configuration
            .list<Namespace>(namespaces)
            .filter(({ metadata }) => labelSelectorMatches(namespaceSelector, metadata.labels))
            .map(({ metadata }) => metadata.name);
    return spaces.some((space) =>
      this.#known.selectedBy(space, podSelector).some((pod) => this.#known.isEnrolled(pod)),
    );
  }
}

function blockedFinding(
  { policy, index, ports }: Rule,
  direction: Direction,
  configuration: Configuration,
): Finding {
  const { name, namespace } = policy.metadata;
  const admitted = ports
    .filter(isApplicationPort)
    .map(({ port = 'any', endPort }) => (endPort === undefined ? `${port}` : `${port}-${endPort}`));
  const what =
    direction === 'ingress' ? 'calls from pods of the mesh arrive' : 'calls to pods of the mesh leave';
  return findingAbout(policy, configuration, {
    code: 'MESH1140',
    severity: 'error',
    message: `${subjectText(subjectOf(policy))} (${direction}) admits port ${admitted.join(', ')} but not ${hbonePort}, on which ${what}: they time out`,
    fix: `kubectl patch networkpolicy ${name} -n ${namespace} --type=json -p '[{"op":"add","path":"/spec/${direction}/${index}/ports/-","value":{"protocol":"TCP","port":${hbonePort}}}]'`,
  });
}

/** Where probes of the kubelet come from once a pod is in the mesh (istio.io, "Ambient and Kubernetes NetworkPolicy"). */
const probeSource = '169.254.7.127';

/** Pods with probes whose policies name who may call, and not the address that probes come from. */
function probeFindings(
  rules: readonly Rule[],
  isolated: readonly Pod[],
  configuration: Configuration,
): Finding[] {
  const address = ipToBytes(probeSource) ?? new Uint8Array();
  const [rule] = rules;
  const isOpen = rules.some(
    ({ peers }) =>
      peers.length === 0 || peers.some(({ ipBlock }) => ipBlock !== undefined && isInBlock(ipBlock, address)),
  );
  if (rule === undefined || isOpen || !isolated.some(hasNetworkProbe)) return [];
  return [
    findingAbout(rule.policy, configuration, {
      code: 'MESH1142',
      severity: 'info',
      message: `${subjectText(subjectOf(rule.policy))} does not name ${probeSource}, from which probes reach pods of the mesh: some CNI plugins refuse them then`,
      fix: `If pods do not become ready, admit ipBlock ${probeSource}/32: ${editCommand(rule.policy)}`,
    }),
  ];
}

function hasNetworkProbe({ spec }: Pod): boolean {
  return spec.containers.some(({ livenessProbe, readinessProbe, startupProbe }) =>
    [livenessProbe, readinessProbe, startupProbe].some(
      (probe) => probe?.httpGet !== undefined || probe?.tcpSocket !== undefined || probe?.grpc !== undefined,
    ),
  );
}
