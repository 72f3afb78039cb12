import { realpath, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/**
 * Removes a folder from the disk of a node; one that is not there is fine. Nothing
 * is removed where a link on the way leads elsewhere: containers write to these disks.
 */
export async function removeNodeFolder(
  nodesFolder: string,
  o: { readonly node: string; readonly path: string },
): Promise<void> {
  const folder = join(nodesFolder, o.node, o.path);
  const parent = dirname(folder);
  const isInside = dirname(join(nodesFolder, o.node)) === nodesFolder;
  if (!isInside) return;
  try {
    if ((await realpath(parent)) !== join(await realpath(nodesFolder), o.node, dirname(o.path))) return;
  } catch {
    return; // The node, or its volumes, are gone already.
  }
  await rm(folder, { recursive: true, force: true });
}
