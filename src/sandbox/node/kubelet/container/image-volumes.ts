import { chmod, chown, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder } from '../../host/make-folder.js';
import type { NodeHost } from '../../host/node-host.js';
import type { ContainerMount } from '../../runtime/container-config.js';
import { resolveInside } from '../../host/path-inside.js';

const volumesMax = 64;

/**
 * The volumes an image asks for, one writable folder each, beginning with what the
 * image has there. A place where the pod mounts something gets none.
 */
export async function imageVolumes(
  host: NodeHost,
  volumes: readonly string[],
  { folder, overridden }: { folder: string; overridden: ReadonlySet<string> },
): Promise<ContainerMount[]> {
  const mounts: ContainerMount[] = [];
  for (const [index, target] of volumes.slice(0, volumesMax).entries()) {
    if (!target.startsWith('/') || target === '/' || overridden.has(target)) continue;
    const source = join(folder, 'volumes', String(index));
    await makeFolder(join(host.rootfs, source));
    const inside = join(folder, 'rootfs', await resolveInside(host.path(join(folder, 'rootfs')), target));
    const original = await stat(host.path(inside)).catch(() => undefined);
    if (original?.isDirectory() === true) {
      const { exitCode, stderr } = await host.run(['cp', '-a', '--reflink=auto', `${inside}/.`, source]);
      if (exitCode !== 0)
        throw new Error(`volume ${target} of the image could not be filled: ${stderr.trim()}`);
      await chmod(host.path(source), original.mode & 0o7777);
      await chown(host.path(source), original.uid, original.gid);
    }
    mounts.push({ source, target, isReadOnly: false });
  }
  return mounts;
}
