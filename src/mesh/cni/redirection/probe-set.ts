import { MeshError } from '#base/errors/mesh-error.js';
import { run } from '#base/system/run.js';
import { postroutingChain } from './pod-rules.js';
import type { Family, Rule } from './rule.js';

/** One pod address whose probes are let through, and the pod it belongs to. */
export interface ProbeEntry {
  readonly ip: string;
  readonly uid: string;
}

const commandTimeoutMs = 10_000;

/** Name of the ipset of a family (istio/istio cni/pkg/ipset). */
export function probeSetName(family: Family): string {
  return `istio-inpod-probes-${family}`;
}

/** True when ipset exists here and the kernel makes sets in the namespace. */
export async function ipsetWorks(netns: number): Promise<boolean> {
  try {
    const result = await run('ipset', ['list', '-n'], { netns, timeoutMs: commandTimeoutMs });
    return result.exitCode === 0;
  } catch (error) {
    if (error instanceof MeshError && error.code === 'MESH1001') return false;
    throw error;
  }
}

/** Creates the set unless it is there. Throws MESH0703. */
export async function createProbeSet(netns: number, family: Family): Promise<void> {
  const name = probeSetName(family);
  const inet = family === 'v4' ? 'inet' : 'inet6';
  await ipset(netns, ['create', name, 'hash:ip', 'family', inet, 'comment', '-exist']);
}

/** Adds or replaces an entry; the comment holds the pod's UID. Throws MESH0703. */
export async function addProbeEntry(netns: number, family: Family, entry: ProbeEntry): Promise<void> {
  await ipset(netns, ['add', probeSetName(family), entry.ip, 'comment', entry.uid, '-exist']);
}

/** Removes an entry only if it still belongs to the pod: the address may have a new owner. */
export async function removeProbeEntry(netns: number, family: Family, entry: ProbeEntry): Promise<void> {
  const entries = await listProbeEntries(netns, family);
  if (!entries.some((have) => have.ip === entry.ip && have.uid === entry.uid)) return;
  await ipset(netns, ['del', probeSetName(family), entry.ip, '-exist']);
}

/** Entries of the set; empty when there is no such set. */
export async function listProbeEntries(netns: number, family: Family): Promise<readonly ProbeEntry[]> {
  const options = { netns, timeoutMs: commandTimeoutMs };
  const result = await run('ipset', ['save', probeSetName(family)], options);
  if (result.exitCode !== 0) return [];
  return parseIpsetSave(result.stdout);
}

/** Parses `add NAME IP comment "UID"` lines of `ipset save`. */
export function parseIpsetSave(text: string): readonly ProbeEntry[] {
  return [...text.matchAll(/^add \S+ (\S+)(?: comment "([^"]*)")?/gm)].map((m) => ({
    ip: m[1] ?? '',
    uid: m[2] ?? '',
  }));
}

/** Flushes and destroys the set; fine when it is not there. */
export async function destroyProbeSet(netns: number, family: Family): Promise<void> {
  await ipset(netns, ['destroy', probeSetName(family)], ['does not exist']);
}

/** Names of the mesh's sets in the namespace. */
export async function listProbeSets(netns: number): Promise<readonly string[]> {
  const result = await run('ipset', ['list', '-n'], { netns, timeoutMs: commandTimeoutMs });
  return result.stdout.split('\n').filter((name) => name.startsWith('istio-inpod-probes-'));
}

/** The SNAT rule that matches every address of the set. */
export function probeSetRule(family: Family, probeAddress: string): Rule {
  const set = probeSetName(family);
  const match = `-p tcp -m owner --socket-exists -m set --match-set ${set} dst`;
  return {
    table: 'nat',
    chain: postroutingChain,
    spec: `${match} -j SNAT --to-source ${probeAddress}`,
  };
}

/** Without ipset: one rule per pod address, with the UID in its comment. */
export function probeAddressRule(family: Family, entry: ProbeEntry, probeAddress: string): Rule {
  const destination = `${entry.ip}/${family === 'v4' ? 32 : 128}`;
  const match = `-d ${destination} -p tcp -m owner --socket-exists -m comment --comment "${entry.uid}"`;
  return { table: 'nat', chain: postroutingChain, spec: `${match} -j SNAT --to-source ${probeAddress}` };
}

async function ipset(
  netns: number,
  args: readonly string[],
  tolerated: readonly string[] = [],
): Promise<void> {
  const result = await run('ipset', args, { netns, timeoutMs: commandTimeoutMs });
  if (result.exitCode === 0 || tolerated.some((text) => result.stderr.includes(text))) return;
  throw new MeshError('MESH0703', `ipset ${args.join(' ')} failed with exit code ${result.exitCode}`, {
    evidence: result.stderr.trim(),
  });
}
