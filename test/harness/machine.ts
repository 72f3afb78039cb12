import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { command } from './meshctl.js';

/** A process that can be recognized again: pids are reused, start times are not. */
export interface SeenProcess {
  readonly pid: number;
  readonly startTicks: string;
  readonly commandLine: string;
}

/** What a sandbox could leave on a machine besides processes and files of its own folder. */
export interface MachineFacts {
  readonly links: readonly string[];
  readonly namedNetworks: readonly string[];
  readonly mounts: readonly string[];
  readonly rules: readonly string[];
  readonly sockets: readonly string[];
}

/** Looks at the machine; `folder` is where the sandboxes of the test live. */
export async function machineFacts(folder: string): Promise<MachineFacts> {
  const links = await command('ip', ['-o', 'link']);
  const rules = process.getuid?.() === 0 ? (await command('iptables-save', [])).stdout : '';
  return {
    links: links.stdout.split('\n').map((line) => line.split(':')[1]?.trim() ?? ''),
    namedNetworks: existsSync('/run/netns') ? readdirSync('/run/netns') : [],
    mounts: readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .filter((line) => line.includes(folder)),
    // Without comments and counters, which change by themselves.
    rules: rules.split('\n').filter((line) => line.startsWith('-A')),
    sockets: readFileSync('/proc/net/unix', 'utf8')
      .split('\n')
      .map((line) => line.split(/\s+/)[7] ?? '')
      .filter((path) => path.startsWith(folder)),
  };
}

/** A process and all its descendants, in every pid namespace below; empty when it is gone. */
export function processTree(pid: number): readonly SeenProcess[] {
  const seen = lookAt(pid);
  if (seen === undefined) return [];
  return [seen, ...childrenOf(pid).flatMap(processTree)];
}

/** Those of the processes that still run; of others their parent may not have taken note yet. */
export function survivors(processes: readonly SeenProcess[]): readonly SeenProcess[] {
  return processes.filter((each) => lookAt(each.pid)?.startTicks === each.startTicks);
}

/** Processes whose command line names the folder: what belongs to the sandboxes in it, on the outside. */
export function processesNaming(folder: string): readonly SeenProcess[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid)
    .flatMap((entry) => lookAt(Number(entry)) ?? [])
    .filter((each) => each.commandLine.includes(folder));
}

function lookAt(pid: number): SeenProcess | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z') return undefined;
    const startTicks = fields[19] ?? '';
    const commandLine = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
    return { pid, startTicks, commandLine };
  } catch {
    return undefined; // it ended
  }
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    return []; // it ended
  }
}
