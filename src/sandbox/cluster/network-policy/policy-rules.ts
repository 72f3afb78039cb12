import { createHash } from 'node:crypto';
import { parseNetwork } from '#base/net/cidr.js';
import type { ChainTable } from '../netfilter/chain-table.js';
import type { IpFamily } from '#base/net/address.js';
import { hairpinMark } from '../netfilter/hairpin.js';
import {
  directionsOf,
  type NetworkPolicy,
  type PolicyPeer,
  type PolicyPort,
} from '#base/kube/network-policy.js';
import { type PodMatch, type PodSetSpec, type SetSpec, setName } from './pod-set.js';

/** Only chains with this prefix are the policies'. */
export const policyChainPrefix = 'NETPOL-';
const forwardChain = `${policyChainPrefix}FORWARD`;
/** iptables takes no longer comment than 256 characters. */
const commentMaxChars = 200;

type Direction = 'ingress' | 'egress';

/** The rules of all policies for one family, and the sets they look addresses up in. */
export interface PolicyRuleSet {
  readonly table: ChainTable;
  readonly sets: ReadonlyMap<string, SetSpec>;
  /** Sets whose members are isolated: entries are added there first and taken away last. */
  readonly isolating: ReadonlySet<string>;
}

/** One allowed kind of traffic of one policy: which pods, whom with, which ports. */
interface Allowance {
  readonly direction: Direction;
  readonly comment: string;
  readonly matches: readonly Match[];
}

type Match = string | { readonly set: SetSpec; readonly flags: string };

/**
 * The rules that enforce policies on a node, the same on every node: the sets hold what
 * differs. Packets are judged where they pass between a pod's cable and the rest of the
 * network (FORWARD in the node's namespace, after service addresses were translated);
 * what the node itself sends to its pods does not pass there. Replies always pass, and
 * since the other direction is judged packet by packet, a connection that a changed
 * policy forbids stops there and then. No policies: no rules.
 */
export function policyRules(policies: readonly NetworkPolicy[], family: IpFamily): PolicyRuleSet {
  const sets = new Map<string, SetSpec>();
  const isolating = new Set<string>();
  const use = (spec: SetSpec): string => {
    const name = setName(spec, family);
    sets.set(name, spec);
    return name;
  };
  const chains = new Map<string, string[]>();
  if (policies.length > 0) {
    const forward = [
      '-m conntrack --ctstate ESTABLISHED --ctdir REPLY -j RETURN',
      '-m conntrack --ctstate RELATED -j RETURN',
      `-m connmark --mark ${hairpinMark}/${hairpinMark} -j RETURN`,
    ];
    chains.set(forwardChain, forward);
    for (const [namespace, ofNamespace] of byNamespace(policies)) {
      for (const direction of ['egress', 'ingress'] as const) {
        const isolates = ofNamespace.filter((policy) => directionsOf(policy)[direction] !== undefined);
        if (isolates.length === 0) continue;
        const isolated = use({
          kind: 'pods',
          entry: 'address',
          isLocal: true,
          anyOf: isolates.map((policy) => ({ namespace, podSelector: policy.spec?.podSelector ?? {} })),
        });
        isolating.add(isolated);
        const chain = chainName(direction, namespace);
        const flag = direction === 'egress' ? 'src' : 'dst';
        const comment = `-m comment --comment "${direction} of isolated pods in ${namespace}"`;
        forward.push(`-m set --match-set ${isolated} ${flag} ${comment} -j ${chain}`);
        chains.set(chain, [
          ...isolates
            .flatMap(allowances)
            .flatMap((each) => (each.direction === direction ? [rule(each, use)] : [])),
          '-j DROP',
        ]);
      }
    }
  }
  const jumps = policies.length === 0 ? [] : [{ from: 'FORWARD', to: forwardChain }];
  return { table: { name: 'filter', chains, jumps }, sets, isolating };
}

const compiled = new WeakMap<NetworkPolicy, readonly Allowance[]>();

/** What a policy allows; kept with the object, since objects in caches are never changed. */
function allowances(policy: NetworkPolicy): readonly Allowance[] {
  const known = compiled.get(policy);
  if (known !== undefined) return known;
  const namespace = policy.metadata.namespace ?? '';
  const subject: PodMatch = { namespace, podSelector: policy.spec?.podSelector ?? {} };
  const comment = `${namespace}/${policy.metadata.name}`.slice(0, commentMaxChars);
  const found: Allowance[] = [];
  for (const direction of ['egress', 'ingress'] as const) {
    for (const { peers, ports } of directionsOf(policy)[direction]?.rules ?? []) {
      // An absent list means everybody, or every port.
      for (const peer of peers.length === 0 ? [undefined] : peers) {
        for (const port of ports.length === 0 ? [undefined] : ports) {
          const matches = matchesOf({ direction, namespace, subject, peer, port });
          if (matches !== undefined) found.push({ direction, comment, matches });
        }
      }
    }
  }
  compiled.set(policy, found);
  return found;
}

/** Undefined when the peer or the port can match nothing. */
function matchesOf(o: {
  readonly direction: Direction;
  readonly namespace: string;
  readonly subject: PodMatch;
  readonly peer: PolicyPeer | undefined;
  readonly port: PolicyPort | undefined;
}): readonly Match[] | undefined {
  const [own, other] = o.direction === 'egress' ? ['src', 'dst'] : ['dst', 'src'];
  const matches: Match[] = [{ set: addresses([o.subject], true), flags: own }];
  const peerMatch = o.peer === undefined ? undefined : podMatchOf(o.peer, o.namespace);
  if (o.peer !== undefined) {
    const set =
      o.peer.ipBlock === undefined ? peerMatch && addresses([peerMatch], false) : blockOf(o.peer.ipBlock);
    if (set === undefined) return undefined;
    matches.push({ set, flags: other });
  }
  const protocol = o.port?.protocol ?? 'TCP';
  if (o.port === undefined) return matches;
  if (typeof o.port.port === 'string') {
    // The name is looked up in the pods at the receiving end.
    const receivers = o.direction === 'ingress' ? o.subject : (peerMatch ?? { podSelector: {} });
    const isLocal = o.direction === 'ingress';
    const port = { name: o.port.port, protocol };
    matches.push({
      set: { kind: 'pods', entry: 'port', isLocal, anyOf: [receivers], port },
      flags: 'dst,dst',
    });
    return matches;
  }
  const lower = protocol.toLowerCase();
  if (!['tcp', 'udp', 'sctp'].includes(lower)) return undefined;
  if (o.port.port === undefined) return [...matches, `-p ${lower}`];
  const range = o.port.endPort === undefined ? `${o.port.port}` : `${o.port.port}:${o.port.endPort}`;
  return [...matches, `-p ${lower} ${portMatch(lower)} ${range}`];
}

/** Kernels without SCTP connections may lack its own match. */
function portMatch(protocol: string): string {
  return protocol === 'sctp' ? '-m multiport --dports' : `-m ${protocol} --dport`;
}

function podMatchOf(peer: PolicyPeer, namespace: string): PodMatch | undefined {
  const { podSelector, namespaceSelector } = peer;
  if (podSelector === undefined && namespaceSelector === undefined) return undefined;
  return namespaceSelector === undefined
    ? { namespace, podSelector: podSelector ?? {} }
    : { namespaceSelector, podSelector: podSelector ?? {} };
}

function addresses(anyOf: readonly PodMatch[], isLocal: boolean): PodSetSpec {
  return { kind: 'pods', entry: 'address', isLocal, anyOf };
}

function blockOf(block: { readonly cidr: string; readonly except?: readonly string[] }): SetSpec | undefined {
  // The API server checks them; one that slipped through must not spoil everybody's rules.
  const isNetwork = (cidr: string): boolean => parseNetwork(cidr) !== undefined;
  const { cidr, except = [] } = block;
  if (!isNetwork(cidr) || !except.every(isNetwork)) return undefined;
  return { kind: 'block', cidr, except };
}

function rule(allowance: Allowance, use: (spec: SetSpec) => string): string {
  const matches = allowance.matches.map((match) =>
    typeof match === 'string' ? match : `-m set --match-set ${use(match.set)} ${match.flags}`,
  );
  return `${matches.join(' ')} -m comment --comment "${allowance.comment}" -j RETURN`;
}

function byNamespace(policies: readonly NetworkPolicy[]): Map<string, NetworkPolicy[]> {
  const groups = new Map<string, NetworkPolicy[]>();
  const sorted = policies.toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  for (const policy of sorted) {
    const namespace = policy.metadata.namespace ?? '';
    const group = groups.get(namespace);
    if (group === undefined) groups.set(namespace, [policy]);
    else group.push(policy);
  }
  return groups;
}

/** iptables chain names have at most 28 characters, namespaces up to 63. */
function chainName(direction: Direction, namespace: string): string {
  const digest = createHash('sha256').update(namespace).digest('hex').slice(0, 16);
  return `${policyChainPrefix}${direction === 'egress' ? 'E' : 'I'}-${digest}`;
}
