import { create } from '@bufbuild/protobuf';
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
import { selectorOf } from './policy-targets.js';
import { addressMatches, portMatches, stringMatch } from './string-match.js';

/** Annotation that asks for a policy to be logged, not enforced. */
export const dryRun = 'istio.io/dry-run';

/** What became of a policy on its way to the node proxies. */
export interface L4Conversion {
  /** Undefined: nothing is sent. */
  readonly authorization: Authorization | undefined;
  /** Attributes that a node proxy cannot evaluate: those of HTTP requests, and values that cannot be read. */
  readonly unsupported: readonly string[];
  /** Numbers (from 1) of rules left out because of them. */
  readonly omittedRules: readonly number[];
  /** Numbers (from 1) of rules that can never match because one of their clauses became empty. */
  readonly ineffectiveRules: readonly number[];
  /** The whole policy is of a kind that node proxies do not take: CUSTOM, AUDIT, dry run. */
  readonly unsupportedPolicy: string | undefined;
}

/**
 * Converts a policy without targetRefs to what node proxies enforce. Attributes of HTTP requests are
 * unknown to them: an ALLOW rule holding one is left out (traffic stays denied), a DENY rule loses
 * the attribute (it denies more) or, when a clause has nothing else, can never match.
 */
export function convertToL4(policy: AuthorizationPolicy, rootNamespace: string): L4Conversion {
  const namespace = policy.metadata.namespace ?? '';
  const action = policy.spec?.action ?? 'ALLOW';
  const nothing = { authorization: undefined, unsupported: [], omittedRules: [], ineffectiveRules: [] };
  if (action !== 'ALLOW' && action !== 'DENY') return { ...nothing, unsupportedPolicy: `action ${action}` };
  if (policy.metadata.annotations?.[dryRun] === 'true') return { ...nothing, unsupportedPolicy: 'dry run' };

  const isAllow = action === 'ALLOW';
  const unsupported = new Set<string>();
  const rules: Rule[] = [];
  const omittedRules: number[] = [];
  const ineffectiveRules: number[] = [];
  for (const [index, rule] of (policy.spec?.rules ?? []).entries()) {
    const l7 = [...l7Attributes(rule), ...unreadableValues(rule)];
    for (const attribute of l7) unsupported.add(attribute);
    if (isAllow && l7.length > 0) {
      omittedRules.push(index + 1);
      continue;
    }
    const converted = convertRule(rule, namespace);
    if (converted.clauses.some(isNeverMatching)) ineffectiveRules.push(index + 1);
    rules.push(converted);
  }
  const scope =
    selectorOf(policy) !== undefined
      ? Scope.WORKLOAD_SELECTOR
      : namespace === rootNamespace
        ? Scope.GLOBAL
        : Scope.NAMESPACE;
  return {
    authorization: create(AuthorizationSchema, {
      name: policy.metadata.name,
      namespace,
      scope,
      action: isAllow ? Action.ALLOW : Action.DENY,
      rules,
    }),
    unsupported: [...unsupported].sort(),
    omittedRules,
    ineffectiveRules,
    unsupportedPolicy: undefined,
  };
}

/** Attributes of a rule that only an L7 proxy can evaluate. */
export function l7Attributes(rule: AuthorizationRule): string[] {
  const found: string[] = [];
  for (const { operation } of rule.to ?? []) {
    for (const key of l7Operation) if ((operation?.[key] ?? []).length > 0) found.push(`to.operation.${key}`);
  }
  for (const { source } of rule.from ?? []) {
    for (const key of l7Source) if ((source?.[key] ?? []).length > 0) found.push(`from.source.${key}`);
  }
  for (const { key } of rule.when ?? []) if (!l4Conditions.has(key)) found.push(`when[${key}]`);
  return found;
}

const l7Operation = ['hosts', 'notHosts', 'methods', 'notMethods', 'paths', 'notPaths'] as const;
const l7Source = [
  'remoteIpBlocks',
  'notRemoteIpBlocks',
  'requestPrincipals',
  'notRequestPrincipals',
] as const;
const l4Conditions: ReadonlySet<string> = new Set([
  'source.ip',
  'source.namespace',
  'source.principal',
  'destination.ip',
  'destination.port',
]);

/**
 * Ports and IP blocks that cannot be read. Left out silently they would widen an ALLOW rule, so they
 * count as something the proxy cannot evaluate.
 */
function unreadableValues(rule: AuthorizationRule): string[] {
  const found: string[] = [];
  const check = (
    where: string,
    values: readonly string[] | undefined,
    isReadable: (value: string) => boolean,
  ) => {
    for (const value of values ?? []) if (!isReadable(value)) found.push(`${where} "${value}"`);
  };
  const isPort = (value: string) => portMatches([value]).length > 0;
  const isBlock = (value: string) => addressMatches([value]).length > 0;
  for (const { operation } of rule.to ?? []) {
    check('to.operation.ports', operation?.ports, isPort);
    check('to.operation.notPorts', operation?.notPorts, isPort);
  }
  for (const { source } of rule.from ?? []) {
    check('from.source.ipBlocks', source?.ipBlocks, isBlock);
    check('from.source.notIpBlocks', source?.notIpBlocks, isBlock);
  }
  for (const { key, values, notValues } of rule.when ?? []) {
    const isReadable = key === 'destination.port' ? isPort : isBlock;
    if (key !== 'destination.port' && !key.endsWith('.ip')) continue;
    check(`when[${key}]`, values, isReadable);
    check(`when[${key}]`, notValues, isReadable);
  }
  return found;
}

/** Each of `to`, `from` and every `when` is a clause of its own; clauses are and-ed by the proxy. */
function convertRule(rule: AuthorizationRule, namespace: string): Rule {
  const clauses: Clause[] = [];
  const add = (matches: Match[]) => {
    if (matches.length > 0) clauses.push(create(ClauseSchema, { matches }));
  };
  add((rule.to ?? []).map(({ operation }) => operationMatch(operation ?? {})));
  add((rule.from ?? []).map(({ source }) => sourceMatch(source ?? {}, namespace)));
  for (const condition of rule.when ?? []) add([conditionMatch(condition)]);
  return create(RuleSchema, { clauses });
}

function operationMatch(operation: AuthorizationOperation): Match {
  return create(MatchSchema, {
    destinationPorts: portMatches(operation.ports ?? []),
    notDestinationPorts: portMatches(operation.notPorts ?? []),
  });
}

function sourceMatch(source: AuthorizationSource, namespace: string): Match {
  return create(MatchSchema, {
    principals: (source.principals ?? []).map(stringMatch),
    notPrincipals: (source.notPrincipals ?? []).map(stringMatch),
    namespaces: (source.namespaces ?? []).map(stringMatch),
    notNamespaces: (source.notNamespaces ?? []).map(stringMatch),
    sourceIps: addressMatches(source.ipBlocks ?? []),
    notSourceIps: addressMatches(source.notIpBlocks ?? []),
    serviceAccounts: (source.serviceAccounts ?? []).map((text) => serviceAccountMatch(text, namespace)),
    notServiceAccounts: (source.notServiceAccounts ?? []).map((text) => serviceAccountMatch(text, namespace)),
  });
}

/** `namespace/name`, or a name in the policy's own namespace. */
function serviceAccountMatch(text: string, ownNamespace: string): ServiceAccountMatch {
  const slash = text.indexOf('/');
  return create(ServiceAccountMatchSchema, {
    namespace: slash < 0 ? ownNamespace : text.slice(0, slash),
    serviceAccount: slash < 0 ? text : text.slice(slash + 1),
  });
}

function conditionMatch(condition: {
  readonly key: string;
  readonly values?: readonly string[];
  readonly notValues?: readonly string[];
}): Match {
  const values = condition.values ?? [];
  const notValues = condition.notValues ?? [];
  switch (condition.key) {
    case 'source.ip':
      return create(MatchSchema, {
        sourceIps: addressMatches(values),
        notSourceIps: addressMatches(notValues),
      });
    case 'source.namespace':
      return create(MatchSchema, {
        namespaces: values.map(stringMatch),
        notNamespaces: notValues.map(stringMatch),
      });
    case 'source.principal':
      return create(MatchSchema, {
        principals: values.map(stringMatch),
        notPrincipals: notValues.map(stringMatch),
      });
    case 'destination.ip':
      return create(MatchSchema, {
        destinationIps: addressMatches(values),
        notDestinationIps: addressMatches(notValues),
      });
    case 'destination.port':
      return create(MatchSchema, {
        destinationPorts: portMatches(values),
        notDestinationPorts: portMatches(notValues),
      });
    default:
      return create(MatchSchema, {});
  }
}

/** A clause of nothing but empty matches: proxies skip each of them, so none can match. */
function isNeverMatching(clause: Clause): boolean {
  return clause.matches.every((match) => matchFields.every((field) => match[field].length === 0));
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
