import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** What a node leaves on its disk that means nothing to its next run. */
const runFolders = ['var/lib/containers', 'var/lib/kubelet', 'var/lib/cni', 'var/log/pods'];

/** Removes what the last run of a node left behind in its file system; what pods put into hostPaths stays. */
export async function clearLastRun(rootfs: string): Promise<void> {
  for (const folder of runFolders) await rm(join(rootfs, folder), { recursive: true, force: true });
}

/** Removes a node's file system; with the rights of the sandbox, everything its containers made can go. */
export async function removeFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true, maxRetries: 3 });
}

/** Removes what belongs to no node: an operation on nodes was cut short. */
export async function removeOtherFolders(folder: string, nodes: readonly { name: string }[]): Promise<void> {
  const names = new Set(nodes.map((node) => node.name));
  for (const name of await readdir(folder)) if (!names.has(name)) await removeFolder(join(folder, name));
}
