import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { NodeHost } from './node-host.js';

const folder = '/var/run/netns';

/**
 * Creates a pod's network namespace, held by a bind mount as real runtimes do, and
 * brings its loopback up. Returns its path on the node.
 */
export async function createPodNetns(host: NodeHost, sysctls: readonly string[] = []): Promise<string> {
  const path = `${folder}/cni-${randomUUID()}`;
  const script = [
    'set -e',
    'mkdir -p /run/netns',
    'touch "$1"',
    // rp_filter: replies to translated addresses take another way back; unprivileged ports: containers run
    // without file capabilities, and container runtimes open these ports to everybody too.
    'unshare --net="$1" sh -c \'shift; ip link set lo up; for s in net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv4.ip_unprivileged_port_start=0 net.ipv4.ping_group_range=0\\ 0 "$@"; do f=/proc/sys/$(echo "${s%%=*}" | tr . /); echo "${s#*=}" > "$f" || exit 1; done\' sh "$@"',
  ].join('\n');
  const result = await host.run(['sh', '-c', script, 'sh', path, ...sysctls]);
  if (result.exitCode !== 0) {
    await removePodNetns(host, path);
    throw new Error(`network namespace could not be created: ${result.stderr.trim()}`);
  }
  return path;
}

/** Lets go of a pod's network namespace; it disappears with its last process. Idempotent. */
export async function removePodNetns(host: NodeHost, path: string): Promise<void> {
  if (!existsSync(host.path(path))) return;
  await host.run(['sh', '-c', 'umount -l "$1" 2>/dev/null; rm -f "$1"', 'sh', path]);
}
