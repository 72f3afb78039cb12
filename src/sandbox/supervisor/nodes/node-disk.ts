import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pathInside } from '../../node/host/path-inside.js';

/** What a node leaves on its disk that means nothing to its next run. */
const runFolders = ['var/lib/containers', 'var/lib/cni', 'var/log/containers'];
/** Folders with one entry for each pod, whose name ends with the pod's uid. */
const podFolders = ['var/lib/kubelet/pods', 'var/log/pods'];

/**
 * Removes what the last run of a node left behind in its file system. What pods wrote into hostPaths stays, and
 * so do emptyDir volumes and logs of the pods that are still bound to the node; `boundPods` gives their uids,
 * and undefined when nobody knows, and is asked only when there is something to decide.
 */
export async function clearLastRun(
  rootfs: string,
  boundPods: () => Promise<ReadonlySet<string> | undefined>,
): Promise<void> {
  for (const folder of runFolders)
    await rm(await pathInside(rootfs, folder), { recursive: true, force: true });
  const left = await Promise.all(
    podFolders.map(async (folder) => entriesOf(await pathInside(rootfs, folder))),
  );
  if (left.flat().length === 0) return;
  const bound = await boundPods();
  if (bound === undefined) return;
  const stale = left.flat().filter((path) => ![...bound].some((uid) => path.endsWith(uid)));
  for (const path of stale) await rm(path, { recursive: true, force: true });
}

async function entriesOf(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []); // the node has never run
  return names.map((name) => join(folder, name));
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
