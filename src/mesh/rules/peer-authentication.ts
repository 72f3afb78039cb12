import { create } from '@bufbuild/protobuf';
import type { PeerAuthentication } from '#base/kube/types.js';
import {
  Action,
  AuthorizationSchema,
  ClauseSchema,
  MatchSchema,
  RuleSchema,
  Scope,
  type Authorization,
  type Match,
  type Rule,
} from '../xds/gen/istio/authorization_pb.js';
import { selectorOf } from './policy-targets.js';
import { stringMatch } from './string-match.js';

/** Name of the policy that refuses peers without identity. */
export const strictPolicy = 'istio_converted_static_strict';
const convertedPrefix = 'converted_peer_authentication_';

/** Whether peers without identity are refused; DISABLE counts as permissive for a node proxy. */
export type MtlsMode = 'unset' | 'permissive' | 'strict';

/** What the mesh needs of a PeerAuthentication. */
export interface PeerAuthFacts {
  readonly namespace: string;
  readonly name: string;
  readonly selector: Readonly<Record<string, string>> | undefined;
  readonly mode: MtlsMode;
  /** Ports with a mode of their own, ascending; unset ones are left out. */
  readonly ports: readonly { readonly port: number; readonly mode: Exclude<MtlsMode, 'unset'> }[];
  readonly createdAt: string;
}

/** Facts of a PeerAuthentication. */
export function peerAuthFacts(policy: PeerAuthentication): PeerAuthFacts {
  const ports: { port: number; mode: Exclude<MtlsMode, 'unset'> }[] = [];
  for (const [port, { mode }] of Object.entries(policy.spec?.portLevelMtls ?? {})) {
    const parsed = parseMode(mode);
    if (parsed !== 'unset' && /^\d{1,5}$/.test(port)) ports.push({ port: Number(port), mode: parsed });
  }
  return {
    namespace: policy.metadata.namespace ?? '',
    name: policy.metadata.name,
    selector: selectorOf(policy),
    mode: parseMode(policy.spec?.mtls?.mode),
    ports: ports.sort((a, b) => a.port - b.port),
    createdAt: policy.metadata.creationTimestamp ?? '',
  };
}

function parseMode(mode: string | undefined): MtlsMode {
  if (mode === 'STRICT') return 'strict';
  return mode === 'PERMISSIVE' || mode === 'DISABLE' ? 'permissive' : 'unset';
}

/** The policies that can concern one namespace. */
export interface PeerAuthScope {
  readonly rootNamespace: string;
  /** Policies of the root namespace. */
  readonly root: readonly PeerAuthFacts[];
  /** Policies of the namespace itself. */
  readonly own: readonly PeerAuthFacts[];
}

/** Mode that applies to workloads of a namespace which no selector policy singles out. */
export function namespaceMode(scope: PeerAuthScope): Exclude<MtlsMode, 'unset'> {
  const own = oldest(scope.own.filter((p) => p.selector === undefined));
  const root = oldest(scope.root.filter((p) => p.selector === undefined));
  if (own !== undefined && own.mode !== 'unset') return own.mode;
  return root?.mode === 'strict' ? 'strict' : 'permissive';
}

/** Keys of the converted policies that apply to a workload, in sending order. */
export function peerAuthPolicyKeys(
  workload: { readonly namespace: string; readonly labels: Readonly<Record<string, string>> },
  scope: PeerAuthScope,
): string[] {
  const inherited = namespaceMode(scope);
  const strictKey = `${scope.rootNamespace}/${strictPolicy}`;
  const selecting = selectorPolicies(workload.namespace, scope).filter((policy) =>
    Object.entries(policy.selector ?? {}).every(([key, value]) => workload.labels[key] === value),
  );
  const applied = oldest(selecting);
  if (applied === undefined) return inherited === 'strict' ? [strictKey] : [];
  const mode = applied.mode === 'unset' ? inherited : applied.mode;
  if (portRules(applied, mode).length > 0) return [`${applied.namespace}/${convertedPrefix}${applied.name}`];
  return mode === 'strict' ? [strictKey] : [];
}

/** The port-level policy as an authorization; undefined when it has no port of another mode than its own. */
export function convertPortLevel(policy: PeerAuthFacts, scope: PeerAuthScope): Authorization | undefined {
  if (policy.selector === undefined || policy.namespace === scope.rootNamespace) return undefined;
  const mode = policy.mode === 'unset' ? namespaceMode(scope) : policy.mode;
  const rules = portRules(policy, mode);
  if (rules.length === 0) return undefined;
  return denial({ namespace: policy.namespace, name: `${convertedPrefix}${policy.name}`, rules });
}

/** The policy that refuses every peer without identity. */
export function strictAuthorization(rootNamespace: string): Authorization {
  const rule = create(RuleSchema, { clauses: [create(ClauseSchema, { matches: [unauthenticated()] })] });
  return denial({ namespace: rootNamespace, name: strictPolicy, rules: [rule] });
}

/** Selector policies of the root namespace are ignored, as upstream. */
function selectorPolicies(namespace: string, scope: PeerAuthScope): PeerAuthFacts[] {
  if (namespace === scope.rootNamespace) return [];
  return scope.own.filter((policy) => policy.selector !== undefined);
}

/**
 * Under strict, one rule: no identity, and none of the exempt ports. Under permissive, one rule for
 * each strict port: no identity, and that port.
 */
function portRules(policy: PeerAuthFacts, mode: Exclude<MtlsMode, 'unset'>): Rule[] {
  const others = policy.ports.filter((port) => port.mode !== mode).map(({ port }) => port);
  if (others.length === 0) return [];
  if (mode === 'strict') {
    const exempt = others.map((port) => create(MatchSchema, { notDestinationPorts: [port] }));
    const clauses = [unauthenticated(), ...exempt].map((match) => create(ClauseSchema, { matches: [match] }));
    return [create(RuleSchema, { clauses })];
  }
  return others.map((port) => {
    const match = create(MatchSchema, { notPrincipals: [stringMatch('*')], destinationPorts: [port] });
    return create(RuleSchema, { clauses: [create(ClauseSchema, { matches: [match] })] });
  });
}

function unauthenticated(): Match {
  return create(MatchSchema, { notPrincipals: [stringMatch('*')] });
}

function denial(input: {
  readonly namespace: string;
  readonly name: string;
  readonly rules: Rule[];
}): Authorization {
  return create(AuthorizationSchema, { ...input, scope: Scope.WORKLOAD_SELECTOR, action: Action.DENY });
}

/** Oldest first, then by name: which of several policies of one level applies. */
function oldest(policies: readonly PeerAuthFacts[]): PeerAuthFacts | undefined {
  const rank = (p: PeerAuthFacts) => `${p.createdAt}/${p.name}`;
  return policies.reduce<PeerAuthFacts | undefined>(
    (best, policy) => (best === undefined || rank(policy) < rank(best) ? policy : best),
    undefined,
  );
}
