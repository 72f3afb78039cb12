import type { EntryMeta, LayerEntry } from '../store/layer-entry.js';
import { damaged } from '#base/oci/limits.js';

export interface FolderNode {
  readonly kind: 'folder';
  meta: EntryMeta;
  readonly children: Map<string, TreeNode>;
}

/** The same object in several places is one file with several names. */
export interface FileNode {
  readonly kind: 'file';
  readonly meta: EntryMeta;
  /** Layer, counted from the lowest, and number of the content in it. */
  readonly layer: number;
  readonly content: number;
}

export interface SymlinkNode {
  readonly kind: 'symlink';
  readonly meta: EntryMeta;
  readonly target: string;
}

export type TreeNode = FolderNode | FileNode | SymlinkNode;

const linksMax = 255;
const implicitMeta: EntryMeta = { mode: 0o755, uid: 0, gid: 0, mtime: 0 };

/**
 * A root file system as its layers make it, in memory. Paths of an entry are
 * resolved against what is there so far, through links, never out of the root: just
 * as if the layer were unpacked onto the layers below it.
 */
export class MergedTree {
  readonly root: FolderNode = { kind: 'folder', meta: implicitMeta, children: new Map() };
  #layerCount = 0;

  /** Puts one more layer on top. Throws MESH0841 when it does not fit. */
  apply(entries: readonly LayerEntry[]): void {
    const layer = this.#layerCount++;
    // Whiteouts concern lower layers only, wherever they stand.
    for (const entry of entries) {
      if (entry.kind === 'whiteout') this.#remove(entry.path);
      else if (entry.kind === 'opaque') this.#folder(entry.path, 'find')?.children.clear();
    }
    for (const entry of entries) this.#put(entry, layer);
  }

  #put(entry: LayerEntry, layer: number): void {
    switch (entry.kind) {
      case 'whiteout':
      case 'opaque':
        return;
      case 'folder':
        this.#putFolder(entry.path, entry.meta);
        return;
      case 'file':
        this.#place(entry.path, { kind: 'file', meta: entry.meta, layer, content: entry.content });
        return;
      case 'symlink':
        this.#place(entry.path, { kind: 'symlink', meta: entry.meta, target: entry.target });
        return;
      case 'hardlink': {
        const target = this.#lookUp(entry.target);
        if (target === undefined || target.kind === 'folder')
          throw damaged(
            `/${entry.path.join('/')} is a hard link to /${entry.target.join('/')}, which is no file`,
          );
        this.#place(entry.path, target);
      }
    }
  }

  #putFolder(path: readonly string[], meta: EntryMeta): void {
    const name = path.at(-1);
    if (name === undefined) {
      this.root.meta = meta;
      return;
    }
    const parent = this.#parent(path);
    const existing = parent.children.get(name);
    if (existing?.kind === 'folder') existing.meta = meta;
    else parent.children.set(name, { kind: 'folder', meta, children: new Map() });
  }

  #place(path: readonly string[], node: FileNode | SymlinkNode): void {
    const name = path.at(-1);
    if (name === undefined) throw damaged('a layer replaces the root folder');
    this.#parent(path).children.set(name, node);
  }

  #remove(path: readonly string[]): void {
    this.#folder(path.slice(0, -1), 'find')?.children.delete(path.at(-1) ?? '');
  }

  #lookUp(path: readonly string[]): TreeNode | undefined {
    return this.#folder(path.slice(0, -1), 'find')?.children.get(path.at(-1) ?? '');
  }

  #parent(path: readonly string[]): FolderNode {
    const parent = this.#folder(path.slice(0, -1), 'make');
    if (parent === undefined) throw damaged(`/${path.join('/')} is below something that is no folder`);
    return parent;
  }

  /** The folder at a path; links on the way are followed inside the root. Missing ones are made on request. */
  #folder(path: readonly string[], missing: 'find' | 'make'): FolderNode | undefined {
    const above: FolderNode[] = [];
    let current = this.root;
    let rest = [...path];
    for (let links = 0; rest.length > 0; ) {
      const [name = '', ...after] = rest;
      rest = after;
      if (name === '' || name === '.') continue;
      if (name === '..') {
        current = above.pop() ?? this.root;
        continue;
      }
      let next = current.children.get(name);
      if (next === undefined && missing === 'make') {
        next = { kind: 'folder', meta: implicitMeta, children: new Map() };
        current.children.set(name, next);
      }
      if (next === undefined || next.kind === 'file') return undefined;
      if (next.kind === 'folder') {
        above.push(current);
        current = next;
        continue;
      }
      links += 1;
      if (links > linksMax) throw damaged(`too many links on the way to /${path.join('/')}`);
      rest = [...next.target.split('/'), ...rest];
      if (next.target.startsWith('/')) {
        above.length = 0;
        current = this.root;
      }
    }
    return current;
  }
}
