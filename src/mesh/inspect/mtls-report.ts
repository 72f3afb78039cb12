import type { PeerAuthentication } from '#base/kube/types.js';
import { authorizeL4 } from '../policy/l4/authorize.js';
import { compileL4Policy } from '../policy/l4/compile.js';
import { parsePolicyJson } from '../policy/l4/policy-json.js';
import { type MtlsMode, peerAuthFacts, peerAuthScope, workloadMtls } from '../rules/mtls-mode.js';
import { isConvertedPeerAuth } from '../rules/peer-authentication.js';
import { Action, type Authorization } from '../xds/gen/istio/authorization_pb.js';
import type { DumpWorkload, ZtunnelDump } from './ztunnel-dump.js';

/** The inbound mode that PeerAuthentications ask for at a pod. */
export interface EffectiveMtls {
  readonly mode: MtlsMode;
  /** `PeerAuthentication ns/name`, or `default`. */
  readonly source: string;
  /** Ports with another mode. */
  readonly ports: Readonly<Record<string, MtlsMode>>;
  /** Policies that ask for DISABLE, which ambient mode takes as PERMISSIVE. */
  readonly ignoredDisable: readonly string[];
}

/** The inbound mode that a node proxy enforces at a pod, from its own configuration. */
export interface ObservedMtls {
  /** `unknown` when a policy it names is not there, or cannot be read. */
  readonly mode: MtlsMode | 'unknown';
  readonly ports: Readonly<Record<string, MtlsMode>>;
  /** Keys of the policies that say so. */
  readonly policies: readonly string[];
  readonly problem?: string;
}

/** What PeerAuthentications ask for at a workload. */
export function effectiveMtls(
  workload: { readonly namespace: string; readonly labels: Readonly<Record<string, string>> },
  policies: readonly PeerAuthentication[],
  rootNamespace: string,
): EffectiveMtls {
  const { namespace } = workload;
  const scope = peerAuthScope(policies.map(peerAuthFacts), { namespace, rootNamespace });
  const found = workloadMtls(workload, scope);
  const nameOf = (p: { readonly namespace: string; readonly name: string }) =>
    `PeerAuthentication ${p.namespace}/${p.name}`;
  return {
    mode: found.mode,
    source: found.decidedBy === undefined ? 'default' : nameOf(found.decidedBy),
    ports: Object.fromEntries(found.exceptions.map((port) => [port, otherMode(found.mode)])),
    ignoredDisable: found.disabling.map(nameOf),
  };
}

/** What a node proxy enforces for a workload: whether it would admit a peer without identity, port by port. */
export function observedMtls(dump: ZtunnelDump, workload: DumpWorkload): ObservedMtls {
  const policies = (workload.authorizationPolicies ?? []).filter((key) =>
    isConvertedPeerAuth(key.slice(key.indexOf('/') + 1)),
  );
  const unknown = (problem: string): ObservedMtls => ({ mode: 'unknown', ports: {}, policies, problem });
  const converted: Authorization[] = [];
  for (const key of policies) {
    const shown = dump.policies.find((p) => `${p.namespace}/${p.name}` === key);
    if (shown === undefined) return unknown(`policy ${key} has not arrived`);
    try {
      converted.push(parsePolicyJson(shown));
    } catch (error) {
      return unknown(`policy ${key} cannot be read: ${String(error)}`);
    }
  }
  const compiled = converted
    .filter(({ action }) => action === Action.DENY)
    .map((policy) => compileL4Policy(policy).policy);
  const modeOf = (destinationPort: number): MtlsMode => {
    const peer = { sourceIp: '0.0.0.0', destinationIp: '0.0.0.0', identity: undefined };
    return authorizeL4(compiled, { ...peer, destinationPort }).isAllowed ? 'PERMISSIVE' : 'STRICT';
  };
  const named = new Set(converted.flatMap(portsOf));
  // Port 0 stands for every port that no policy names.
  const mode = modeOf(0);
  const exceptions = [...named].filter((port) => modeOf(port) !== mode).sort((a, b) => a - b);
  return {
    mode,
    ports: Object.fromEntries(exceptions.map((port) => [port, otherMode(mode)])),
    policies,
  };
}

/** How what is enforced differs from what is asked for; undefined when it does not. */
export function mtlsDifference(wanted: EffectiveMtls, seen: ObservedMtls): string | undefined {
  if (seen.problem !== undefined) return seen.problem;
  const text = (of: { readonly mode: string; readonly ports: Readonly<Record<string, string>> }) =>
    [of.mode, ...Object.entries(of.ports).map(([port, mode]) => `port ${port} ${mode}`)].join(', ');
  const [asked, enforced] = [text(wanted), text(seen)];
  return asked === enforced ? undefined : `${asked} is asked for (${wanted.source}), ${enforced} is enforced`;
}

function portsOf({ rules }: Authorization): number[] {
  return rules.flatMap(({ clauses }) =>
    clauses.flatMap(({ matches }) =>
      matches.flatMap((match) => [...match.destinationPorts, ...match.notDestinationPorts]),
    ),
  );
}

function otherMode(mode: MtlsMode): MtlsMode {
  return mode === 'STRICT' ? 'PERMISSIVE' : 'STRICT';
}
