import type {
  Address,
  Authorization,
  Match,
  ServiceAccountMatch,
  StringMatch,
} from '../../xds/gen/istio/authorization_pb.js';
import { Action, Scope } from '../../xds/gen/istio/authorization_pb.js';
import { ipToBytes } from '#base/net/address.js';
import { isInCidr } from '#base/net/cidr.js';
import type { ParsedSpiffe } from '../../identity/spiffe.js';

/** What is known of a connection when it asks to come in. */
export interface L4Connection {
  /** TCP peer; never an address the peer merely claims. */
  readonly sourceIp: string;
  readonly destinationIp: string;
  /** The application's port. */
  readonly destinationPort: number;
  /** From the peer's verified certificate; undefined for plaintext. */
  readonly identity: ParsedSpiffe | undefined;
}

/** A connection with the forms the matchers need, made once per evaluation. */
export interface MatchInput {
  readonly source: Uint8Array | undefined;
  readonly destination: Uint8Array | undefined;
  readonly port: number;
  /** Without the scheme; undefined for plaintext. */
  readonly principal: string | undefined;
  readonly namespace: string;
  readonly serviceAccount: string | undefined;
}

/** One policy, ready to evaluate. */
export interface L4Policy {
  readonly name: string;
  readonly namespace: string;
  /** `namespace/name`. */
  readonly key: string;
  readonly scope: Scope;
  readonly action: Action;
  readonly isDryRun: boolean;
  /** As received, for dumps. */
  readonly source: Authorization;
  readonly matches: (input: MatchInput) => boolean;
}

type Test = (input: MatchInput) => boolean;

/**
 * Prepares a received policy. `problem` tells that a part of it has no meaning here; such a policy is made as strict
 * as its action allows (an ALLOW that admits nobody, a DENY that refuses everybody), because leaving out the part
 * would admit more than was written. Throws on an unknown scope or action.
 */
export function compileL4Policy(source: Authorization): { policy: L4Policy; problem: string | undefined } {
  if (Scope[source.scope] === undefined) throw new Error(`unknown scope ${source.scope}`);
  if (Action[source.action] === undefined) throw new Error(`unknown action ${source.action}`);
  let matches: Test;
  let problem: string | undefined;
  try {
    const rules = source.rules.map((rule) => {
      const clauses = rule.clauses.map((clause) => {
        const tests = clause.matches.map(compileMatch);
        if (tests.length === 0) return always;
        return (input: MatchInput) => tests.some((test) => test(input));
      });
      return (input: MatchInput) => clauses.every((clause) => clause(input));
    });
    matches = (input) => rules.some((rule) => rule(input));
  } catch (error) {
    problem = error instanceof Error ? error.message : String(error);
    matches = source.action === Action.DENY ? always : never;
  }
  const { name, namespace, scope, action } = source;
  const key = `${namespace}/${name}`;
  return {
    policy: { name, namespace, key, scope, action, isDryRun: source.dryRun, source, matches },
    problem,
  };
}

/** The forms of a connection that matchers compare. */
export function matchInput(connection: L4Connection): MatchInput {
  const { identity } = connection;
  return {
    source: ipToBytes(connection.sourceIp),
    destination: ipToBytes(connection.destinationIp),
    port: connection.destinationPort,
    principal: identity?.id.slice('spiffe://'.length),
    // Upstream compares an absent identity's namespace as the empty string.
    namespace: identity?.namespace ?? '',
    serviceAccount: identity?.serviceAccount,
  };
}

const always: Test = () => true;
const never: Test = () => false;

function compileMatch(match: Match): Test {
  const kinds: Test[] = [];
  const add = (positive: readonly Test[], negative: readonly Test[]): void => {
    if (positive.length > 0) kinds.push((input) => positive.some((test) => test(input)));
    if (negative.length > 0) kinds.push((input) => !negative.some((test) => test(input)));
  };
  add(
    match.namespaces.map((m) => stringTest(m, (input) => input.namespace)),
    match.notNamespaces.map((m) => stringTest(m, (input) => input.namespace)),
  );
  add(match.serviceAccounts.map(serviceAccountTest), match.notServiceAccounts.map(serviceAccountTest));
  add(
    match.principals.map((m) => stringTest(m, (input) => input.principal)),
    match.notPrincipals.map((m) => stringTest(m, (input) => input.principal)),
  );
  add(
    match.sourceIps.map((a) => cidrTest(a, (input) => input.source)),
    match.notSourceIps.map((a) => cidrTest(a, (input) => input.source)),
  );
  add(
    match.destinationIps.map((a) => cidrTest(a, (input) => input.destination)),
    match.notDestinationIps.map((a) => cidrTest(a, (input) => input.destination)),
  );
  add(match.destinationPorts.map(portTest), match.notDestinationPorts.map(portTest));
  // A match with no fields set never matches: an empty filter is a mistake, not "everything".
  if (kinds.length === 0) return never;
  return (input) => kinds.every((kind) => kind(input));
}

function stringTest(match: StringMatch, value: (input: MatchInput) => string | undefined): Test {
  const type = match.matchType;
  switch (type.case) {
    case 'exact':
      return (input) => value(input) === type.value;
    case 'prefix':
      return (input) => value(input)?.startsWith(type.value) ?? false;
    case 'suffix':
      return (input) => value(input)?.endsWith(type.value) ?? false;
    case 'presence':
      return (input) => (value(input) ?? '') !== '';
    default:
      throw new Error('a string match without a kind');
  }
}

function serviceAccountTest(match: ServiceAccountMatch): Test {
  return (input) => input.serviceAccount === match.serviceAccount && input.namespace === match.namespace;
}

function portTest(port: number): Test {
  return (input) => input.port === port;
}

function cidrTest(range: Address, value: (input: MatchInput) => Uint8Array | undefined): Test {
  const { address, length } = range;
  if ((address.length !== 4 && address.length !== 16) || length > address.length * 8) {
    throw new Error('an IP match that is not an address range');
  }
  return (input) => {
    const ip = value(input);
    return ip !== undefined && isInCidr(range, ip);
  };
}
