import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type {
  AuthorizationOperation,
  AuthorizationPolicy,
  AuthorizationRule,
  AuthorizationSource,
} from '#base/kube/types.js';
import {
  Action,
  AuthorizationSchema,
  ClauseSchema,
  MatchSchema,
  RuleSchema,
  Scope,
  ServiceAccountMatchSchema,
  type Authorization,
  type Clause,
  type Match,
  type Rule,
  type ServiceAccountMatch,
} from '../xds/gen/istio/authorization_pb.js';
import { parseBoolean } from './enrollment.js';
import type { MeshConfig } from './mesh-config.js';
import { policyReach, type PolicyReach } from './policy-targets.js';
import { addressMatches, portMatches, stringMatch } from './string-match.js';
import { type MeshNames, principalPatterns } from './trust-domain.js';

/** Annotation that asks for a policy to be logged, not enforced. */
const dryRunAnnotation = 'istio.io/dry-run';

/** Whether a policy is to be logged instead of enforced. */
export function isDryRun(policy: AuthorizationPolicy): boolean {
  return parseBoolean(policy.metadata.annotations?.[dryRunAnnotation]) === true;
}

/** What became of a policy on its way to the node proxies. */
export interface L4Conversion {
  /** Undefined: nothing is sent. */
  readonly authorization: Authorization | undefined;
  /** What a node proxy cannot evaluate: attributes of HTTP requests, and values that cannot be read. */
  readonly unsupported: readonly string[];
  /** Numbers (from 1) of ALLOW rules left out because of it: they admit nobody. */
  readonly omittedRules: readonly number[];
  /** Numbers (from 1) of rules that refuse everybody whom the rest of the rule matches. */
  readonly stricterRules: readonly number[];
  /** Numbers (from 1) of rules that never match, because a clause has nothing that can be evaluated. */
  readonly ineffectiveRules: readonly number[];
  /** Why the policy as a whole is not what a node proxy takes: CUSTOM, AUDIT, dry run. */
  readonly unsupportedPolicy: string | undefined;
}

/** What of the mesh a conversion depends on. */
export type L4Context = Pick<
  MeshConfig,
  'rootNamespace' | 'trustDomain' | 'trustDomainAliases' | 'l7PolicyAtZtunnel'
>;

/**
 * How a rule is read that holds something a node proxy cannot evaluate:
 * - admitting: it admits nobody (ALLOW)
 * - refusing: what cannot be evaluated counts as matched, so that more is refused than was written
 * - upstream: the attribute is left out; a clause left with nothing never matches
 */
type Reading = 'admitting' | 'refusing' | 'upstream';

/**
 * Converts a policy without targetRefs to what node proxies enforce. What they cannot evaluate never admits more than
 * was written: an ALLOW rule with such a part is left out, a DENY or CUSTOM rule refuses whoever the rest of it matches
 * (mesh option `l7PolicyAtZtunnel: ignore` restores upstream's reading of DENY and leaves CUSTOM out).
 */
export function convertToL4(policy: AuthorizationPolicy, mesh: L4Context): L4Conversion {
  const action = policy.spec?.action ?? 'ALLOW';
  const nothing: L4Conversion = {
    authorization: undefined,
    unsupported: [],
    omittedRules: [],
    stricterRules: [],
    ineffectiveRules: [],
    unsupportedPolicy: undefined,
  };
  if (isDryRun(policy)) return { ...nothing, unsupportedPolicy: 'dry run' };
  // It only marks requests for a log: leaving it out admits nobody.
  if (action === 'AUDIT') return { ...nothing, unsupportedPolicy: 'action AUDIT' };
  const isForeign = action !== 'ALLOW' && action !== 'DENY';
  if (isForeign && mesh.l7PolicyAtZtunnel === 'ignore') {
    return { ...nothing, unsupportedPolicy: `action ${action}` };
  }
  const refusing = mesh.l7PolicyAtZtunnel === 'ignore' ? 'upstream' : 'refusing';
  const converter = new RuleConverter({
    reading: action === 'ALLOW' ? 'admitting' : refusing,
    namespace: policy.metadata.namespace ?? '',
    names: mesh,
  });
  const outcomes = (policy.spec?.rules ?? []).map((rule, index) => ({
    number: index + 1,
    ...converter.convert(rule),
  }));
  const numbers = (isWanted: (outcome: (typeof outcomes)[number]) => boolean) =>
    outcomes.filter((outcome) => isWanted(outcome)).map(({ number }) => number);
  return {
    authorization: create(AuthorizationSchema, {
      name: policy.metadata.name,
      namespace: policy.metadata.namespace ?? '',
      scope: scopes[policyReach(policy, mesh.rootNamespace)],
      action: action === 'ALLOW' ? Action.ALLOW : Action.DENY,
      rules: outcomes.flatMap(({ rule }) => rule ?? []),
    }),
    unsupported: [...new Set(outcomes.flatMap(({ unsupported }) => unsupported))].sort(),
    omittedRules: numbers(({ rule }) => rule === undefined),
    stricterRules: numbers(({ isStricter }) => isStricter || isForeign),
    ineffectiveRules: numbers(({ rule }) => rule?.clauses.some(isNeverMatching) === true),
    unsupportedPolicy: isForeign ? `action ${action}` : undefined,
  };
}

/** In what a node proxy does not enforce a policy as it is written, in words; undefined when it does. */
export function l4Shortfall(conversion: L4Conversion): string | undefined {
  const { authorization, unsupported, unsupportedPolicy } = conversion;
  if (unsupportedPolicy !== undefined) {
    const effect =
      authorization === undefined ? 'the policy is not enforced' : 'whoever its rules can match is refused';
    return `ztunnel does not take ${unsupportedPolicy}; ${effect}`;
  }
  if (unsupported.length === 0) return undefined;
  const rules = (effect: string, numbers: readonly number[]) =>
    numbers.length === 0 ? [] : [`${effect}: ${numbers.join(', ')}`];
  return [
    `ztunnel cannot evaluate ${unsupported.join(', ')}`,
    ...rules('rules left out, so that they admit nobody', conversion.omittedRules),
    ...rules('rules that refuse whoever the rest of them matches', conversion.stricterRules),
    ...rules('rules that never match', conversion.ineffectiveRules),
  ].join('; ');
}

const scopes: Readonly<Record<PolicyReach, Scope>> = {
  mesh: Scope.GLOBAL,
  namespace: Scope.NAMESPACE,
  selector: Scope.WORKLOAD_SELECTOR,
};

/**
 * What a node proxy cannot evaluate in a rule, in the words of the policy: everything but the fields below, so that
 * one of a later API version is not taken for absent.
 */
function l7Attributes(rule: AuthorizationRule): string[] {
  const foreign = (of: object | undefined, known: ReadonlySet<string>) =>
    Object.entries(of ?? {}).flatMap(([key, values]: [string, unknown]) =>
      known.has(key) || (Array.isArray(values) && values.length === 0) ? [] : [key],
    );
  const operation = new Set(['ports', 'notPorts']);
  const source = new Set<string>(sourceFields.flatMap(([name, notName]) => [name, notName]));
  return [
    ...(rule.to ?? []).flatMap((to) => foreign(to.operation, operation).map((key) => `to.operation.${key}`)),
    ...(rule.from ?? []).flatMap((from) => foreign(from.source, source).map((key) => `from.source.${key}`)),
    ...(rule.when ?? []).filter(({ key }) => !(key in conditionFields)).map(({ key }) => `when[${key}]`),
  ];
}

/** One kind of values of a rule that node proxies compare: which, and the fields of a match for them. */
interface L4Field {
  readonly isReadable: (value: string) => boolean;
  readonly match: (
    values: readonly string[],
    isNegated: boolean,
    of: { readonly namespace: string; readonly names: MeshNames },
  ) => MessageInitShape<typeof MatchSchema>;
}

const principals: L4Field = {
  isReadable: (value) => value !== '',
  match: (values, isNegated, { names }) => {
    const patterns = values.flatMap((value) => principalPatterns(value, names)).map(stringMatch);
    return isNegated ? { notPrincipals: patterns } : { principals: patterns };
  },
};
const namespaces: L4Field = {
  // An asterisk in the middle stands for any characters here, which a string match has no form for.
  isReadable: (value) => value !== '' && !value.slice(1, -1).includes('*') && !/^\*.*\*$/.test(value),
  match: (values, isNegated) => {
    const patterns = values.map(stringMatch);
    return isNegated ? { notNamespaces: patterns } : { namespaces: patterns };
  },
};
const serviceAccounts: L4Field = {
  isReadable: (value) => /^[^*/]+(?:\/[^*/]+)?$/.test(value),
  match: (values, isNegated, { namespace }) => {
    const accounts = values.map((value) => serviceAccountMatch(value, namespace));
    return isNegated ? { notServiceAccounts: accounts } : { serviceAccounts: accounts };
  },
};
const isBlock = (value: string): boolean => addressMatches([value]).length > 0;
const sourceIps: L4Field = {
  isReadable: isBlock,
  match: (values, isNegated) =>
    isNegated ? { notSourceIps: addressMatches(values) } : { sourceIps: addressMatches(values) },
};
const destinationIps: L4Field = {
  isReadable: isBlock,
  match: (values, isNegated) =>
    isNegated ? { notDestinationIps: addressMatches(values) } : { destinationIps: addressMatches(values) },
};
const destinationPorts: L4Field = {
  isReadable: (value) => portMatches([value]).length > 0,
  match: (values, isNegated) =>
    isNegated ? { notDestinationPorts: portMatches(values) } : { destinationPorts: portMatches(values) },
};

/** Fields by the `key` of a `when` condition. */
const conditionFields: Readonly<Record<string, L4Field>> = {
  'source.ip': sourceIps,
  'source.namespace': namespaces,
  'source.principal': principals,
  'destination.ip': destinationIps,
  'destination.port': destinationPorts,
};

/** Values of one field as written. */
interface Values {
  /** As a person knows it, such as `from.source.ipBlocks`. */
  readonly where: string;
  readonly field: L4Field;
  readonly values: readonly string[] | undefined;
  readonly isNegated: boolean;
}

interface RuleOutcome {
  /** Undefined: the rule is left out. */
  readonly rule: Rule | undefined;
  readonly unsupported: readonly string[];
  /** The rule refuses more than was written. */
  readonly isStricter: boolean;
}

/** Converts the rules of one policy. */
class RuleConverter {
  readonly #of: { readonly reading: Reading; readonly namespace: string; readonly names: MeshNames };

  constructor(of: { readonly reading: Reading; readonly namespace: string; readonly names: MeshNames }) {
    this.#of = of;
  }

  /** Each of `to`, `from` and every `when` is a clause of its own; clauses are and-ed by the proxy. */
  convert(rule: AuthorizationRule): RuleOutcome {
    const groups: (readonly Values[])[][] = [
      (rule.to ?? []).map(({ operation }) => operationValues(operation ?? {})),
      (rule.from ?? []).map(({ source }) => sourceValues(source ?? {})),
      ...(rule.when ?? []).map((condition) => [conditionValues(condition)]),
    ];
    const unsupported = [...l7Attributes(rule), ...groups.flat(2).flatMap(unreadable)];
    const isPartial = unsupported.length > 0;
    if (this.#of.reading === 'admitting' && isPartial) {
      return { rule: undefined, unsupported, isStricter: false };
    }
    const clauses = groups.flatMap((alternatives) => this.#clause(alternatives));
    return {
      rule: create(RuleSchema, { clauses }),
      unsupported,
      isStricter: this.#of.reading === 'refusing' && isPartial,
    };
  }

  /** No clause: whatever comes matches. */
  #clause(alternatives: readonly (readonly Values[])[]): Clause[] {
    if (alternatives.length === 0) return [];
    const matches = alternatives.map((values) => this.#match(values));
    // A proxy skips an empty match; refusing, an alternative of which nothing can be evaluated is taken as met.
    if (this.#of.reading === 'refusing' && matches.some(isEmptyMatch)) return [];
    return [create(ClauseSchema, { matches })];
  }

  #match(all: readonly Values[]): Match {
    const parts = all.map(({ field, values = [], isNegated }) => {
      const readable = values.filter((value) => field.isReadable(value));
      // The value that cannot be read might have been the one that matches.
      const isOpen = this.#of.reading === 'refusing' && !isNegated && readable.length < values.length;
      return readable.length === 0 || isOpen ? {} : field.match(readable, isNegated, this.#of);
    });
    return create(MatchSchema, Object.assign({}, ...parts));
  }
}

function operationValues({ ports, notPorts }: AuthorizationOperation): Values[] {
  return [
    { where: 'to.operation.ports', field: destinationPorts, values: ports, isNegated: false },
    { where: 'to.operation.notPorts', field: destinationPorts, values: notPorts, isNegated: true },
  ];
}

function sourceValues(source: AuthorizationSource): Values[] {
  return sourceFields.flatMap(([name, notName, field]) => [
    { where: `from.source.${name}`, field, values: source[name], isNegated: false },
    { where: `from.source.${notName}`, field, values: source[notName], isNegated: true },
  ]);
}

const sourceFields = [
  ['principals', 'notPrincipals', principals],
  ['namespaces', 'notNamespaces', namespaces],
  ['ipBlocks', 'notIpBlocks', sourceIps],
  ['serviceAccounts', 'notServiceAccounts', serviceAccounts],
] as const satisfies readonly (readonly [keyof AuthorizationSource, keyof AuthorizationSource, L4Field])[];

function conditionValues(condition: {
  readonly key: string;
  readonly values?: readonly string[];
  readonly notValues?: readonly string[];
}): Values[] {
  const field = conditionFields[condition.key];
  if (field === undefined) return [];
  const where = `when[${condition.key}]`;
  return [
    { where, field, values: condition.values, isNegated: false },
    { where, field, values: condition.notValues, isNegated: true },
  ];
}

/** Values that cannot be read, in the words of the policy. */
function unreadable({ where, field, values }: Values): string[] {
  return (values ?? []).filter((value) => !field.isReadable(value)).map((value) => `${where} "${value}"`);
}

/** `namespace/name`, or a name in the policy's own namespace. */
function serviceAccountMatch(text: string, ownNamespace: string): ServiceAccountMatch {
  const slash = text.indexOf('/');
  return create(ServiceAccountMatchSchema, {
    namespace: slash < 0 ? ownNamespace : text.slice(0, slash),
    serviceAccount: slash < 0 ? text : text.slice(slash + 1),
  });
}

/** A clause of nothing but empty matches: proxies skip each of them, so none can match. */
function isNeverMatching(clause: Clause): boolean {
  return clause.matches.every(isEmptyMatch);
}

function isEmptyMatch(match: Match): boolean {
  return matchFields.every((field) => match[field].length === 0);
}

const matchFields = [
  'namespaces',
  'notNamespaces',
  'principals',
  'notPrincipals',
  'sourceIps',
  'notSourceIps',
  'destinationIps',
  'notDestinationIps',
  'destinationPorts',
  'notDestinationPorts',
  'serviceAccounts',
  'notServiceAccounts',
] as const satisfies readonly (keyof Match)[];
