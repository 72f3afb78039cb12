import { spawn, type StdioOptions } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { constants } from 'node:os';
import { MeshError } from '#base/errors/mesh-error.js';
import { nearMiss } from '#base/errors/near-miss.js';
import { supervisorStatus } from './control-client.js';
import { systemPath } from './host/programs.js';
import { nestedPids, parentOf } from './process-identity.js';
import { runningSandbox } from './sandbox-status.js';

export interface SandboxExecOptions {
  readonly name: string;
  readonly node: string;
  readonly command: readonly string[];
  /** Default: this process's own streams. */
  readonly stdio?: StdioOptions | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs a command on a node, with the given streams, a terminal included: the command
 * joins the node's namespaces directly, so nothing stands between. Resolves to its
 * exit code. Throws MESH0803 or MESH0807.
 */
export async function sandboxExec(o: SandboxExecOptions): Promise<number> {
  const pid = await nodePid(o.name, o.node);
  const user = process.getuid?.() === 0 ? [] : ['--user', '--preserve-credentials'];
  const args = [...user, '--mount', '--net', '--pid', '--uts', '--ipc', '--', ...o.command];
  const child = spawn('nsenter', ['--target', String(pid), ...args], {
    stdio: o.stdio ?? 'inherit',
    env: { ...process.env, PATH: systemPath() },
    ...(o.signal === undefined ? {} : { signal: o.signal }),
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) =>
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])),
    );
  });
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
