import { parseAuthority } from '#base/net/authority.js';
import { isConvertedPeerAuth } from '../../rules/peer-authentication.js';
import type { DumpRefusedAttempt, ZtunnelDump } from '../ztunnel-dump.js';

/** Calls of one source to one destination that node proxies refused, or could not carry, for one reason. */
export interface RefusedCalls {
  /** `namespace/pod`, else the address. */
  readonly from: string;
  /** `namespace/pod:port` or the service, else the address. */
  readonly to: string;
  /** SPIFFE ID of the caller, where its certificate proved it. */
  readonly identity?: string;
  /** The node whose proxy refused. */
  readonly node: string;
  readonly reason: string;
  readonly count: number;
  /** RFC 3339. */
  readonly last: string;
}

/** Milliseconds back to which calls are told. */
export const refusedCallsWindowMs = 5 * 60_000;

/**
 * What the proxies of some nodes refused in the last five minutes, the newest first. What the far proxy refused is told
 * once, as it says it. Proxies that keep no such record (upstream's, older ones) tell nothing. `now` in milliseconds.
 */
export function refusedCalls(
  dumps: readonly { readonly node: string; readonly dump: Pick<ZtunnelDump, 'refusedAttempts'> }[],
  now: number,
): readonly RefusedCalls[] {
  const recent = dumps.flatMap(({ node, dump }) =>
    dump.refusedAttempts
      .filter(({ last }) => now - Date.parse(last) <= refusedCallsWindowMs)
      .map((attempt) => ({ node, attempt })),
  );
  const refusedBehind = new Set(
    recent.filter(({ attempt }) => attempt.direction === 'inbound').map(({ attempt }) => pathOf(attempt)),
  );
  return recent
    .filter(({ attempt }) => attempt.direction === 'inbound' || !refusedBehind.has(pathOf(attempt)))
    .map(({ node, attempt }) => callsOf(node, attempt))
    .sort((a, b) => Date.parse(b.last) - Date.parse(a.last));
}

/** Between whom: alike for the proxies of both sides. */
function pathOf({ source, destination }: DumpRefusedAttempt): string {
  return `${nameOf(source)} ${nameOf(destination)} ${portOf(destination.address)}`;
}

function callsOf(node: string, { source, destination, ...attempt }: DumpRefusedAttempt): RefusedCalls {
  const port = portOf(destination.address);
  return {
    from: nameOf(source),
    to: destination.workload === undefined ? toUnnamed(destination) : `${nameOf(destination)}:${port}`,
    ...(source.identity === undefined ? {} : { identity: source.identity }),
    node,
    reason: reasonText(attempt.reason),
    count: attempt.count,
    last: attempt.last,
  };
}

function toUnnamed({ service, address }: DumpRefusedAttempt['destination']): string {
  return service === undefined ? address : `${service}:${portOf(address)}`;
}

function nameOf({ workload, namespace, address }: DumpRefusedAttempt['source']): string {
  return workload === undefined ? address : `${namespace ?? ''}/${workload}`;
}

function portOf(address: string): string {
  return String(parseAuthority(address)?.port ?? address);
}

/** The proxy's words, as people say it. */
function reasonText(reason: string): string {
  const cause = reason.replace(/^connection closed due to policy (?:rejection|change): /, '');
  const [, policy] = /^explicitly denied by: (\S+)$/.exec(cause) ?? [];
  if (policy === undefined) return cause;
  const isMode = isConvertedPeerAuth(policy.slice(policy.indexOf('/') + 1));
  return isMode ? 'plaintext, and the mode is STRICT' : `denied by AuthorizationPolicy ${policy}`;
}
