import { type ChildProcess, spawn, type StdioOptions } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { MeshError } from '#base/errors/mesh-error.js';
import { nearMiss } from '#base/errors/near-miss.js';
import { descendantsOf, exitCodeOfSignal, signalProcess } from '../node/host/process-tree.js';
import { supervisorStatus } from './control-client.js';
import { systemPath } from './host/programs.js';
import { nestedPids, parentOf } from './process-identity.js';
import { runningSandbox } from './sandbox-status.js';

/** Tells of signals until the function it returns is called. */
export type SignalSource = (onSignal: (name: NodeJS.Signals) => void) => () => void;

export interface SandboxExecOptions {
  readonly name: string;
  readonly node: string;
  readonly command: readonly string[];
  /** Default: this process's own streams. */
  readonly stdio?: StdioOptions | undefined;
  /** Ends the command as SIGTERM does. */
  readonly signal?: AbortSignal | undefined;
  /** What is passed on to the command. */
  readonly signals?: SignalSource | undefined;
}

/** Time between a signal that is to end the command and SIGKILL, in milliseconds. */
const endGraceMs = 10_000;

/**
 * Runs a command on a node, with the given streams, a terminal included: the command
 * joins the node's namespaces directly, so nothing stands between. A signal goes to the command and all it started;
 * what does not end in ten seconds, or has a second one, is killed. So is the command when this process dies. Resolves to
 * the command's exit code, 128 + N after signal N. Throws MESH0803 or MESH0807.
 */
export async function sandboxExec(o: SandboxExecOptions): Promise<number> {
  const pid = await nodePid(o.name, o.node);
  const user = process.getuid?.() === 0 ? [] : ['--user', '--preserve-credentials'];
  const namespaces = [...user, '--mount', '--net', '--pid', '--uts', '--ipc'];
  // nsenter waits for the command and would leave it behind: each dies with its parent.
  const untilParentDies = ['setpriv', '--pdeathsig', 'KILL', '--'];
  const enter = ['nsenter', '--target', String(pid), ...namespaces, '--'];
  const [program = '', ...args] = [...untilParentDies, ...enter, ...untilParentDies, ...o.command];
  const child = spawn(program, args, {
    stdio: o.stdio ?? 'inherit',
    env: { ...process.env, PATH: systemPath() },
  });
  const stopPassing = passSignals(child, o);
  try {
    return await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => resolve(code ?? exitCodeOfSignal(signal)));
    });
  } finally {
    stopPassing();
  }
}

/** Passes signals on to a command and its descendants until the returned function is called. */
function passSignals(child: ChildProcess, o: Pick<SandboxExecOptions, 'signal' | 'signals'>): () => void {
  let timer: NodeJS.Timeout | undefined;
  const pass = (name: NodeJS.Signals): void => {
    const isSecond = timer !== undefined;
    timer ??= setTimeout(() => sendToCommand(child, 'SIGKILL'), endGraceMs);
    sendToCommand(child, isSecond ? 'SIGKILL' : name);
  };
  const onAbort = (): void => pass('SIGTERM');
  const stopSignals = o.signals?.(pass);
  if (o.signal?.aborted === true) onAbort();
  o.signal?.addEventListener('abort', onAbort);
  return () => {
    clearTimeout(timer);
    stopSignals?.();
    o.signal?.removeEventListener('abort', onAbort);
  };
}

function sendToCommand(child: ChildProcess, signal: NodeJS.Signals): void {
  const command = descendantsOf(child.pid ?? 0);
  for (const pid of command) signalProcess(pid, signal);
  // It has not started yet, and will not.
  if (command.length === 0) child.kill(signal);
}

/** The pid, here, of a node's init. Throws MESH0803 or MESH0807. */
async function nodePid(sandbox: string, name: string): Promise<number> {
  const { paths, pid: sandboxPid } = runningSandbox(sandbox);
  const status = await supervisorStatus(paths);
  const node = status?.nodes.find((n) => n.name === name);
  const pid = node?.initPid === undefined ? undefined : hostPid(sandboxPid, node.initPid);
  if (pid !== undefined) return pid;
  const names = status?.nodes.map((n) => n.name);
  const near = node === undefined ? nearMiss(name, names ?? []) : undefined;
  throw new MeshError('MESH0807', `sandbox ${sandbox} has no running node ${name}`, {
    evidence: `nodes: ${names?.join(', ') ?? 'unknown, the supervisor does not answer'}`,
    hint: near === undefined ? undefined : `Did you mean ${near}?`,
  });
}

/** The pid, here, of a process that the sandbox's pid namespace calls `innerPid`. */
function hostPid(sandboxPid: number, innerPid: number): number | undefined {
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    const pids = nestedPids(pid);
    if (pids.at(-2) === innerPid && pids.at(-1) === 1 && isDescendant(pid, sandboxPid)) return pid;
  }
  return undefined;
}

function isDescendant(pid: number, ancestor: number): boolean {
  const depthMax = 32;
  let current: number | undefined = pid;
  for (let depth = 0; depth < depthMax && current !== undefined; depth++) {
    if (current === ancestor) return true;
    current = parentOf(current);
  }
  return false;
}
