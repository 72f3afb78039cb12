import { lstat, mkdir, readdir, readlink, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { NodeHost } from '../../host/node-host.js';
import type { KubeletPod } from '../../model/pod.js';
import { logPath, podLogFolder } from './container-files.js';

/** Where log collectors look: one link for each container instance, named after it. */
const folder = '/var/log/containers';

/** Makes the link of a new instance. */
export async function addLogLink(
  host: NodeHost,
  pod: KubeletPod,
  { container, id, attempt }: { container: string; id: string; attempt: number },
): Promise<void> {
  await mkdir(join(host.rootfs, folder), { recursive: true });
  const name = `${prefixOf(pod)}${container}-${id}.log`;
  await symlink(logPath(pod, container, attempt), join(host.rootfs, folder, name));
}

/** Removes the links of a pod that lead nowhere any more. */
export async function pruneLogLinks(host: NodeHost, pod: KubeletPod): Promise<void> {
  const path = join(host.rootfs, folder);
  const names = await readdir(path).catch(() => []); // no container has run yet
  for (const name of names.filter((each) => each.startsWith(prefixOf(pod)))) {
    const target = await readlink(join(path, name)).catch(() => '');
    // A namesake of the pod may have links as well.
    if (!target.startsWith(`${podLogFolder(pod)}/`)) continue;
    const isThere = (await lstat(join(host.rootfs, target)).catch(() => undefined)) !== undefined;
    if (!isThere) await rm(join(path, name), { force: true });
  }
}

function prefixOf({ metadata }: KubeletPod): string {
  return `${metadata.name}_${metadata.namespace}_`;
}
