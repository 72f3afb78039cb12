import { open, readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { NodeHost } from '../../host/node-host.js';
import type { ContainerSpec, KubeletPod } from '../../model/pod.js';
import type { RunningContainer } from '../../runtime/container.js';
import type { ContainerMount } from '../../runtime/container-config.js';
import { logTail } from '../../runtime/log-reader.js';
import { removeRootfs } from '../../runtime/rootfs.js';

const containersFolder = '/var/lib/containers';
const logsFolder = '/var/log/pods';
const messageMaxBytes = 4096;
/** FallbackToLogsOnError: the last 80 lines, 2 KiB at most. */
const fallbackMaxLines = 80;
const fallbackMaxBytes = 2048;

/** Folder on the node that belongs to one container instance. */
export function containerFolder(id: string): string {
  return join(containersFolder, id);
}

/** Folder of a pod's logs, relative to the node's file system. */
export function podLogFolder(pod: KubeletPod): string {
  return join(logsFolder, `${pod.metadata.namespace}_${pod.metadata.name}_${pod.metadata.uid}`);
}

/** The log of one instance of a container; attempt counts restarts. */
export function logPath(pod: KubeletPod, container: string, attempt: number): string {
  return join(podLogFolder(pod), container, `${attempt}.log`);
}

/** Removes the logs of all instances but the given one and the one before it. */
export async function pruneLogs(path: string, attempt: number): Promise<void> {
  const folder = dirname(path);
  for (const name of await readdir(folder).catch(() => [])) {
    const number = Number(/^(\d+)\.log/.exec(name)?.[1] ?? attempt);
    if (number < attempt - 1) await rm(join(folder, name), { force: true });
  }
}

/** Removes the file system of an ended instance; its log stays. */
export async function removeContainer(host: NodeHost, { config }: RunningContainer): Promise<void> {
  await removeRootfs(host, config.image.rootfs, containerFolder(config.id));
}

/** Where the supervisor finds what a container has written over its image; what a copy of the image has grown by nobody knows. */
export function writtenFolder(host: NodeHost, { config }: RunningContainer): string {
  const layer = config.image.rootfs.kind === 'made' ? 'rootfs' : 'upper';
  return join(host.rootfs, containerFolder(config.id), layer);
}

/** The file a container may leave its last words in. */
export async function terminationMessageMount(
  host: NodeHost,
  id: string,
  spec: ContainerSpec,
): Promise<ContainerMount> {
  const source = join(containerFolder(id), 'termination-log');
  const file = await open(join(host.rootfs, source), 'w', 0o666);
  await file.chmod(0o666); // whatever the umask: the container's user writes it
  await file.close();
  return { source, target: spec.terminationMessagePath ?? '/dev/termination-log', isReadOnly: false };
}

/**
 * What a container left at its terminationMessagePath or, by its policy after a
 * failure, at the end of its log; undefined when nothing.
 */
export async function terminationMessage(
  host: NodeHost,
  container: RunningContainer,
  { policy, exitCode }: { policy: ContainerSpec['terminationMessagePolicy']; exitCode: number },
): Promise<string | undefined> {
  const path = join(host.rootfs, containerFolder(container.config.id), 'termination-log');
  const text = await firstBytes(path);
  if (text !== undefined || policy !== 'FallbackToLogsOnError' || exitCode === 0) return text;
  await container.log.ended();
  const tail = await logTail(container.log.path, { maxLines: fallbackMaxLines, maxBytes: fallbackMaxBytes });
  return tail === '' ? undefined : tail;
}

async function firstBytes(path: string): Promise<string | undefined> {
  try {
    const file = await open(path, 'r');
    try {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(messageMaxBytes), 0);
      return bytesRead === 0 ? undefined : buffer.toString('utf8', 0, bytesRead);
    } finally {
      await file.close();
    }
  } catch {
    return undefined; // removed together with the pod
  }
}
