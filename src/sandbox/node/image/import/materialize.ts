import {
  chmodSync,
  copyFileSync,
  lchownSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  symlinkSync,
  utimesSync,
} from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { layerFiles } from '../store/store-paths.js';
import type { FileNode, FolderNode } from './merged-tree.js';

export interface MaterializeOptions {
  /** Folders of the layers, lowest first. */
  readonly layers: readonly string[];
  readonly keepsOwners: boolean;
  readonly signal: AbortSignal;
}

/** Without it an ordinary user could neither fill nor remove a folder. */
const ownerAll = 0o700;
const entriesPerTurn = 500;

/**
 * Makes a folder that holds the tree. File contents are hard links to the layers', so
 * that images share them. Rejects with the signal's reason; what was made stays then.
 */
export async function materialize(root: FolderNode, target: string, o: MaterializeOptions): Promise<void> {
  const pending: { node: FolderNode; path: string }[] = [{ node: root, path: target }];
  const made: { node: FolderNode; path: string }[] = [];
  let count = 0;
  for (let current = pending.pop(); current !== undefined; current = pending.pop()) {
    const { node, path } = current;
    mkdirSync(path, ownerAll);
    made.push(current);
    for (const [name, child] of node.children) {
      count += 1;
      if (count % entriesPerTurn === 0) {
        await setImmediate();
        o.signal.throwIfAborted();
      }
      const childPath = join(path, name);
      if (child.kind === 'folder') pending.push({ node: child, path: childPath });
      else if (child.kind === 'file') linkContent(child, childPath, o.layers);
      else {
        symlinkSync(child.target, childPath);
        if (o.keepsOwners) lchownSync(childPath, child.meta.uid, child.meta.gid);
        lutimesSync(childPath, child.meta.mtime, child.meta.mtime);
      }
    }
  }
  // Last, because filling a folder changes its time and needs the right to.
  for (const { node, path } of made.reverse()) {
    const { mode, uid, gid, mtime } = node.meta;
    if (o.keepsOwners) lchownSync(path, uid, gid);
    chmodSync(path, o.keepsOwners ? mode : mode | ownerAll);
    utimesSync(path, mtime, mtime);
  }
}

function linkContent({ layer, content }: FileNode, path: string, layers: readonly string[]): void {
  const source = layerFiles.content(layers[layer] ?? '', content);
  try {
    linkSync(source, path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // More names than the file system allows one file, or none at all.
    if (code !== 'EMLINK' && code !== 'EPERM' && code !== 'ENOTSUP') throw error;
    copyFileSync(source, path);
  }
}
