import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { NodeHost } from '../host/node-host.js';

/**
 * Lets /proc/PID/cgroup of a process, on the node and in every volume that shows the node's
 * /proc, name the cgroup it would be in: agents tell by it which pod a process belongs to.
 * A sandbox makes no cgroups, so children of the process keep showing the machine's. The
 * mount goes with the process; one that has ended needs none.
 *
 * @param pid - as the supervisor sees it
 * @param file - node path of the text to show, written here
 */
export async function nameCgroup(
  host: NodeHost,
  pid: number,
  { path, file }: { readonly path: string; readonly file: string },
): Promise<void> {
  const onNode = pidOnNode(host, pid);
  if (onNode === undefined) return;
  await writeFile(join(host.rootfs, file), `0::${path}\n`);
  await host.run(['mount', '--bind', file, `/proc/${onNode}/cgroup`]);
}

/** NSpid of proc_pid_status(5): one number per pid namespace, outermost first. */
function pidOnNode(host: NodeHost, pid: number): string | undefined {
  return namespacePids(pid)[namespacePids(host.initPid).length - 1];
}

function namespacePids(pid: number): string[] {
  try {
    const line = /^NSpid:\t(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return line?.[1]?.split('\t') ?? [];
  } catch {
    return []; // it has ended
  }
}
