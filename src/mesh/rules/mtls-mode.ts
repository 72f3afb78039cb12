import type { PeerAuthentication } from '#base/kube/types.js';
import { selectorOf, selectsLabels } from './policy-targets.js';

/** Whether peers without identity are refused. */
export type MtlsMode = 'STRICT' | 'PERMISSIVE';

/** What the mesh needs of a PeerAuthentication. */
export interface PeerAuthFacts {
  readonly namespace: string;
  readonly name: string;
  readonly selector: Readonly<Record<string, string>> | undefined;
  /** Undefined: unset, the level above decides. DISABLE counts as PERMISSIVE: a node proxy cannot turn mTLS off. */
  readonly mode: MtlsMode | undefined;
  /** Ports with a mode of their own, ascending; unset ones are left out. */
  readonly ports: readonly { readonly port: number; readonly mode: MtlsMode }[];
  /** DISABLE is asked for, in general or for a port. */
  readonly hasDisable: boolean;
  readonly createdAt: string;
}

/** Facts of a PeerAuthentication. */
export function peerAuthFacts(policy: PeerAuthentication): PeerAuthFacts {
  const portModes = Object.entries(policy.spec?.portLevelMtls ?? {});
  const ports: { port: number; mode: MtlsMode }[] = [];
  for (const [port, { mode }] of portModes) {
    const parsed = parseMode(mode);
    if (parsed !== undefined && /^\d{1,5}$/.test(port)) ports.push({ port: Number(port), mode: parsed });
  }
  return {
    namespace: policy.metadata.namespace ?? '',
    name: policy.metadata.name,
    selector: selectorOf(policy),
    mode: parseMode(policy.spec?.mtls?.mode),
    ports: ports.sort((a, b) => a.port - b.port),
    hasDisable: policy.spec?.mtls?.mode === 'DISABLE' || portModes.some(([, { mode }]) => mode === 'DISABLE'),
    createdAt: policy.metadata.creationTimestamp ?? '',
  };
}

/** What of a PeerAuthentication is not done, in words; undefined when all of it is. */
export function peerAuthShortfall(policy: PeerAuthFacts, rootNamespace: string): string | undefined {
  const { namespace, selector, ports, hasDisable } = policy;
  const shortfalls = [
    ...(namespace === rootNamespace && selector !== undefined
      ? ['in the root namespace a policy with a selector concerns nobody']
      : []),
    ...(selector === undefined && ports.length > 0
      ? ['modes of ports count only in a policy with a selector']
      : []),
    ...(hasDisable ? ['DISABLE counts as PERMISSIVE: captured pods always talk mTLS to each other'] : []),
  ];
  return shortfalls.length === 0 ? undefined : shortfalls.join('; ');
}

function parseMode(mode: string | undefined): MtlsMode | undefined {
  if (mode === 'STRICT') return 'STRICT';
  return mode === 'PERMISSIVE' || mode === 'DISABLE' ? 'PERMISSIVE' : undefined;
}

/** The policies that can concern one namespace. */
export interface PeerAuthScope {
  readonly rootNamespace: string;
  /** Policies of the root namespace. */
  readonly root: readonly PeerAuthFacts[];
  /** Policies of the namespace itself; none when it is the root namespace. */
  readonly own: readonly PeerAuthFacts[];
}

/** The policies of a cluster that can concern one namespace. */
export function peerAuthScope(
  policies: readonly PeerAuthFacts[],
  at: { readonly namespace: string; readonly rootNamespace: string },
): PeerAuthScope {
  const { namespace, rootNamespace } = at;
  return {
    rootNamespace,
    root: policies.filter((policy) => policy.namespace === rootNamespace),
    own: namespace === rootNamespace ? [] : policies.filter((policy) => policy.namespace === namespace),
  };
}

/** The inbound mode of a workload and where it comes from. */
export interface WorkloadMtls {
  readonly mode: MtlsMode;
  /** The policy that says so; undefined when none does. */
  readonly decidedBy: PeerAuthFacts | undefined;
  /** The workload's own policy, when one selects it: only this one can have modes by port. */
  readonly own: PeerAuthFacts | undefined;
  /** Ports whose mode is not {@link mode}, ascending. */
  readonly exceptions: readonly number[];
  /** Policies of the workload's levels that ask for DISABLE and are taken as PERMISSIVE. */
  readonly disabling: readonly PeerAuthFacts[];
}

/**
 * The mode of a workload: its own policy before its namespace's before the mesh's, the oldest of a level. A policy of
 * the root namespace with a selector concerns nobody, as upstream.
 */
export function workloadMtls(
  workload: { readonly namespace: string; readonly labels: Readonly<Record<string, string>> },
  scope: PeerAuthScope,
): WorkloadMtls {
  const own =
    workload.namespace === scope.rootNamespace
      ? undefined
      : oldest(scope.own.filter((policy) => selectsLabels(policy.selector, workload.labels)));
  return modeAt(scope, own);
}

/** The mode below one selector policy, or (undefined) of what no selector policy singles out. */
export function modeAt(scope: PeerAuthScope, own: PeerAuthFacts | undefined): WorkloadMtls {
  const levels = [
    own,
    oldest(scope.own.filter((policy) => policy.selector === undefined)),
    oldest(scope.root.filter((policy) => policy.selector === undefined)),
  ].filter((policy) => policy !== undefined);
  const decidedBy = levels.find((policy) => policy.mode !== undefined);
  const mode = decidedBy?.mode ?? 'PERMISSIVE';
  return {
    mode,
    decidedBy,
    own,
    exceptions: (own?.ports ?? []).filter((port) => port.mode !== mode).map(({ port }) => port),
    disabling: levels.filter((policy) => policy.hasDisable),
  };
}

/** Oldest first, then by name: which of several policies of one level applies. */
function oldest(policies: readonly PeerAuthFacts[]): PeerAuthFacts | undefined {
  const rank = (p: PeerAuthFacts) => `${p.createdAt}/${p.name}`;
  return policies.reduce<PeerAuthFacts | undefined>(
    (best, policy) => (best === undefined || rank(policy) < rank(best) ? policy : best),
    undefined,
  );
}
