import { spawn } from 'node:child_process';
import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import tar from 'tar-stream';
import type { TreeEntry } from './file-tree.js';

/** What a package holds, by path. */
export type PackageContent = ReadonlyMap<string, TreeEntry>;

/** The files of a Debian package, as they are in a merged /usr. */
export async function unpackDeb(path: string): Promise<PackageContent> {
  const child = spawn('dpkg-deb', ['--fsys-tarfile', path], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise<number | null>((resolve, reject) =>
    child.on('error', reject).on('close', resolve),
  );
  const content = await readTar(child.stdout, (name) =>
    name.replace(/^(lib|lib64|bin|sbin)(?=\/)/, 'usr/$1'),
  );
  const code = await ended;
  if (code !== 0) throw new Error(`dpkg-deb of ${path} ended with ${code}`);
  return content;
}

/** The files of what `npm pack` writes, below `package/`. */
export async function unpackNpm(path: string): Promise<PackageContent> {
  const gunzip = createGunzip();
  const flow = pipeline(createReadStream(path), gunzip);
  const content = await readTar(gunzip, (name) => name.replace(/^[^/]+\//, ''));
  await flow;
  return content;
}

async function readTar(source: Readable, rename: (name: string) => string): Promise<PackageContent> {
  const content = new Map<string, TreeEntry>();
  const extract = tar.extract();
  const flow = pipeline(source, extract);
  flow.catch(() => undefined); // awaited below
  for await (const entry of extract) {
    const { header } = entry;
    const path = rename(header.name.replace(/^(\.?\/)+/, ''));
    const made = await entryOf(header, entry, rename);
    if (made !== undefined) content.set(path, made);
  }
  await flow;
  return content;
}

async function entryOf(
  { type, mode, linkname }: tar.Header,
  body: AsyncIterable<unknown> & { resume(): void },
  rename: (name: string) => string,
): Promise<TreeEntry | undefined> {
  // Setuid bits are for users that these images do not have.
  const permissionBits = 0o777;
  if (type === 'file')
    return { kind: 'file', bytes: await buffer(body as AsyncIterable<Buffer>), mode: mode & permissionBits };
  body.resume();
  if (type === 'symlink' && typeof linkname === 'string') return { kind: 'link', target: linkname };
  if (type === 'link' && typeof linkname === 'string')
    return { kind: 'link', target: `/${rename(linkname.replace(/^(\.?\/)+/, ''))}` };
  return undefined;
}
