import { readFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { NodeHost } from '../host/node-host.js';
import type { RootfsSource } from '../image/image.js';

/** How containers of a node get a writable view of an image: a union mount, or a copy of their own. */
export type RootfsMethod = 'overlay' | 'copy';

const copyTimeoutMs = 600_000;
const methods = new WeakMap<NodeHost, Promise<RootfsMethod>>();

/**
 * Makes the root file system of one container in a folder of its own (a path on the
 * node) and returns its path on the node. Undone by {@link removeRootfs}.
 */
export async function createRootfs(
  host: NodeHost,
  source: RootfsSource,
  { folder, method }: { folder: string; method?: RootfsMethod },
): Promise<string> {
  const rootfs = join(folder, 'rootfs');
  await mkdir(join(host.rootfs, rootfs), { recursive: true });
  if (source.kind === 'made') await source.fill(join(host.rootfs, rootfs));
  else if ((method ?? (await rootfsMethod(host))) === 'overlay')
    await mountOverlay(host, source.nodePath, folder);
  else await copyTree(host, source.nodePath, rootfs);
  return rootfs;
}

/** Lets go of a container's root file system and removes its folder. Idempotent. */
export async function removeRootfs(host: NodeHost, source: RootfsSource, folder: string): Promise<void> {
  // A copy has no mount; a node that is gone took its mounts with it.
  if (source.kind === 'folder')
    await host.run(['umount', '--lazy', join(folder, 'rootfs')]).catch(() => undefined);
  await rm(join(host.rootfs, folder), { recursive: true, force: true });
}

/** What this node can do; tried once, when the first container needs it. */
export function rootfsMethod(host: NodeHost): Promise<RootfsMethod> {
  const known = methods.get(host) ?? probe(host);
  methods.set(host, known);
  return known;
}

/**
 * Kernels before 5.11 refuse overlays in user namespaces, some file systems refuse to
 * be the upper layer, and some accept it but cannot mark a folder as replaced.
 */
async function probe(host: NodeHost): Promise<RootfsMethod> {
  const folder = '/var/lib/containers/.probe';
  const at = (name: string): string => join(folder, name);
  await mkdir(join(host.rootfs, at('lower/replaced')), { recursive: true });
  await mkdir(join(host.rootfs, at('rootfs')), { recursive: true });
  try {
    await mountOverlay(host, at('lower'), folder);
    const replaced = at('rootfs/replaced');
    const tried = await host.run(['sh', '-c', 'rmdir "$1" && mkdir "$1" && touch "$1/x"', 'sh', replaced]);
    return tried.exitCode === 0 ? 'overlay' : 'copy';
  } catch {
    return 'copy';
  } finally {
    await removeRootfs(host, { kind: 'folder', nodePath: at('lower') }, folder);
  }
}

async function mountOverlay(host: NodeHost, lower: string, folder: string): Promise<void> {
  const upper = join(folder, 'upper');
  const work = join(folder, 'work');
  for (const path of [upper, work]) await mkdir(join(host.rootfs, path), { recursive: true });
  const options = [`lowerdir=${lower}`, `upperdir=${upper}`, `workdir=${work}`];
  // Where trusted attributes are out of reach, overlays may keep their notes in user attributes.
  if (!isInitialUserNamespace()) options.push('userxattr');
  const mount = ['mount', '-t', 'overlay', 'overlay', '-o', options.join(','), join(folder, 'rootfs')];
  const { exitCode, stderr } = await host.run(mount);
  if (exitCode !== 0) throw new Error(`the root file system could not be mounted: ${stderr.trim()}`);
}

async function copyTree(host: NodeHost, source: string, target: string): Promise<void> {
  const { exitCode, stderr } = await host.run(['cp', '-a', '--reflink=auto', `${source}/.`, target], {
    timeoutMs: copyTimeoutMs,
  });
  if (exitCode !== 0) throw new Error(`the root file system could not be copied: ${stderr.trim()}`);
}

function isInitialUserNamespace(): boolean {
  const everyId = /^\s*0\s+0\s+4294967295\s*$/;
  return everyId.test(readFileSync('/proc/self/uid_map', 'utf8').trim());
}
