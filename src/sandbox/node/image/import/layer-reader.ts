import { closeSync, openSync, writeSync } from 'node:fs';
import { chmod, lchown, mkdir, open, utimes } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import tar, { type Header } from 'tar-stream';
import type { EntryMeta, LayerEntry } from '../store/layer-entry.js';
import { layerFiles } from '../store/store-paths.js';
import { asDamage } from '#base/oci/archive/archive-files.js';
import type { ArchivedLayer } from '#base/oci/archive/archived-image.js';
import { algorithmOf, DigestStream } from '#base/oci/digest.js';
import { compressionOfFile, decompressor } from '#base/oci/archive/compression.js';
import { entryPath } from './entry-path.js';
import { type Budget, damaged } from '#base/oci/limits.js';

export interface LayerOptions {
  /** An empty folder to fill. */
  readonly folder: string;
  /** Digest the uncompressed layer must have. */
  readonly diffId: string;
  readonly bytes: Budget;
  readonly entries: Budget;
  /** Whether files are given to the users the layer names (as root), or stay ours. */
  readonly keepsOwners: boolean;
  readonly signal: AbortSignal;
}

/** The bytes of one tar entry. */
type Body = AsyncIterable<Buffer> & { resume(): void };

const whiteoutPrefix = '.wh.';
const opaqueName = '.wh..wh..opq';
const permissionBits = 0o7777;
const idMax = 2 ** 32 - 2;
const timeMax = 2 ** 33;

/**
 * Unpacks one layer: contents as numbered files, and what to do with them as
 * `entries.ndjson`. Nothing is named as the layer says. Devices and sockets are left
 * out, extended attributes ignored. Throws MESH0841 or MESH0842.
 */
export async function readLayer(layer: ArchivedLayer, o: LayerOptions): Promise<void> {
  await mkdir(layerFiles.contents(o.folder), { recursive: true });
  const compressed = new DigestStream(algorithmOf(layer.digest ?? 'sha256:'));
  const plain = new DigestStream(algorithmOf(o.diffId), (count) => o.bytes.take(count));
  const extract = tar.extract();
  const unpack = await decompressor(await compressionOfFile(layer.file));
  const list = await open(layerFiles.entries(o.folder), 'w', 0o600);
  const source = layer.file.stream();
  // From here to the loop nothing may wait: an entry that comes before somebody listens is lost.
  const flow =
    unpack === undefined
      ? pipeline(source, compressed, plain, extract, { signal: o.signal })
      : pipeline(source, compressed, unpack, plain, extract, { signal: o.signal });
  flow.catch(() => undefined); // awaited below, when the entries have been seen
  try {
    const writer = new ContentWriter(o);
    for await (const entry of extract) {
      o.entries.take(1);
      const made = await writer.take(entry.header, entry as Body);
      if (made !== undefined) await list.write(`${JSON.stringify(made)}\n`);
    }
    await flow;
  } catch (error) {
    throw asDamage(error, layer.file.name);
  } finally {
    await list.close();
  }
  const found = plain.digest();
  if (layer.digest !== undefined && compressed.digest() !== layer.digest)
    throw damaged(`${layer.file.name} does not hash to ${layer.digest}`);
  if (found !== o.diffId)
    throw damaged(`the layer ${layer.file.name} unpacks to ${found}, not to ${o.diffId}`);
}

/** Turns tar entries into layer entries and writes their contents. */
class ContentWriter {
  readonly #o: LayerOptions;
  #count = 0;

  constructor(o: LayerOptions) {
    this.#o = o;
  }

  async take(header: Header, body: Body): Promise<LayerEntry | undefined> {
    const path = entryPath(header.name);
    const name = path.at(-1) ?? '';
    const meta = metaOf(header);
    if (name.startsWith(whiteoutPrefix)) {
      body.resume();
      return whiteout(path, name);
    }
    if (header.type === 'file' || header.type === 'contiguous-file')
      return this.#file(path, meta, { header, body });
    body.resume();
    switch (header.type) {
      case 'directory':
        return { kind: 'folder', path, meta };
      case 'symlink':
        return { kind: 'symlink', path, meta, target: linkTarget(header) };
      case 'link':
        return { kind: 'hardlink', path, target: entryPath(linkTarget(header)) };
      case 'character-device':
      case 'block-device':
      case 'fifo':
        return undefined; // containers get a /dev of their own
      default:
        throw damaged(`${JSON.stringify(header.name)} is of a kind of tar entry that images do not have`);
    }
  }

  async #file(
    path: string[],
    meta: EntryMeta,
    { header, body }: { header: Header; body: Body },
  ): Promise<LayerEntry> {
    const isSparse = Object.keys(typeof header.pax === 'object' ? (header.pax ?? {}) : {}).some((key) =>
      key.startsWith('GNU.sparse.'),
    );
    if (isSparse)
      throw damaged(`${JSON.stringify(header.name)} is a sparse file, which image layers may not hold`);
    const content = this.#count++;
    const target = layerFiles.content(this.#o.folder, content);
    const fd = openSync(target, 'wx', 0o600);
    try {
      for await (const chunk of body) writeSync(fd, chunk);
    } finally {
      closeSync(fd);
    }
    if (this.#o.keepsOwners) await lchown(target, meta.uid, meta.gid);
    await chmod(target, meta.mode); // after chown, which takes setuid away
    await utimes(target, meta.mtime, meta.mtime);
    return { kind: 'file', path, meta, content };
  }
}

function whiteout(path: string[], name: string): LayerEntry | undefined {
  const folder = path.slice(0, -1);
  if (name === opaqueName) return { kind: 'opaque', path: folder };
  if (name.startsWith(`${whiteoutPrefix}${whiteoutPrefix}`)) return undefined; // bookkeeping of aufs
  const hidden = name.slice(whiteoutPrefix.length);
  if (hidden === '' || hidden === '.' || hidden === '..') throw damaged(`a whiteout names nothing: ${name}`);
  return { kind: 'whiteout', path: [...folder, hidden] };
}

function metaOf({ mode, uid, gid, mtime }: Header): EntryMeta {
  const number = (value: number, max: number): number =>
    Number.isSafeInteger(value) && value >= 0 && value <= max ? value : 0;
  return {
    mode: number(mode, Number.MAX_SAFE_INTEGER) & permissionBits,
    uid: number(uid, idMax),
    gid: number(gid, idMax),
    mtime: number(Math.floor(mtime.getTime() / 1000), timeMax),
  };
}

function linkTarget({ name, linkname }: Header): string {
  const targetMaxBytes = 4095;
  if (typeof linkname !== 'string' || linkname === '' || linkname.includes('\0'))
    throw damaged(`the link ${JSON.stringify(name)} points nowhere`);
  if (Buffer.byteLength(linkname) > targetMaxBytes)
    throw damaged(`the link ${JSON.stringify(name)} is too long`);
  return linkname;
}
