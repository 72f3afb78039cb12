import { chmod, chown, lstat, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import { makeFolder } from '../host/make-folder.js';
import { messageOf } from '../../../errors/mesh-error.js';
import type { Logger } from '../../../telemetry/log.js';
import type { NodeHost } from '../host/node-host.js';
import type { Pod, Volume, VolumeMount } from '../model/pod.js';
import { expandVariables } from '../model/expand.js';
import type { ContainerMount } from '../runtime/container-config.js';
import { writeAtomically } from './atomic-writer.js';
import { type ContentDeps, sourcesOf, VolumeError, volumeContent } from './volume-content.js';

/** Content from the API lives in memory (the node's /run), so that no token or secret reaches the disk. */
const memoryFolder = '/run/kubelet/pods';
const diskFolder = '/var/lib/kubelet/pods';
/** Tokens and downward API fields have no watch of their own; kubelet's sync period is a minute. */
const refreshPeriodMs = 30_000;

/** The volumes of one pod on its node: prepared -> kept up to date -> removed. */
export class PodVolumes {
  readonly #host: NodeHost;
  readonly #logger: Logger;
  readonly #uid: string;
  readonly #group: number | undefined;
  /** Volume name -> path on the node. */
  readonly #paths = new Map<string, string>();
  readonly #stops: (() => void)[] = [];
  #refreshing: Promise<void> = Promise.resolve();

  /** `group` (fsGroup) gets to read, and in emptyDir to write, what the volumes hold. */
  constructor(o: { host: NodeHost; logger: Logger; uid: string; group: number | undefined }) {
    this.#host = o.host;
    this.#logger = o.logger;
    this.#uid = o.uid;
    this.#group = o.group;
  }

  /** Sets every volume up; throws {@link VolumeError} naming the first that cannot be. May be called again. */
  async prepare(pod: Pod, deps: ContentDeps): Promise<void> {
    for (const volume of pod.spec.volumes ?? []) {
      try {
        this.#paths.set(volume.name, await this.#prepareOne(volume, deps));
      } catch (error) {
        throw new VolumeError(`MountVolume.SetUp failed for volume "${volume.name}" : ${messageOf(error)}`, {
          cause: error,
        });
      }
    }
  }

  /** Starts following changes; `deps` is asked anew for each refresh, since labels and addresses change. */
  startRefresh(pod: Pod, deps: () => ContentDeps): void {
    const dynamic = (pod.spec.volumes ?? []).filter(isFromApi);
    if (dynamic.length === 0) return;
    for (const volume of dynamic) {
      for (const { kind, name } of sourcesOf(volume)) {
        const at = { namespace: pod.metadata.namespace, name };
        this.#stops.push(deps().objects.watch(kind, at, () => this.#refresh(volume, deps())));
      }
    }
    const timer = setInterval(() => {
      for (const volume of dynamic) this.#refresh(volume, deps());
    }, refreshPeriodMs);
    this.#stops.push(() => clearInterval(timer));
  }

  /** Where a container's mounts come from; throws when a mount names an unknown volume. */
  async mountsFor(
    mounts: readonly VolumeMount[],
    env: Readonly<Record<string, string>>,
  ): Promise<ContainerMount[]> {
    const result: ContainerMount[] = [];
    for (const mount of mounts) {
      const source = this.#paths.get(mount.name);
      if (source === undefined) throw new VolumeError(`volume "${mount.name}" is not defined in the pod`);
      const subPath =
        mount.subPathExpr === undefined ? (mount.subPath ?? '') : expandVariables(mount.subPathExpr, env);
      result.push({
        source: subPath === '' ? source : await this.#subPath(source, subPath),
        target: normalize(`/${mount.mountPath}`),
        isReadOnly: mount.readOnly === true,
      });
    }
    return result;
  }

  /** Stops following and removes what belongs to the pod; hostPath content stays. */
  async remove(): Promise<void> {
    for (const stop of this.#stops.splice(0)) stop();
    await this.#refreshing;
    for (const folder of [memoryFolder, diskFolder])
      await rm(this.#host.path(join(folder, this.#uid)), { recursive: true, force: true });
  }

  #refresh(volume: Volume, deps: ContentDeps): void {
    this.#refreshing = this.#refreshing
      .then(async () => {
        await this.#write(volume, deps);
      })
      .catch((error: unknown) =>
        this.#logger.warn('volume could not be refreshed', { volume: volume.name, error: messageOf(error) }),
      );
  }

  async #prepareOne(volume: Volume, deps: ContentDeps): Promise<string> {
    if (volume.hostPath !== undefined) return this.#prepareHostPath(volume.hostPath);
    if (isFromApi(volume)) {
      return this.#write(volume, deps);
    }
    if (volume.emptyDir === undefined)
      throw new VolumeError('this kind of volume is not supported by the sandbox');
    const folder = volume.emptyDir.medium === 'Memory' ? memoryFolder : diskFolder;
    const path = join(folder, this.#uid, 'volumes/kubernetes.io~empty-dir', volume.name);
    await makeFolder(this.#host.path(path));
    await chmod(this.#host.path(path), 0o777);
    if (this.#group !== undefined) {
      await chown(this.#host.path(path), 0, this.#group);
      await chmod(this.#host.path(path), 0o2777);
    }
    return path;
  }

  async #write(volume: Volume, deps: ContentDeps): Promise<string> {
    const path = this.#apiPath(volume);
    await writeAtomically(this.#host.path(path), await volumeContent(volume, deps), { group: this.#group });
    return path;
  }

  #apiPath(volume: Volume): string {
    return join(memoryFolder, this.#uid, 'volumes/kubernetes.io~projected', volume.name);
  }

  async #prepareHostPath({ path, type }: { path: string; type?: string }): Promise<string> {
    const seen = this.#host.path(path);
    const found = await stat(seen).catch(() => undefined);
    if (type === 'DirectoryOrCreate' && found === undefined) await makeFolder(seen);
    else if (type === 'FileOrCreate' && found === undefined) await writeFile(seen, '');
    else if (found === undefined) {
      // A type-less hostPath that does not exist is created by container runtimes as a folder.
      if (type !== undefined && type !== '')
        throw new VolumeError(`hostPath type check failed: ${path} does not exist`);
      await makeFolder(seen);
    } else if (!hasType(found, type))
      throw new VolumeError(`hostPath type check failed: ${path} is not a ${type}`);
    return path;
  }

  async #subPath(source: string, subPath: string): Promise<string> {
    if (subPath.startsWith('/') || normalize(subPath).startsWith('..'))
      throw new VolumeError(`subPath "${subPath}" must stay inside the volume`);
    const path = join(source, subPath);
    const seen = this.#host.path(path);
    const found = await lstat(seen).catch(() => undefined);
    if (found === undefined) await makeFolder(seen);
    // A link could lead out of the volume: only the atomic writer's own links are followed.
    else if (found.isSymbolicLink() && !dirname(seen).includes('kubernetes.io~projected'))
      throw new VolumeError(`subPath "${subPath}" is a symbolic link`);
    return path;
  }
}

function isFromApi(volume: Volume): boolean {
  return (
    volume.configMap !== undefined ||
    volume.secret !== undefined ||
    volume.projected !== undefined ||
    volume.downwardAPI !== undefined
  );
}

function hasType(
  found: {
    isDirectory(): boolean;
    isFile(): boolean;
    isSocket(): boolean;
    isCharacterDevice(): boolean;
    isBlockDevice(): boolean;
  },
  type: string | undefined,
): boolean {
  switch (type) {
    case 'Directory':
    case 'DirectoryOrCreate':
      return found.isDirectory();
    case 'File':
    case 'FileOrCreate':
      return found.isFile();
    case 'Socket':
      return found.isSocket();
    case 'CharDevice':
      return found.isCharacterDevice();
    case 'BlockDevice':
      return found.isBlockDevice();
    default:
      return true;
  }
}
