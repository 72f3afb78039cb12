import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  Action,
  type Authorization,
  AuthorizationSchema,
  type MatchSchema,
  Scope,
} from '../../xds/gen/istio/authorization_pb.js';
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
