import { MeshError } from '../../errors/mesh-error.js';
import { run } from '../../system/run.js';
import type { Family } from './rule.js';

const routeTable = '100';
const rulePriority = '32764';
const ruleMark = '0x111/0xfff';
const commandTimeoutMs = 10_000;

/** What of the policy route is in place in a namespace. */
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
  options: { readonly route: boolean },
): Promise<void> {
  if (options.route) {
    const route = ['local', anyAddress(family), 'dev', 'lo', 'scope', 'host', 'table', routeTable];
    await ip(netns, family, ['route', 'replace', ...route]);
  }
  const state = await readPolicyRouting(netns, family);
  if (state.rule) return;
  await ip(
    netns,
    family,
    ['rule', 'add', 'fwmark', ruleMark, 'priority', rulePriority, 'lookup', routeTable],
    ['File exists'],
  );
}

/** Removes what {@link addPolicyRouting} made; fine when nothing is there. */
export async function removePolicyRouting(netns: number, family: Family): Promise<void> {
  const state = await readPolicyRouting(netns, family);
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

/** Reads rule and route from the kernel, in one run of `ip`. */
export async function readPolicyRouting(netns: number, family: Family): Promise<PolicyRoutingState> {
  // -force: `route show` fails when the table does not exist, which is an answer, not an error.
  const result = await run('ip', [familyFlag(family), '-force', '-batch', '-'], {
    netns,
    timeoutMs: commandTimeoutMs,
    input: `rule show\nroute show table ${routeTable}\n`,
  });
  return {
    rule: new RegExp(`^${rulePriority}:.*fwmark ${ruleMark} lookup ${routeTable}\\s*$`, 'm').test(
      result.stdout,
    ),
    route: /^local (default|::\/0|0\.0\.0\.0\/0) dev lo/m.test(result.stdout),
  };
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
