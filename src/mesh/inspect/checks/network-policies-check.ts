import { isDeepStrictEqual } from 'node:util';
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
import { hbonePort } from '../../hbone/parameters.js';
import { decideEnrollment } from '../../rules/enrollment.js';
import type { Configuration } from '../configuration/configuration.js';
import { type Finding, subjectOf, subjectText } from '../findings/finding.js';
import type { ConfigurationCheck } from './configuration-check.js';

type Direction = 'ingress' | 'egress';

/** A rule of a policy that isolates a pod. */
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
  codes: ['MESH1140'],
  reads: [networkPolicies, namespaces, pods],
  run: (configuration) => {
    const enrolled = enrolledPods(configuration);
    const found = new Map<string, Finding>();
    for (const direction of ['ingress', 'egress'] as const) {
      for (const pod of enrolled) {
        if (!configuration.isAskedAbout(pod)) continue;
        for (const rule of rulesThatBlock(pod, direction, { configuration, enrolled })) {
          const finding = findingOf(rule, direction, configuration);
          const before = found.get(finding.message);
          const concerns = [...(before?.concerns ?? []), subjectOf({ kind: 'Pod', metadata: pod.metadata })];
          found.set(finding.message, { ...finding, concerns });
        }
      }
    }
    return [...found.values()];
  },
};

interface World {
  readonly configuration: Configuration;
  readonly enrolled: readonly Pod[];
}

/** Rules that admit other ports than 15008 for pods of the mesh, where no rule admits 15008 for the same peers. */
function rulesThatBlock(pod: Pod, direction: Direction, world: World): readonly Rule[] {
  const rules = rulesFor(pod, direction, world.configuration);
  const admitting = rules.filter(({ ports }) => admitsHbone(ports));
  return rules.filter(
    ({ peers, ports }) =>
      !admitsHbone(ports) &&
      ports.some(isTcp) &&
      concernsMesh(peers, pod, world) &&
      !admitting.some((other) => other.peers.length === 0 || isDeepStrictEqual(other.peers, peers)),
  );
}

function rulesFor(pod: Pod, direction: Direction, configuration: Configuration): readonly Rule[] {
  return configuration
    .list<NetworkPolicy>(networkPolicies)
    .filter(
      ({ metadata, spec }) =>
        metadata.namespace === pod.metadata.namespace &&
        labelSelectorMatches(spec?.podSelector ?? {}, pod.metadata.labels),
    )
    .flatMap((policy) =>
      (directionsOf(policy)[direction]?.rules ?? []).map((rule, index) => ({ policy, index, ...rule })),
    );
}

/** A rule without ports admits all; a name is that of a port of the application, and 15008 is none. */
function admitsHbone(ports: readonly PolicyPort[]): boolean {
  return (
    ports.length === 0 ||
    ports.some(
      (one) =>
        isTcp(one) &&
        (one.port === undefined ||
          (typeof one.port === 'number' && one.port <= hbonePort && hbonePort <= (one.endPort ?? one.port))),
    )
  );
}

function isTcp({ protocol = 'TCP' }: PolicyPort): boolean {
  return protocol === 'TCP';
}

/** Whether a pod of the mesh is among the peers: others are not called through it, nor call through it. */
function concernsMesh(peers: readonly PolicyPeer[], pod: Pod, { configuration, enrolled }: World): boolean {
  if (peers.length === 0) return true;
  const spaces = configuration.list<Namespace>(namespaces);
  return peers.some((peer) => {
    if (peer.ipBlock !== undefined) return false;
    const inNamespace = (namespace: string): boolean =>
      peer.namespaceSelector === undefined
        ? namespace === pod.metadata.namespace
        : labelSelectorMatches(
            peer.namespaceSelector,
            spaces.find(({ metadata }) => metadata.name === namespace)?.metadata.labels,
          );
    return enrolled.some(
      (other) =>
        inNamespace(other.metadata.namespace ?? '') &&
        (peer.podSelector === undefined || labelSelectorMatches(peer.podSelector, other.metadata.labels)),
    );
  });
}

function enrolledPods(configuration: Configuration): readonly Pod[] {
  const labels = new Map(
    configuration.list<Namespace>(namespaces).map(({ metadata }) => [metadata.name, metadata.labels ?? {}]),
  );
  const { enrollment } = configuration.settings;
  return configuration
    .list<Pod>(pods)
    .filter((pod) => decideEnrollment(pod, labels.get(pod.metadata.namespace ?? ''), enrollment).isEnrolled);
}

function findingOf(
  { policy, index, ports }: Rule,
  direction: Direction,
  configuration: Configuration,
): Finding {
  const { name, namespace } = policy.metadata;
  const place = configuration.placeOf(policy);
  const admitted = ports
    .filter(isTcp)
    .map(({ port, endPort }) => (endPort === undefined ? port : `${port}-${endPort}`));
  const subject = subjectOf(policy);
  const what =
    direction === 'ingress' ? 'calls from pods of the mesh arrive' : 'calls to pods of the mesh leave';
  return {
    code: 'MESH1140',
    severity: 'error',
    message: `${subjectText(subject)} (${direction}) admits port ${admitted.join(', ')} but not ${hbonePort}, on which ${what}: they time out`,
    subject,
    fix: `kubectl patch networkpolicy ${name} -n ${namespace} --type=json -p '[{"op":"add","path":"/spec/${direction}/${index}/ports/-","value":{"protocol":"TCP","port":${hbonePort}}}]'`,
    ...(place === undefined ? {} : { place }),
  };
}
