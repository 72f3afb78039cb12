import { MeshError } from '#base/errors/mesh-error.js';
import { run } from '#base/system/run.js';
import type { Family, RuleSet } from './rule.js';
import { parseSave } from './save-format.js';

/** Which kernel interface the iptables programs speak: both can be loaded at once, with separate rules. */
export type IptablesBackend = 'legacy' | 'nft' | 'default';

/** One namespace as the target of iptables. */
export interface IptablesTarget {
  readonly backend: IptablesBackend;
  /** fd of the network namespace. */
  readonly netns: number;
  /** Lock file; the namespaces of two pods do not need to wait for each other. */
  readonly lockFile: string;
  readonly signal?: AbortSignal | undefined;
}

const lockWaitSeconds = 5;
const commandTimeoutMs = 10_000;

/** Reads all rules of one family. Throws MESH0701 when the program fails. */
export async function saveRules(target: IptablesTarget, family: Family): Promise<RuleSet> {
  const command = `${programName(target.backend, family)}-save`;
  const result = await run(command, [], runOptions(target));
  if (result.exitCode !== 0) throw failed(command, result);
  return parseSave(result.stdout);
}

/** Applies `input` in the format of iptables-restore without touching other rules. Throws MESH0701. */
export async function restoreRules(target: IptablesTarget, family: Family, input: string): Promise<void> {
  if (input === '') return;
  const command = `${programName(target.backend, family)}-restore`;
  const args = ['--noflush', '-v', '-w', String(lockWaitSeconds)];
  const result = await run(command, args, { ...runOptions(target), input });
  if (result.exitCode !== 0) throw failed(command, result);
}

/**
 * Chooses the backend once, from the rules in the host's namespace: legacy when it
 * already has rules there, else nft, else whatever plain `iptables` is. `forced`
 * (FORCE_IPTABLES_BINARY) overrides.
 */
export async function detectBackend(
  hostNetns: number,
  forced: string | undefined,
  signal?: AbortSignal,
): Promise<IptablesBackend> {
  if (forced === 'legacy' || forced === 'nft') return forced;
  const options = { netns: hostNetns, timeoutMs: commandTimeoutMs, signal };
  const legacy = await tryRun('iptables-legacy-save', options);
  if (legacy !== undefined && /^-A /m.test(legacy)) return 'legacy';
  if ((await tryRun('iptables-nft-save', options)) !== undefined) return 'nft';
  return legacy === undefined ? 'default' : 'legacy';
}

/** True when ip6tables works in the namespace (the kernel may lack IPv6 NAT). */
export async function supportsIpv6(target: IptablesTarget): Promise<boolean> {
  const command = programName(target.backend, 'v6');
  return (await tryRun(command, runOptions(target), ['-w', '5', '-t', 'nat', '-S'])) !== undefined;
}

async function tryRun(
  command: string,
  options: { netns: number; timeoutMs: number; signal?: AbortSignal | undefined },
  args: readonly string[] = [],
): Promise<string | undefined> {
  try {
    const result = await run(command, args, options);
    return result.exitCode === 0 ? result.stdout : undefined;
  } catch (error) {
    if (error instanceof MeshError && error.code === 'MESH1001') return undefined;
    throw error;
  }
}

/** `iptables`, `ip6tables`, or the variant of a backend. */
export function programName(backend: IptablesBackend, family: Family): string {
  const base = family === 'v4' ? 'iptables' : 'ip6tables';
  return backend === 'default' ? base : `${base}-${backend}`;
}

/** How programs are run for a target: in its namespace, with its lock. */
export function runOptions(target: IptablesTarget) {
  return {
    netns: target.netns,
    timeoutMs: commandTimeoutMs,
    signal: target.signal,
    env: { XTABLES_LOCKFILE: target.lockFile },
  };
}

function failed(command: string, result: { stderr: string; exitCode: number }): MeshError {
  return new MeshError('MESH0701', `${command} failed with exit code ${result.exitCode}`, {
    evidence: result.stderr.trim().slice(0, 2_000),
  });
}
