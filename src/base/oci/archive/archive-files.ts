import { createReadStream, createWriteStream } from 'node:fs';
import { lstat, open } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import tar from 'tar-stream';
import { MeshError } from '../../errors/mesh-error.js';
import { DigestStream } from '../digest.js';
import { compressionOf, decompressor, magicBytes } from './compression.js';
import { Budget, damaged, type ImportLimits } from '../limits.js';

/** One file of an archive: a stretch of bytes on disk. */
export interface ArchiveFile {
  readonly name: string;
  readonly size: number;
  /** The bytes from `from` on. */
  stream(from?: number): Readable;
  read(): Promise<Buffer>;
}

/** The files of an archive by name, as `index.json` or `blobs/sha256/...`. */
export interface ArchiveFiles {
  get(name: string): Promise<ArchiveFile | undefined>;
}

const linksMax = 8;

/**
 * Opens an archive (tar, also compressed) or a folder that holds an unpacked OCI
 * layout. Of a tar only the positions of its files are noted; a compressed one is
 * first unpacked into `staging`. Throws MESH0840 when it is neither.
 */
export async function openArchive(
  path: string,
  o: { staging: string; limits: ImportLimits; signal: AbortSignal },
): Promise<ArchiveFiles> {
  const stats = await lstatOf(path);
  if (stats.isDirectory()) return folderFiles(path);
  const head = await firstBytes(path);
  const unpack = await decompressor(compressionOf(head));
  if (unpack === undefined) return indexTar(path, o);
  const plain = join(o.staging, 'archive.tar');
  const budget = new Budget(o.limits.bytes, 'bytes in the unpacked archive');
  try {
    await pipeline(
      createReadStream(path),
      unpack,
      new DigestStream('sha256', (count) => budget.take(count)),
      createWriteStream(plain, { mode: 0o600 }),
      { signal: o.signal },
    );
  } catch (error) {
    throw asDamage(error, path);
  }
  return indexTar(plain, o);
}

/** Errors that are ours or the caller's stay; a decoder's complaint becomes MESH0841. */
export function asDamage(error: unknown, what: string): unknown {
  if (error instanceof MeshError || !(error instanceof Error) || error.name === 'AbortError') return error;
  const { code } = error as NodeJS.ErrnoException;
  const isOfDisk = code !== undefined && /^(ENOSPC|EDQUOT|EACCES|EPERM|EIO|EROFS|EMFILE)$/.test(code);
  return isOfDisk ? error : damaged(`${what}: ${error.message}`, error);
}

async function lstatOf(path: string) {
  try {
    const file = await open(path);
    try {
      return await file.stat();
    } finally {
      await file.close();
    }
  } catch (error) {
    throw new MeshError('MESH0840', `${path} cannot be read`, {
      evidence: error instanceof Error ? error.message : String(error),
      cause: error,
    });
  }
}

async function firstBytes(path: string): Promise<Buffer> {
  const file = await open(path);
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(magicBytes), 0, magicBytes, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

async function indexTar(
  path: string,
  { limits, signal }: { limits: ImportLimits; signal: AbortSignal },
): Promise<ArchiveFiles> {
  const files = new Map<string, ArchiveFile>();
  const links = new Map<string, string>();
  const extract = tar.extract();
  const flow = pipeline(createReadStream(path), extract, { signal });
  flow.catch(() => undefined); // awaited below, when the entries have been seen
  let count = 0;
  try {
    for await (const entry of extract) {
      count += 1;
      if (count > limits.archiveFiles) new Budget(limits.archiveFiles, 'files in the archive').take(count);
      const { header } = entry;
      const name = plainName(header.name);
      const start: unknown = Reflect.get(header, 'byteOffset');
      if (header.type === 'file' && typeof start === 'number')
        files.set(name, stretch(path, name, { start, size: header.size }));
      // Older versions of docker save link layers that several images share.
      else if ((header.type === 'symlink' || header.type === 'link') && typeof header.linkname === 'string')
        links.set(
          name,
          header.type === 'link' ? plainName(header.linkname) : besideOf(name, header.linkname),
        );
      entry.resume();
    }
    await flow;
  } catch (error) {
    if (error instanceof MeshError || (error instanceof Error && error.name === 'AbortError')) throw error;
    if (count === 0)
      throw new MeshError('MESH0840', `${path} is not an image archive`, {
        evidence: error instanceof Error ? error.message : String(error),
      });
    throw asDamage(error, path);
  }
  return {
    get: (name) => {
      let current = name;
      for (let i = 0; i < linksMax && !files.has(current); i++) current = links.get(current) ?? current;
      return Promise.resolve(files.get(current));
    },
  };
}

function stretch(path: string, name: string, { start, size }: { start: number; size: number }): ArchiveFile {
  return {
    name,
    size,
    stream: (from = 0) =>
      from >= size
        ? Readable.from([])
        : createReadStream(path, { start: start + from, end: start + size - 1 }),
    read: async () => {
      const file = await open(path);
      try {
        const buffer = Buffer.alloc(size);
        const { bytesRead } = await file.read(buffer, 0, size, start);
        if (bytesRead !== size) throw damaged(`${name} ends after ${bytesRead} of ${size} bytes`);
        return buffer;
      } finally {
        await file.close();
      }
    },
  };
}

function folderFiles(folder: string): ArchiveFiles {
  return {
    get: async (name) => {
      if (name.split('/').includes('..')) return undefined;
      const path = join(folder, name);
      const stats = await lstat(path).catch(() => undefined);
      return stats?.isFile() === true ? stretch(path, name, { start: 0, size: stats.size }) : undefined;
    },
  };
}

/** `./a//b` as `a/b`. Names are only looked up, never used on disk. */
function plainName(name: string): string {
  return name
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/');
}

/** What a link in the folder of `name` points to, within the archive. */
function besideOf(name: string, target: string): string {
  const parts = target.startsWith('/') ? [] : name.split('/').slice(0, -1);
  for (const part of target.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.join('/');
}
