import { writeFileSync } from 'node:fs';
import { run } from '#base/system/run.js';
import { runInNetns } from '#base/system/netns.js';

const path = '/proc/sys/net/netfilter/nf_conntrack_tcp_loose';
const commandTimeoutMs = 5_000;

/**
 * Whether connection tracking in a namespace adopts TCP connections whose beginning it
 * has not seen. It is off while a running pod is captured: the kernel starts tracking
 * with the first rule, would take the next packet of every established connection for
 * a new one, redirect it to the proxy, and so reset the connection. Returns false when
 * the setting can be written neither directly nor in a mount namespace of our own
 * (container runtimes mount /proc/sys read-only).
 */
export async function setLoosePickup(netns: number, isLoose: boolean): Promise<boolean> {
  const value = isLoose ? '1' : '0';
  try {
    runInNetns(netns, () => writeFileSync(path, value));
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EROFS' && code !== 'EACCES' && code !== 'EPERM') return false;
  }
  const script = `mount -o remount,bind,rw /proc/sys && echo ${value} > ${path}`;
  const result = await run('unshare', ['--mount', 'sh', '-c', script], {
    netns,
    timeoutMs: commandTimeoutMs,
  });
  return result.exitCode === 0;
}
