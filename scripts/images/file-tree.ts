import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import tar from 'tar-stream';
import { DigestStream } from '../../src/base/oci/digest.js';

/** A file or link of a layer. */
export type TreeEntry =
  | { readonly kind: 'file'; readonly bytes: Buffer; readonly mode: number }
  | { readonly kind: 'link'; readonly target: string }
  | { readonly kind: 'folder'; readonly mode: number };

/** A layer as it is in a registry, and unpacked. */
export interface WrittenLayer {
  readonly path: string;
  readonly digest: string;
  readonly size: number;
  /** Digest of the tar. */
  readonly diffId: string;
}

/** What a layer adds: paths without a leading slash. Owners and times of its files are those of nobody and never. */
export class FileTree {
  readonly #entries = new Map<string, TreeEntry>();

  add(path: string, entry: TreeEntry): void {
    this.#entries.set(path, entry);
  }

  addFile(path: string, content: string | Buffer, mode = 0o644): void {
    this.add(path, { kind: 'file', bytes: Buffer.from(content), mode });
  }

  addLink(path: string, target: string): void {
    this.add(path, { kind: 'link', target });
  }

  get(path: string): TreeEntry | undefined {
    return this.#entries.get(path);
  }

  *files(): Generator<readonly [path: string, bytes: Buffer, mode: number]> {
    for (const [path, entry] of this.#entries)
      if (entry.kind === 'file') yield [path, entry.bytes, entry.mode];
  }

  /** Writes the layer to a file; what is the same makes the same bytes. */
  async write(path: string): Promise<WrittenLayer> {
    const pack = tar.pack();
    let size = 0;
    const plain = new DigestStream('sha256');
    const packed = new DigestStream('sha256', (count) => (size += count));
    const written = pipeline(pack, plain, createGzip(), packed, createWriteStream(path));
    for (const name of this.#withFolders()) await this.#writeEntry(pack, name);
    pack.finalize();
    await written;
    return { path, size, digest: packed.digest(), diffId: plain.digest() };
  }

  #withFolders(): string[] {
    const all = new Set(this.#entries.keys());
    for (const path of this.#entries.keys()) {
      const parts = path.split('/');
      for (let i = 1; i < parts.length; i++) all.add(parts.slice(0, i).join('/'));
    }
    return [...all].sort();
  }

  #writeEntry(pack: tar.Pack, name: string): Promise<void> {
    const entry = this.#entries.get(name) ?? { kind: 'folder', mode: 0o755 };
    const common = { uid: 0, gid: 0, mtime: new Date(0) };
    return new Promise((resolve, reject) => {
      const done = (error?: Error | null): void => (error ? reject(error) : resolve());
      if (entry.kind === 'file')
        pack.entry({ ...common, name, mode: entry.mode, type: 'file' }, entry.bytes, done);
      else if (entry.kind === 'link')
        pack.entry({ ...common, name, mode: 0o777, type: 'symlink', linkname: entry.target }, done);
      else pack.entry({ ...common, name: `${name}/`, mode: entry.mode, type: 'directory' }, done);
    });
  }
}
