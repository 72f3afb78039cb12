import { hbonePort } from '../../hbone/parameters.js';
import { inboundPlaintextPort, outboundPort } from '../../rules/capture-ports.js';
import { canonicalRule, type Family, type Rule, type RuleSet, type TableName } from './rule.js';

/** Source addresses of kubelet probes after the host's SNAT (istio/istio cni/pkg/iptables). */
export interface ProbeAddresses {
  readonly v4: string;
  readonly v6: string;
}

export const defaultProbeAddresses: ProbeAddresses = {
  v4: '169.254.7.127',
  v6: 'fd16:9254:7127:1337:ffff:ffff:ffff:ffff',
};

/** What distinguishes the rules of one pod from another's. */
export interface PodRuleOptions {
  readonly probes: ProbeAddresses;
  /** Send the pod's DNS queries to the node proxy. */
  readonly dnsCapture: boolean;
  /** Ingress mode: inbound traffic is not captured (`ambient.istio.io/bypass-inbound-capture`). */
  readonly bypassInbound: boolean;
  /** Traffic entering from these interfaces counts as outbound (`istio.io/reroute-virtual-interfaces`). */
  readonly virtualInterfaces: readonly string[];
}

export const dnsPort = 15053;

/** Mark and mask of packets the node proxy sends from inside a pod. */
export const proxyMark = '0x539/0xfff';
/** Connection mark of flows that the proxy opened; also the fwmark of the policy route. */
export const connectionMark = '0x111/0xfff';

export const preroutingChain = 'ISTIO_PRERT';
export const outputChain = 'ISTIO_OUTPUT';
/** In the node's own namespace: probes on their way to pods. */
export const postroutingChain = 'ISTIO_POSTRT';
const meshChains: readonly string[] = [preroutingChain, outputChain, postroutingChain];

/** The rules of one family in an enrolled pod, in upstream's order (istio/istio cni/pkg/iptables). */
export function podRules(family: Family, options: PodRuleOptions): readonly Rule[] {
  const local = family === 'v4' ? '127.0.0.1/32' : '::1/128';
  const probe = family === 'v4' ? `${options.probes.v4}/32` : `${options.probes.v6}/128`;
  const rules: Rule[] = [];
  const add = (table: TableName, chain: string, spec: string): void => {
    rules.push({ table, chain, spec });
  };
  const jumps = (table: TableName): void => {
    add(table, 'PREROUTING', `-j ${preroutingChain}`);
    add(table, 'OUTPUT', `-j ${outputChain}`);
  };

  jumps('mangle');
  add('mangle', preroutingChain, `-m mark --mark ${proxyMark} -j CONNMARK --set-xmark ${connectionMark}`);
  add(
    'mangle',
    outputChain,
    `-m connmark --mark ${connectionMark} -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff`,
  );

  jumps('nat');
  for (const name of options.virtualInterfaces) {
    add('nat', preroutingChain, `-i ${name} -p tcp -j REDIRECT --to-ports ${outboundPort}`);
    add('nat', preroutingChain, `-i ${name} -p tcp -j RETURN`);
  }
  if (!options.bypassInbound) {
    add('nat', preroutingChain, `-s ${probe} -p tcp -m tcp -j ACCEPT`);
    add(
      'nat',
      preroutingChain,
      `! -d ${local} -p tcp -m tcp ! --dport ${hbonePort} -m mark ! --mark ${proxyMark} -j REDIRECT --to-ports ${inboundPlaintextPort}`,
    );
  }
  add('nat', outputChain, `-d ${probe} -p tcp -m tcp -j ACCEPT`);
  if (options.dnsCapture) {
    add(
      'nat',
      outputChain,
      `! -o lo -p udp -m mark ! --mark ${proxyMark} -m udp --dport 53 -j REDIRECT --to-ports ${dnsPort}`,
    );
    add(
      'nat',
      outputChain,
      `! -d ${local} -p tcp -m tcp --dport 53 -m mark ! --mark ${proxyMark} -j REDIRECT --to-ports ${dnsPort}`,
    );
  }
  add('nat', outputChain, `-p tcp -m mark --mark ${connectionMark} -j ACCEPT`);
  add('nat', outputChain, `! -d ${local} -o lo -j ACCEPT`);
  add(
    'nat',
    outputChain,
    `! -d ${local} -p tcp -m mark ! --mark ${proxyMark} -j REDIRECT --to-ports ${outboundPort}`,
  );

  if (options.dnsCapture) {
    jumps('raw');
    add('raw', preroutingChain, `-p udp -m mark ! --mark ${proxyMark} -m udp --sport 53 -j CT --zone 1`);
    add('raw', outputChain, `-p udp -m mark --mark ${proxyMark} -m udp --dport 53 -j CT --zone 1`);
  }
  return rules;
}

/** Chains that only a sidecar's init container makes; it shares the name ISTIO_OUTPUT with us. */
const sidecarChains: readonly string[] = ['ISTIO_INBOUND', 'ISTIO_IN_REDIRECT', 'ISTIO_REDIRECT'];

/**
 * What the mesh left or put in a rule set: our chains, the rules in them, the jumps to
 * them. Nothing in a namespace that a sidecar has set up: those rules are not ours.
 */
export function meshRules(observed: RuleSet): RuleSet {
  const ofSidecar = (name: string): boolean => sidecarChains.includes(name.split('/')[1] ?? '');
  if ([...observed.chains].some(ofSidecar)) return { chains: new Set(), rules: [] };
  const rules = observed.rules.filter((rule) => isMeshChain(rule.chain) || jumpsToMesh(rule.spec));
  const chains = new Set([...observed.chains].filter((name) => isMeshChain(name.split('/')[1] ?? '')));
  return { chains, rules };
}

/** Difference between wanted and observed rules. */
export interface RuleDelta {
  /** Wanted, in iptables words, and not there (or there in the wrong order). */
  readonly missing: readonly string[];
  /** Rules of ours that are there and not wanted. */
  readonly unexpected: readonly string[];
}

/**
 * Compares wanted rules with a namespace's, chain by chain and in order. Rules of
 * others in the built-in chains are ignored: whether one defeats ours is told by `overridingRules`.
 */
export function compareRules(wanted: readonly Rule[], observed: RuleSet): RuleDelta {
  const missing: string[] = [];
  const unexpected: string[] = [];
  const ours = meshRules(observed).rules;
  const chains = new Set([...wanted, ...ours].map((rule) => `${rule.table}/${rule.chain}`));
  for (const chain of chains) {
    const inChain = (rule: Rule): boolean => `${rule.table}/${rule.chain}` === chain;
    const want = wanted.filter(inChain);
    const have = ours.filter(inChain);
    let at = 0;
    for (const rule of want) {
      const form = canonicalRule(rule.spec);
      const found = have.findIndex((other, i) => i >= at && canonicalRule(other.spec) === form);
      if (found < 0) {
        missing.push(describeRule(rule));
        continue;
      }
      for (const extra of have.slice(at, found)) unexpected.push(describeRule(extra));
      at = found + 1;
    }
    for (const extra of have.slice(at)) unexpected.push(describeRule(extra));
  }
  return { missing, unexpected };
}

/** A rule as `iptables` would take it. */
export function describeRule(rule: Rule): string {
  return `-t ${rule.table} -A ${rule.chain} ${rule.spec}`;
}

function isMeshChain(chain: string): boolean {
  return meshChains.includes(chain);
}

function jumpsToMesh(spec: string): boolean {
  return meshChains.some((chain) => spec.split(' ').includes(chain));
}
