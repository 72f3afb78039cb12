import { fstatSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { NetnsHandle } from './netns-handle.js';
import { addressesInNetns } from './redirection/netns-view.js';

export interface NetnsFinderOptions {
  /** The node's procfs as the agent sees it (`/host/proc`). */
  readonly procDir: string;
  /** The node's namespace directory as the agent sees it (`/host/var/run/netns`). */
  readonly netnsDir: string;
  /** Inode of the node's own namespace: never a pod's. */
  readonly hostInode: bigint;
}

/** What tells one pod's namespace from another's. */
export interface NetnsFacts {
  readonly addresses: ReadonlySet<string>;
  /** Pod UIDs that cgroups of processes in it name. */
  readonly uids: ReadonlySet<string>;
  /** Start of its oldest process in clock ticks; or infinity when only a file keeps it. */
  readonly startedAt: number;
  /** Since when it has been there for sure, milliseconds of the epoch; it may be older. */
  readonly knownSinceMs: number;
}

/** One network namespace of the node, open until its handle is released. */
export interface FoundNetns extends NetnsFacts {
  readonly handle: NetnsHandle;
}

/** A pod whose namespace is looked for. */
export interface PodAddress {
  readonly uid: string;
  readonly ips: readonly string[];
  /** Latest start of one of its containers, milliseconds of the epoch; undefined before the first. */
  readonly startedMs: number | undefined;
}

/** /proc counts in hundredths of a second on every machine (USER_HZ). */
const tickMs = 10;

interface ProcessInfo {
  readonly path: string;
  readonly uid: string | undefined;
  readonly startedAt: number;
}

/**
 * All network namespaces on the node except the node's own: those of its processes,
 * and those that only a file in the namespace directory holds. The caller releases
 * every handle. Unreadable entries are skipped: processes come and go.
 */
export function scanNamespaces(options: NetnsFinderOptions): readonly FoundNetns[] {
  const bootMs = bootTimeOf(options.procDir);
  const byInode = new Map<bigint, ProcessInfo[]>();
  for (const process of listProcesses(options.procDir)) {
    const inode = inodeOfLink(process.path);
    if (inode === undefined || inode === options.hostInode) continue;
    const list = byInode.get(inode) ?? [];
    list.push(process);
    byInode.set(inode, list);
  }
  const found: FoundNetns[] = [];
  for (const processes of byInode.values()) {
    const uids = new Set(processes.flatMap(({ uid }) => (uid === undefined ? [] : [uid])));
    const startedAt = Math.min(...processes.map((process) => process.startedAt));
    for (const { path } of processes) {
      const entry = openFound(path, { uids, startedAt, processMs: bootMs + startedAt * tickMs });
      if (entry === undefined) continue;
      found.push(entry);
      break;
    }
  }
  for (const path of listFiles(options.netnsDir)) {
    const inode = inodeOfFile(path);
    if (inode === undefined || inode === options.hostInode || byInode.has(inode)) continue;
    byInode.set(inode, []);
    const startedAt = Number.POSITIVE_INFINITY;
    const entry = openFound(path, { uids: new Set(), startedAt, processMs: startedAt });
    if (entry !== undefined) found.push(entry);
  }
  return found;
}

/**
 * The namespace of a pod among those found: it must hold one of the pod's addresses;
 * one whose cgroups name the pod goes first, then the one with the oldest process.
 * One that no cgroup names can be the pod's by its address only if it was there when the
 * pod's containers started: after a reboot pods still show addresses that others have by now.
 */
export function chooseNetns<T extends NetnsFacts>(pod: PodAddress, found: readonly T[]): T | undefined {
  const candidates = found.filter((entry) => pod.ips.some((ip) => entry.addresses.has(ip)));
  const named = candidates.filter((entry) => entry.uids.has(pod.uid));
  // A namespace whose processes belong to another pod only is that pod's, whatever address it shows.
  const unnamed = candidates.filter((entry) => entry.uids.size === 0 && wasThere(pod, entry));
  const pool = named.length > 0 ? named : unnamed;
  return [...pool].sort((a, b) => a.startedAt - b.startedAt)[0];
}

/** Starts are told in whole seconds. */
const startPrecisionMs = 1_000;

function wasThere({ startedMs }: PodAddress, { knownSinceMs }: NetnsFacts): boolean {
  return startedMs === undefined || knownSinceMs < startedMs + startPrecisionMs;
}

/** Releases every handle of a scan; those retained elsewhere stay open. */
export function releaseAll(found: readonly FoundNetns[]): void {
  for (const entry of found) entry.handle.release();
}

/**
 * The pod UID in the text of /proc/PID/cgroup; runtimes put different punctuation between
 * its groups. The last one counts: on a node that is itself a container the path begins
 * with the pod around it.
 */
export function podUidOfCgroup(text: string): string | undefined {
  const uid =
    /pod([0-9a-f]{8})[^0-9a-f/]([0-9a-f]{4})[^0-9a-f/]([0-9a-f]{4})[^0-9a-f/]([0-9a-f]{4})[^0-9a-f/]([0-9a-f]{12})/g;
  const last = [...text.matchAll(uid)].at(-1);
  return last?.slice(1, 6).join('-');
}

function openFound(
  path: string,
  { uids, startedAt, processMs }: Pick<NetnsFacts, 'uids' | 'startedAt'> & { readonly processMs: number },
): FoundNetns | undefined {
  let handle: NetnsHandle | undefined;
  try {
    handle = NetnsHandle.open(path);
    // The time of a namespace's inode is that of its first opening: its making where a file holds it.
    const knownSinceMs = Math.min(fstatSync(handle.fd).ctimeMs, processMs);
    return { handle, addresses: addressesInNetns(handle.fd), uids, startedAt, knownSinceMs };
  } catch {
    // The process ended meanwhile, or the file is no namespace.
    handle?.release();
    return undefined;
  }
}

function listProcesses(procDir: string): readonly ProcessInfo[] {
  const processes: ProcessInfo[] = [];
  for (const name of readdirSync(procDir)) {
    if (!/^\d+$/.test(name)) continue;
    const dir = join(procDir, name);
    try {
      processes.push({
        path: join(dir, 'ns', 'net'),
        uid: podUidOfCgroup(readFileSync(join(dir, 'cgroup'), 'utf8')),
        startedAt: startTimeOf(readFileSync(join(dir, 'stat'), 'utf8')),
      });
    } catch {
      // The process ended while it was being read.
    }
  }
  return processes;
}

/** When the machine started, milliseconds of the epoch; infinitely late where that cannot be read. */
function bootTimeOf(procDir: string): number {
  try {
    return Date.now() - Number.parseFloat(readFileSync(join(procDir, 'uptime'), 'utf8')) * 1_000;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/** Field 22 of /proc/PID/stat, counted after the command name, which may contain spaces. */
function startTimeOf(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[19] ?? Number.POSITIVE_INFINITY);
}

function inodeOfLink(path: string): bigint | undefined {
  try {
    const match = /^net:\[(\d+)\]$/.exec(readlinkSync(path));
    return match?.[1] === undefined ? undefined : BigInt(match[1]);
  } catch {
    return undefined;
  }
}

function inodeOfFile(path: string): bigint | undefined {
  try {
    return statSync(path, { bigint: true }).ino;
  } catch {
    return undefined;
  }
}

function listFiles(dir: string): readonly string[] {
  try {
    return readdirSync(dir).map((name) => join(dir, name));
  } catch {
    return [];
  }
}
