import { ephemeralClaimName } from '../../base/ephemeral-claim.js';
import { rm, stat } from 'node:fs/promises';
import { join, normalize } from 'node:path';
import { messageOf } from '#base/errors/mesh-error.js';
import { parseQuantity } from '../../base/quantity.js';
import type { Logger } from '#base/telemetry/log.js';
import { makeFolder } from '../host/make-folder.js';
import type { NodeHost } from '../host/node-host.js';
import { resolveInside } from '../host/path-inside.js';
import { expandVariables } from '../model/expand.js';
import type { VolumeMount } from '#base/kube/types.js';
import type { ContainerSpec, KubeletPod, KubeletVolume } from '../model/pod.js';
import type { ContainerMount } from '../runtime/container-config.js';
import { writeVolumeFiles } from './atomic-writer.js';
import { diskUsage, prepareEmptyDir, releaseEmptyDir } from './empty-dir.js';
import { prepareHostPath } from './host-path.js';
import { prepareClaim } from './persistent-claim.js';
import { type ContentDeps, sourcesOf, VolumeError, volumeContent } from './volume-content.js';

/** Content from the API lives in memory (the node's /run), so that no token or secret reaches the disk. */
const memoryFolder = '/run/kubelet/pods';
const podsDiskFolder = '/var/lib/kubelet/pods';
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
  readonly #memoryMounts = new Set<string>();
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
  async prepare(pod: KubeletPod, deps: ContentDeps): Promise<void> {
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
  startRefresh(pod: KubeletPod, deps: () => ContentDeps): void {
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

  /** Writes volumes that show the pod itself (downward API) anew, because it has changed. */
  podChanged(pod: KubeletPod, deps: ContentDeps): void {
    for (const volume of pod.spec.volumes ?? []) {
      const isDownward =
        volume.downwardAPI !== undefined ||
        volume.projected?.sources?.some((source) => source.downwardAPI !== undefined) === true;
      if (isDownward && this.#stops.length > 0) this.#refresh(volume, deps);
    }
  }

  /** Where a container's mounts come from; throws {@link VolumeError} for a volume or subPath that is not there. */
  async mountsFor(spec: ContainerSpec, env: Readonly<Record<string, string>>): Promise<ContainerMount[]> {
    const result: ContainerMount[] = [];
    for (const mount of spec.volumeMounts ?? []) {
      const source = this.#paths.get(mount.name);
      if (source === undefined) throw new VolumeError(`volume "${mount.name}" is not defined in the pod`);
      const subPath = subPathOf(mount, env);
      result.push({
        source:
          subPath === '' ? source : await this.#subPath(source, { subPath, container: spec.name, mount }),
        target: normalize(`/${mount.mountPath}`),
        isReadOnly: mount.readOnly === true,
      });
    }
    return result;
  }

  /** An emptyDir on disk that holds more than its sizeLimit, in the words of kubelet's eviction; undefined when none. */
  async overLimit(pod: KubeletPod): Promise<string | undefined> {
    for (const { name, emptyDir } of pod.spec.volumes ?? []) {
      const limit = parseQuantity(emptyDir?.sizeLimit) ?? 0;
      const path = this.#paths.get(name);
      if (limit === 0 || path === undefined || emptyDir?.medium === 'Memory') continue;
      if ((await diskUsage(this.#host.path(path))) > limit)
        return `Usage of EmptyDir volume "${name}" exceeds the limit "${emptyDir?.sizeLimit}". `;
    }
    return undefined;
  }

  /** Bytes that the pod's emptyDir volumes take on disk. */
  async usage(pod: KubeletPod): Promise<number> {
    let total = 0;
    for (const { name, emptyDir } of pod.spec.volumes ?? []) {
      const path = this.#paths.get(name);
      if (emptyDir !== undefined && emptyDir.medium !== 'Memory' && path !== undefined)
        total += await diskUsage(this.#host.path(path));
    }
    return total;
  }

  /** Stops following and removes what belongs to the pod; hostPath content stays. */
  async remove(): Promise<void> {
    for (const stop of this.#stops.splice(0)) stop();
    await this.#refreshing;
    for (const path of this.#memoryMounts) await releaseEmptyDir(this.#host, path);
    this.#memoryMounts.clear();
    for (const folder of [memoryFolder, podsDiskFolder])
      await rm(this.#host.path(join(folder, this.#uid)), { recursive: true, force: true });
  }

  #refresh(volume: KubeletVolume, deps: ContentDeps): void {
    this.#refreshing = this.#refreshing
      .then(async () => {
        await this.#write(volume, deps);
      })
      .catch((error: unknown) =>
        this.#logger.warn('volume could not be refreshed', { volume: volume.name, error: messageOf(error) }),
      );
  }

  async #prepareOne(volume: KubeletVolume, deps: ContentDeps): Promise<string> {
    const { hostPath, emptyDir, persistentVolumeClaim, ephemeral } = volume;
    if (hostPath !== undefined) return prepareHostPath(this.#host, hostPath);
    if (isFromApi(volume)) return this.#write(volume, deps);
    if (persistentVolumeClaim !== undefined || ephemeral !== undefined) {
      const { pod } = deps.context;
      const claim = persistentVolumeClaim?.claimName ?? ephemeralClaimName(pod.metadata.name, volume.name);
      const isEphemeral = persistentVolumeClaim === undefined;
      return prepareClaim(this.#host, { pod, claim, isEphemeral, group: this.#group }, deps.objects);
    }
    if (emptyDir === undefined) throw new VolumeError('this kind of volume is not supported by the sandbox');
    const folder = emptyDir.medium === 'Memory' ? memoryFolder : podsDiskFolder;
    const path = join(folder, this.#uid, 'volumes/kubernetes.io~empty-dir', volume.name);
    if (emptyDir.medium === 'Memory') this.#memoryMounts.add(path);
    await prepareEmptyDir(this.#host, path, { emptyDir, group: this.#group });
    return path;
  }

  async #write(volume: KubeletVolume, deps: ContentDeps): Promise<string> {
    const path = join(memoryFolder, this.#uid, 'volumes/kubernetes.io~projected', volume.name);
    await writeVolumeFiles(this.#host.path(path), await volumeContent(volume, deps), { group: this.#group });
    return path;
  }

  /** A folder or file inside a volume. Links in it are followed inside the volume only. */
  async #subPath(
    source: string,
    { subPath, container, mount }: { subPath: string; container: string; mount: VolumeMount },
  ): Promise<string> {
    const failed = (reason: string): VolumeError =>
      new VolumeError(
        `failed to prepare subPath for volumeMount "${mount.name}" of container "${container}": ${reason}`,
      );
    if (subPath.startsWith('/') || subPath.split('/').includes('..'))
      throw failed(`"${subPath}" must stay inside the volume`);
    const root = this.#host.path(source);
    try {
      const inside = await resolveInside(root, subPath);
      // What is missing gets the mode of the volume itself: whoever may write there may write here.
      const { mode } = await stat(root);
      await makeFolder(join(root, inside), mode & 0o7777);
      return join(source, inside);
    } catch (error) {
      throw failed(messageOf(error));
    }
  }
}

function subPathOf(mount: VolumeMount, env: Readonly<Record<string, string>>): string {
  if (mount.subPathExpr === undefined || mount.subPathExpr === '') return mount.subPath ?? '';
  const path = expandVariables(mount.subPathExpr, env);
  const missing = /\$\(([^()]*)\)/.exec(path)?.[1];
  if (missing !== undefined) throw new VolumeError(`missing value for "${missing}" in subPathExpr`);
  return path;
}

function isFromApi(volume: KubeletVolume): boolean {
  return (
    volume.configMap !== undefined ||
    volume.secret !== undefined ||
    volume.projected !== undefined ||
    volume.downwardAPI !== undefined
  );
}
