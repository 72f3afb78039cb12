import { readFile } from 'node:fs/promises';
import { MeshError } from '#base/errors/mesh-error.js';
import { BuiltinImages } from '../node/image/builtin-images.js';
import type { ImportedImage } from '../node/image/import/index.js';
import { LoadedImages } from '../node/image/loaded-images.js';
import type { SupervisorConfig } from '../supervisor/sandbox-config.js';
import type { SandboxPaths } from '../supervisor/sandbox-paths.js';
import { supervisorStatus } from './control-client.js';
import { filesError } from '../supervisor/files-error.js';
import { runningSandbox } from './sandbox-status.js';

export interface SandboxLoadOptions {
  readonly name: string;
  /** Files of `docker save` or OCI layouts, packed or not. */
  readonly archives: readonly string[];
  /** Name to give to the image of a single archive, instead of those in it. */
  readonly tag?: string | undefined;
  readonly signal: AbortSignal;
}

export interface LoadedArchive {
  readonly archive: string;
  readonly images: readonly ImportedImage[];
}

/** An image that pods of a sandbox can use. */
export interface SandboxImage {
  readonly names: readonly string[];
  /** Of the archive's layers; 0 for what is built in. */
  readonly sizeBytes: number;
  readonly source: 'built in' | 'loaded';
}

/**
 * Loads images from archives; pods that wait for one get it at their next try. Throws MESH0803, MESH0814 or
 * what `importArchive` does; archives before the one that failed are loaded then.
 */
export async function sandboxLoad(o: SandboxLoadOptions): Promise<readonly LoadedArchive[]> {
  const paths = await readySandbox(o.name);
  // Only now: no other command needs what reads archives.
  const { importArchive } = await import('../node/image/import/index.js');
  const loaded: LoadedArchive[] = [];
  for (const archive of o.archives) {
    try {
      const images = await importArchive(archive, paths.loadedImages, { signal: o.signal, tag: o.tag });
      loaded.push({ archive, images });
    } catch (error) {
      throw filesError(error, paths.loadedImages) ?? error;
    }
  }
  return loaded;
}

/** The images that are in a sandbox. Throws MESH0803. */
export async function sandboxImages({ name }: { readonly name: string }): Promise<readonly SandboxImage[]> {
  const paths = await readySandbox(name);
  const loaded = new LoadedImages({ folder: paths.loadedImages, nodeFolder: '' });
  // Written by the launcher in this very shape; one of an earlier version has no table of images.
  const config = JSON.parse(await readFile(paths.config, 'utf8')) as SupervisorConfig;
  const builtin = new BuiltinImages(config);
  return [
    ...builtin.list().map((image) => ({ ...image, source: 'built in' as const })),
    ...loaded.list().map((image) => ({ ...image, source: 'loaded' as const })),
  ];
}

/** A starting supervisor clears what interrupted loads left behind: it must be done with that. */
async function readySandbox(name: string): Promise<SandboxPaths> {
  const { paths } = runningSandbox(name);
  const status = await supervisorStatus(paths);
  if (status?.phase === 'ready') return paths;
  throw new MeshError('MESH0803', `sandbox ${name} is not running yet`, {
    evidence: status === undefined ? 'its supervisor does not answer' : `waiting for ${status.detail}`,
  });
}
