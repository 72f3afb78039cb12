import { meshRules, proxyMark } from './pod-rules.js';
import { canonicalRule, type Rule, type RuleSet } from './rule.js';

/** Rules of others with which packets do not come to ours, though none of ours is missing. */
export interface OverridingRules {
  /** They stand before our jump and can end the way of a packet; a jump that goes first mends it. */
  readonly ahead: readonly Rule[];
  /** They switch address translation or our marks off, wherever our jumps stand. */
  readonly immovable: readonly Rule[];
}

/** Targets after which a packet goes on to the next rule (iptables-extensions(8)). */
const passingTargets: ReadonlySet<string> = new Set(
  (
    'AUDIT CHECKSUM CLASSIFY CLUSTERIP CONNMARK CONNSECMARK CT DSCP ECN HL HMARK IDLETIMER LED LOG MARK ' +
    'NFLOG NOTRACK RATEEST SECMARK SET TCPMSS TCPOPTSTRIP TEE TOS TRACE TTL ULOG'
  ).split(' '),
);

/** A packet that is dropped is not let past the proxy: whoever drops it wants that. */
const droppingTargets: ReadonlySet<string> = new Set(['DROP', 'REJECT']);

/** What in a namespace comes before, or defeats, the wanted rules that are there. */
export function overridingRules(wanted: readonly Rule[], observed: RuleSet): OverridingRules {
  const ours = new Set(meshRules(observed).rules);
  const others = observed.rules.filter((rule) => !ours.has(rule));
  const concerns = (rule: Rule): boolean => canMatch(rule, isDnsCaptured(wanted) ? ['tcp', 'udp'] : ['tcp']);
  return {
    ahead: wanted
      .flatMap((jump) => (/^-j ISTIO_\w+$/.test(jump.spec) ? rulesAhead(jump, observed, ours) : []))
      .filter(concerns),
    immovable: others.filter((rule) => concerns(rule) && (isUntracking(rule) || isMarkingAsProxy(rule))),
  };
}

function isDnsCaptured(wanted: readonly Rule[]): boolean {
  return wanted.some(({ table }) => table === 'raw');
}

/** Whether packets of one of the protocols can meet the rule. */
function canMatch({ spec }: Rule, protocols: readonly string[]): boolean {
  const [, negation, protocol] = /(?:^|(! )| )-p (\S+)/.exec(spec) ?? [];
  if (protocol === undefined || protocol === 'all') return true;
  return protocols.some((one) => (negation === undefined ? one === protocol : one !== protocol));
}

function rulesAhead(jump: Rule, observed: RuleSet, ours: ReadonlySet<Rule>): readonly Rule[] {
  const chain = observed.rules.filter((rule) => rule.table === jump.table && rule.chain === jump.chain);
  const form = canonicalRule(jump.spec);
  const at = chain.findIndex((rule) => canonicalRule(rule.spec) === form);
  // Without our jump nothing comes before it: it is missing, and goes first when it is put back.
  return chain
    .slice(0, Math.max(0, at))
    .filter((rule) => !ours.has(rule) && canEnd(rule, observed, new Set()));
}

/** Whether a packet that meets the rule may not come to the next one of the chain. */
function canEnd(rule: Rule, observed: RuleSet, visited: Set<string>): boolean {
  const [, option, target = ''] = /(?:^| )(-j|-g|--jump|--goto) (\S+)/.exec(rule.spec) ?? [];
  if (option === undefined || passingTargets.has(target) || droppingTargets.has(target)) return false;
  const key = `${rule.table}/${target}`;
  // What an own chain of somebody returns from goes on after the jump, but not after a goto.
  if (!observed.chains.has(key) || option === '-g' || option === '--goto') return true;
  if (visited.has(key)) return false;
  visited.add(key);
  return observed.rules
    .filter((inner) => inner.table === rule.table && inner.chain === target)
    .some((inner) => !/(?:^| )-j RETURN(?: |$)/.test(inner.spec) && canEnd(inner, observed, visited));
}

/** Connections that the kernel does not track are not translated, hence not redirected. */
function isUntracking({ table, spec }: Rule): boolean {
  return table === 'raw' && /(?:^| )-j (?:NOTRACK|CT .*--notrack)(?: |$)/.test(spec);
}

/** Our rules let packets with the mark of the proxy go. */
function isMarkingAsProxy({ spec }: Rule): boolean {
  const set = /-j MARK --set-x?mark (0x[0-9a-f]+|\d+)/.exec(spec)?.[1];
  const [mark = 0, mask = 0] = proxyMark.split('/').map(Number);
  return set !== undefined && (Number(set) & mask) === mark;
}
