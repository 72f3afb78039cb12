import { MeshError } from '#base/errors/mesh-error.js';
import { run } from '#base/system/run.js';
import type { Family } from './rule.js';

const routeTable = '100';
const rulePriority = '32764';
const ruleMark = '0x111/0xfff';
const commandTimeoutMs = 10_000;

/** What of the policy route is in place in a namespace, for one family. */
export interface PolicyRoutingState {
  readonly rule: boolean;
  readonly route: boolean;
}

/**
 * Makes packets of proxied flows come back to the proxy: mark 0x111 looks up table
 * 100, whose only route is local. Both steps may be repeated; the route is left out
 * where lo has IPv6 switched off. Throws MESH0702.
 */
export async function addPolicyRouting(
  netns: number,
  family: Family,
  state: PolicyRoutingState,
  options: { readonly wantsRoute: boolean },
): Promise<void> {
  if (options.wantsRoute && !state.route) {
    const route = ['local', anyAddress(family), 'dev', 'lo', 'scope', 'host', 'table', routeTable];
    await ip(netns, family, ['route', 'replace', ...route]);
  }
  if (state.rule) return;
  await ip(
    netns,
    family,
    ['rule', 'add', 'fwmark', ruleMark, 'priority', rulePriority, 'lookup', routeTable],
    ['File exists'],
  );
}

/** Removes what {@link addPolicyRouting} made; fine when nothing is there. */
export async function removePolicyRouting(
  netns: number,
  family: Family,
  state: PolicyRoutingState,
): Promise<void> {
  if (state.rule) {
    await ip(
      netns,
      family,
      ['rule', 'del', 'fwmark', ruleMark, 'priority', rulePriority, 'lookup', routeTable],
      ['No such file', 'No such process'],
    );
  }
  if (state.route) {
    await ip(
      netns,
      family,
      ['route', 'del', 'local', anyAddress(family), 'dev', 'lo', 'table', routeTable],
      ['No such process'],
    );
  }
}

/** Shell commands that print what {@link parsePolicyRouting} reads. */
export function showRoutingCommands(family: Family): readonly string[] {
  const ip = `ip ${familyFlag(family)}`;
  // Without any route the table does not exist, and `ip` complains.
  return [`${ip} rule show priority ${rulePriority}`, `${ip} route show table ${routeTable} 2>/dev/null`];
}

/** Finds the mesh's rule and route in the output of `ip rule` and `ip route`. */
export function parsePolicyRouting(text: string): PolicyRoutingState {
  const rule = new RegExp(`^${rulePriority}:.*fwmark ${ruleMark} lookup ${routeTable}\\s*$`, 'm');
  return { rule: rule.test(text), route: /^local (default|::\/0|0\.0\.0\.0\/0) dev lo/m.test(text) };
}

async function ip(
  netns: number,
  family: Family,
  args: readonly string[],
  tolerated: readonly string[] = [],
): Promise<void> {
  const result = await run('ip', [familyFlag(family), ...args], { netns, timeoutMs: commandTimeoutMs });
  if (result.exitCode === 0 || tolerated.some((text) => result.stderr.includes(text))) return;
  throw new MeshError('MESH0702', `ip ${args.join(' ')} failed with exit code ${result.exitCode}`, {
    evidence: result.stderr.trim(),
  });
}

function familyFlag(family: Family): string {
  return family === 'v4' ? '-4' : '-6';
}

function anyAddress(family: Family): string {
  return family === 'v4' ? '0.0.0.0/0' : '::/0';
}
