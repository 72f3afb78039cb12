import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { NetnsHandle } from '#mesh/cni/netns-handle.js';

/** A network namespace for one test, with loopback up. */
export interface TestNetns {
  readonly name: string;
  readonly path: string;
  readonly handle: NetnsHandle;
  exec(...command: string[]): string;
  remove(): void;
}

/** Runs a command to its end; throws with its standard error. */
export function sh(...command: string[]): string {
  const [program = '', ...args] = command;
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Makes a network namespace. Needs root. */
export function makeNetns(): TestNetns {
  const name = `mcni-${randomBytes(4).toString('hex')}`;
  sh('ip', 'netns', 'add', name);
  const exec = (...command: string[]) => sh('ip', 'netns', 'exec', name, ...command);
  exec('ip', 'link', 'set', 'lo', 'up');
  const path = `/var/run/netns/${name}`;
  const handle = NetnsHandle.open(path);
  return {
    name,
    path,
    handle,
    exec,
    remove: () => {
      handle.release();
      sh('ip', 'netns', 'del', name);
    },
  };
}

/** Joins a pod namespace to a host namespace with a veth pair, as the `ptp` plugin does: no bridge. */
export function joinPtp(host: TestNetns, pod: TestNetns, o: { podIp: string; hostIp: string }): void {
  const veth = `v${randomBytes(4).toString('hex')}`;
  host.exec('ip', 'link', 'add', veth, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pod.name);
  host.exec('ip', 'addr', 'add', `${o.hostIp}/32`, 'dev', veth);
  host.exec('ip', 'link', 'set', veth, 'up');
  host.exec('ip', 'route', 'add', `${o.podIp}/32`, 'dev', veth);
  host.exec('sysctl', '-qw', 'net.ipv4.ip_forward=1');
  pod.exec('ip', 'addr', 'add', `${o.podIp}/32`, 'dev', 'eth0');
  pod.exec('ip', 'link', 'set', 'eth0', 'up');
  pod.exec('ip', 'route', 'add', `${o.hostIp}/32`, 'dev', 'eth0');
  pod.exec('ip', 'route', 'add', 'default', 'via', o.hostIp);
}

/** A long-running process inside a namespace; the caller kills it. */
export function spawnIn(netns: TestNetns, ...command: string[]): ChildProcess {
  return spawn('ip', ['netns', 'exec', netns.name, ...command], { stdio: 'ignore' });
}

/** Waits until `check` is true, polling. Throws after `timeoutMs` with what `describe` says. */
export async function eventually(
  check: () => boolean | Promise<boolean>,
  o: { readonly timeoutMs?: number; readonly describe?: () => string } = {},
): Promise<void> {
  const deadline = Date.now() + (o.timeoutMs ?? 10_000);
  while (!(await check())) {
    if (Date.now() > deadline) throw new Error(`never became true: ${o.describe?.() ?? check.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Whether this process may make namespaces and rules in them. */
export const isRoot = process.getuid?.() === 0;
