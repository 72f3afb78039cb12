import { randomBytes } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { NodeHost } from '../../host/node-host.js';
import type { ContainerImage, ImageStore } from '../../image/image.js';
import { findImage } from '../../image/find-image.js';
import { imageUser } from '../../image/image-user.js';
import { imageVolumes } from '../../image/image-volumes.js';
import { makeMountPoint } from '../../image/mount-point.js';
import type { DownwardContext } from '../../model/downward.js';
import { expandVariables } from '../../model/expand.js';
import type { ContainerSpec, Pod } from '../../model/pod.js';
import { capabilitiesOf } from '../../runtime/capabilities.js';
import { Container } from '../../runtime/container.js';
import type { ContainerConfig, ContainerMount } from '../../runtime/container-config.js';
import { buildEnvironment, ContainerConfigError } from '../../runtime/environment.js';
import { LogFile } from '../../runtime/log-file.js';
import { createRootfs, removeRootfs } from '../../runtime/rootfs.js';
import type { PodVolumes } from '../../volume/pod-volumes.js';
import { decideUser } from './container-security.js';
import type { ObjectSource } from '../object-source.js';
import { podHostname } from '../pod/pod-files.js';
import type { PodSandbox } from '../pod/pod-sandbox.js';

export interface StartDeps {
  readonly host: NodeHost;
  readonly images: readonly ImageStore[];
  readonly objects: ObjectSource;
  readonly canSwitchUser: boolean;
}

export interface StartRequest {
  readonly pod: Pod;
  readonly spec: ContainerSpec;
  readonly attempt: number;
  readonly sandbox: PodSandbox;
  readonly volumes: PodVolumes;
  readonly podMounts: readonly ContainerMount[];
  readonly context: DownwardContext;
}

export interface Started {
  readonly container: Container;
  /** What could not be honoured, for an event. */
  readonly deviation: string | undefined;
}

const containersFolder = '/var/lib/containers';
const logsFolder = '/var/log/pods';
const terminationMessageMaxBytes = 4096;
/** Where programs are looked up when the image does not say, as in container runtimes. */
const pathDefault = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * Starts one instance of a container. Throws {@link ImageError},
 * {@link ContainerConfigError}, or VolumeError; a program that cannot be executed is
 * not an error here but an instance that ended with `startError`.
 */
export async function startContainer(request: StartRequest, deps: StartDeps): Promise<Started> {
  const { pod, spec } = request;
  const image = findImage(spec.image, { stores: deps.images, pullPolicy: spec.imagePullPolicy });
  const id = randomBytes(32).toString('hex');
  const folder = join(containersFolder, id);
  try {
    const rootfs = await createRootfs(deps.host, image.rootfs, { folder });
    const root = deps.host.path(rootfs);
    const askedUser = spec.securityContext?.runAsUser ?? pod.spec.securityContext?.runAsUser;
    const user = await imageUser(root, askedUser === undefined ? image.config.user : String(askedUser));
    const decision = decideUser(pod, spec, { imageUser: user, canSwitchUser: deps.canSwitchUser });
    if (decision.refusal !== undefined) throw new ContainerConfigError(decision.refusal);
    const { home } = decision.deviation === undefined ? user : await imageUser(root, '');
    const env = await buildEnvironment({
      container: spec,
      context: request.context,
      objects: deps.objects,
      imageEnv: { PATH: pathDefault, HOME: home, ...image.config.env },
    });
    const mounts = await request.volumes.mountsFor(spec.volumeMounts ?? [], env);
    const message = await terminationMessageMount(deps.host, folder, spec);
    const overridden = new Set(mounts.map((m) => m.target));
    const allMounts = [
      ...(await imageVolumes(deps.host, image.config.volumes, { folder, overridden })),
      ...request.podMounts.filter((m) => !overridden.has(m.target)),
      message,
      ...mounts,
    ];
    const workingDir = spec.workingDir ?? (image.config.workingDir || '/');
    await makeMountPoint(root, workingDir, 'folder');
    const config: ContainerConfig = {
      id,
      image,
      rootfs,
      command: commandOf(spec, image, env),
      env,
      workingDir,
      hasTerminal: spec.tty === true,
      hostname: pod.spec.hostNetwork === true ? deps.host.name : podHostname(pod),
      netns: request.sandbox.netns,
      isHostPid: pod.spec.hostPID === true,
      isRootfsReadOnly: spec.securityContext?.readOnlyRootFilesystem === true,
      isPrivileged: spec.securityContext?.privileged === true,
      capabilities: capabilitiesOf(spec.securityContext),
      user: decision.user,
      mounts: await placeMounts(deps.host, root, allMounts),
    };
    const log = await LogFile.create(join(deps.host.rootfs, logPath(pod, spec.name, request.attempt)));
    const container = await Container.start(deps.host, config, {
      log,
      hasStdin: spec.stdin === true,
    });
    return { container, deviation: decision.deviation };
  } catch (error) {
    await removeRootfs(deps.host, image.rootfs, folder);
    throw error;
  }
}

/** Removes the file system of an ended instance; its log stays. */
export async function removeContainer(host: NodeHost, { config }: Container): Promise<void> {
  await removeRootfs(host, config.image.rootfs, join(containersFolder, config.id));
}

/** What a container left at its terminationMessagePath; undefined when nothing. */
export async function terminationMessage(host: NodeHost, container: Container): Promise<string | undefined> {
  const path = join(host.rootfs, containersFolder, container.config.id, 'termination-log');
  try {
    const file = await open(path, 'r');
    try {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(terminationMessageMaxBytes), 0);
      return bytesRead === 0 ? undefined : buffer.toString('utf8', 0, bytesRead);
    } finally {
      await file.close();
    }
  } catch {
    return undefined; // removed together with the pod
  }
}

/** Prepares where each mount goes. Below the image's own mounts and /dev bubblewrap does it. */
async function placeMounts(
  host: NodeHost,
  root: string,
  mounts: readonly ContainerMount[],
): Promise<ContainerMount[]> {
  const placed: ContainerMount[] = [];
  for (const mount of mounts) {
    const source = await stat(host.path(mount.source)).catch(() => undefined);
    const kind = source?.isDirectory() === false ? 'file' : 'folder';
    placed.push(
      mount.target.startsWith('/dev/')
        ? mount
        : { ...mount, target: await makeMountPoint(root, mount.target, kind) },
    );
  }
  return placed;
}

/** Folder of a pod's logs, relative to the node's file system. */
export function podLogFolder(pod: Pod): string {
  return join(logsFolder, `${pod.metadata.namespace}_${pod.metadata.name}_${pod.metadata.uid}`);
}

function logPath(pod: Pod, container: string, attempt: number): string {
  return join(podLogFolder(pod), container, `${attempt}.log`);
}

/** `command` replaces the entrypoint and, with it, the image's default arguments (core/v1). */
function commandOf(
  spec: ContainerSpec,
  image: ContainerImage,
  env: Readonly<Record<string, string>>,
): string[] {
  const expand = (words: readonly string[]): string[] => words.map((word) => expandVariables(word, env));
  const hasCommand = spec.command !== undefined && spec.command.length > 0;
  const hasArgs = spec.args !== undefined && spec.args.length > 0;
  const entrypoint = hasCommand ? expand(spec.command ?? []) : [...image.config.entrypoint];
  const args = hasArgs ? expand(spec.args ?? []) : hasCommand ? [] : [...image.config.cmd];
  const command = [...entrypoint, ...args];
  if (command.length === 0) throw new ContainerConfigError('no command specified');
  return command;
}

async function terminationMessageMount(
  host: NodeHost,
  folder: string,
  spec: ContainerSpec,
): Promise<ContainerMount> {
  const source = join(folder, 'termination-log');
  const file = await open(join(host.rootfs, source), 'w', 0o666);
  await file.close();
  return { source, target: spec.terminationMessagePath ?? '/dev/termination-log', isReadOnly: false };
}
