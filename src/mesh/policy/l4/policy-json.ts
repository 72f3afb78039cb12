import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  Action,
  type Address,
  type Authorization,
  AuthorizationSchema,
  type Match,
  type MatchSchema,
  Scope,
  type StringMatch,
} from '../../xds/gen/istio/authorization_pb.js';
import { bytesToIp } from '#base/net/address.js';
import { parseCidr } from '#base/net/cidr.js';

const scopes: Readonly<Record<string, Scope>> = {
  Global: Scope.GLOBAL,
  Namespace: Scope.NAMESPACE,
  WorkloadSelector: Scope.WORKLOAD_SELECTOR,
};
const actions: Readonly<Record<string, Action>> = { Allow: Action.ALLOW, Deny: Action.DENY };

/**
 * Reads a policy as a node proxy, ours or upstream's, shows it in its configuration dump: rules are lists (or) of
 * clauses (and) of matches (or). Throws TypeError on what has no meaning here, so that nothing is read as less than
 * it says.
 */
export function parsePolicyJson(value: unknown): Authorization {
  const policy = objectOf(value);
  return create(AuthorizationSchema, {
    name: textOf(policy['name']),
    namespace: textOf(policy['namespace']),
    scope: pick(scopes, policy['scope']),
    action: pick(actions, policy['action']),
    dryRun: policy['dryRun'] === true,
    rules: listOf(policy['rules']).map((rule) => ({
      clauses: listOf(rule).map((clause) => ({ matches: listOf(clause).map(matchOf) })),
    })),
  });
}

/** A policy as the configuration dump of a node proxy shows it; what is empty is left out. */
export function policyJson(policy: Authorization) {
  return {
    name: policy.name,
    namespace: policy.namespace,
    scope: wordOf(scopes, policy.scope),
    action: wordOf(actions, policy.action),
    rules: policy.rules.map(({ clauses }) => clauses.map(({ matches }) => matches.map(matchJson))),
    dryRun: policy.dryRun,
  };
}

type MatchValue = string | number | Record<string, string | never[]>;

function matchJson(match: Match): Record<string, MatchValue[]> {
  const all: Record<string, MatchValue[]> = {
    namespaces: match.namespaces.map(stringMatchJson),
    notNamespaces: match.notNamespaces.map(stringMatchJson),
    serviceAccounts: match.serviceAccounts.map(accountJson),
    notServiceAccounts: match.notServiceAccounts.map(accountJson),
    principals: match.principals.map(stringMatchJson),
    notPrincipals: match.notPrincipals.map(stringMatchJson),
    sourceIps: match.sourceIps.map(rangeJson),
    notSourceIps: match.notSourceIps.map(rangeJson),
    destinationIps: match.destinationIps.map(rangeJson),
    notDestinationIps: match.notDestinationIps.map(rangeJson),
    destinationPorts: [...match.destinationPorts],
    notDestinationPorts: [...match.notDestinationPorts],
  };
  return Object.fromEntries(Object.entries(all).filter(([, values]) => values.length > 0));
}

function stringMatchJson({ matchType }: StringMatch): MatchValue {
  switch (matchType.case) {
    case 'exact':
      return { Exact: matchType.value };
    case 'prefix':
      return { Prefix: matchType.value };
    case 'suffix':
      return { Suffix: matchType.value };
    case 'presence':
      return { Presence: [] };
    default:
      return {};
  }
}

function accountJson(of: { readonly namespace: string; readonly serviceAccount: string }): MatchValue {
  return { namespace: of.namespace, serviceAccount: of.serviceAccount };
}

function rangeJson({ address, length }: Address): MatchValue {
  return `${bytesToIp(address) ?? '(invalid)'}/${length}`;
}

function wordOf(words: Readonly<Record<string, number>>, value: number): string {
  return Object.entries(words).find(([, each]) => each === value)?.[0] ?? String(value);
}

function matchOf(value: unknown): MessageInitShape<typeof MatchSchema> {
  const match = objectOf(value);
  const unknown = Object.keys(match).find((key) => !(key in readers));
  if (unknown !== undefined) throw new TypeError(`a match has the unknown field ${unknown}`);
  return Object.fromEntries(
    Object.entries(readers).map(([key, read]) => [key, listOf(match[key]).map(read)]),
  ) as MessageInitShape<typeof MatchSchema>;
}

const stringKinds: Readonly<Record<string, 'exact' | 'prefix' | 'suffix'>> = {
  Exact: 'exact',
  Prefix: 'prefix',
  Suffix: 'suffix',
};

function stringMatchOf(value: unknown) {
  const match = objectOf(value);
  if ('Presence' in match) return { matchType: { case: 'presence' as const, value: {} } };
  const [entry] = Object.entries(match);
  const kind = entry === undefined ? undefined : stringKinds[entry[0]];
  if (entry === undefined || kind === undefined)
    throw new TypeError('a string match is none of Exact, Prefix, Suffix, Presence');
  return { matchType: { case: kind, value: textOf(entry[1]) } };
}

function accountOf(value: unknown) {
  const { namespace, serviceAccount } = objectOf(value);
  return { namespace: textOf(namespace), serviceAccount: textOf(serviceAccount) };
}

function rangeOf(value: unknown) {
  const cidr = parseCidr(textOf(value));
  if (cidr === undefined) throw new TypeError(`${textOf(value)} is not an address range`);
  return cidr;
}

function portOf(value: unknown): number {
  if (typeof value !== 'number') throw new TypeError('a port is not a number');
  return value;
}

const readers: Readonly<Record<string, (value: unknown) => unknown>> = {
  namespaces: stringMatchOf,
  notNamespaces: stringMatchOf,
  principals: stringMatchOf,
  notPrincipals: stringMatchOf,
  serviceAccounts: accountOf,
  notServiceAccounts: accountOf,
  sourceIps: rangeOf,
  notSourceIps: rangeOf,
  destinationIps: rangeOf,
  notDestinationIps: rangeOf,
  destinationPorts: portOf,
  notDestinationPorts: portOf,
};

function objectOf(value: unknown): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new TypeError('not an object');
}

function listOf(value: unknown): readonly unknown[] {
  if (value === undefined) return [];
  if (Array.isArray(value)) return value;
  throw new TypeError('not a list');
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  throw new TypeError('not a text');
}

function pick<T>(words: Readonly<Record<string, T>>, word: unknown): T {
  const found = typeof word === 'string' ? words[word] : undefined;
  if (found === undefined)
    throw new TypeError(`${JSON.stringify(word)} is none of ${Object.keys(words).join(', ')}`);
  return found;
}
