import { randomBytes } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { NodeHost } from '../../host/node-host.js';
import type { ContainerImage, ImageStore } from '../../image/image.js';
import { findImage } from '../../image/find-image.js';
import { imageUser } from '../../image/image-user.js';
import { imageVolumes } from './image-volumes.js';
import { makeMountPoint } from '../../image/mount-point.js';
import type { DownwardContext } from '../../model/downward.js';
import { expandVariables } from '../../model/expand.js';
import type { ContainerSpec, KubeletPod } from '../../model/pod.js';
import { capabilitiesOf } from '../../runtime/capabilities.js';
import { nameCgroup } from '../../runtime/cgroup-name.js';
import { RunningContainer } from '../../runtime/container.js';
import type { ContainerConfig, ContainerMount } from '../../runtime/container-config.js';
import { ContainerConfigError } from '../../model/config-error.js';
import { buildEnvironment } from '../../runtime/environment.js';
import { LogFile } from '../../runtime/log-file.js';
import { createRootfs, removeRootfs } from '../../runtime/rootfs.js';
import type { PodVolumes } from '../../volume/pod-volumes.js';
import type { ObjectSource } from '../../model/object-source.js';
import { qosClass } from '../qos-class.js';
import { containerFolder, logPath, terminationMessageMount } from './container-files.js';
import { decideSeccomp, decideUser } from './container-security.js';
import { addLogLink } from './log-links.js';
import type { PodSandbox } from '../running-sandbox.js';

export interface StartDeps {
  readonly host: NodeHost;
  readonly images: readonly ImageStore[];
  readonly objects: ObjectSource;
  readonly canSwitchUser: boolean;
}

export interface StartRequest {
  readonly pod: KubeletPod;
  readonly spec: ContainerSpec;
  readonly attempt: number;
  readonly sandbox: PodSandbox;
  /** Pid 1 of the container whose process namespace is joined (kubectl debug --target). */
  readonly targetPid: number | undefined;
  readonly hostname: string;
  readonly volumes: PodVolumes;
  readonly podMounts: readonly ContainerMount[];
  readonly context: DownwardContext;
}

export interface Started {
  readonly container: RunningContainer;
  /** What could not be honored, for events. */
  readonly deviations: readonly string[];
}

/** Where programs are looked up when the image does not say, as in container runtimes. */
const pathDefault = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * Starts one instance of a container. Throws ImageError,
 * {@link ContainerConfigError}, or VolumeError; a program that cannot be executed is
 * not an error here but an instance that ended with `startError`.
 */
export async function startContainer(request: StartRequest, deps: StartDeps): Promise<Started> {
  const { pod, spec } = request;
  const image = findImage(spec.image, { stores: deps.images, pullPolicy: spec.imagePullPolicy });
  const seccomp = decideSeccomp(pod, spec);
  if (seccomp.refusal !== undefined) throw new Error(seccomp.refusal);
  const id = randomBytes(32).toString('hex');
  try {
    const { config, deviation } = await configure(id, image, {
      request,
      deps,
      hasSeccompFilter: seccomp.hasFilter,
    });
    const log = await LogFile.create(join(deps.host.rootfs, logPath(pod, spec.name, request.attempt)));
    await addLogLink(deps.host, pod, { container: spec.name, id, attempt: request.attempt });
    const container = await RunningContainer.start(deps.host, config, { log, hasStdin: spec.stdin === true });
    if (container.initPid !== undefined)
      await nameCgroup(deps.host, container.initPid, {
        path: cgroupPath(pod, id),
        file: join(containerFolder(id), 'cgroup'),
      });
    const deviations = [deviation, seccomp.deviation, ...propagationDeviations(spec)];
    return { container, deviations: deviations.filter((each) => each !== undefined) };
  } catch (error) {
    await removeRootfs(deps.host, image.rootfs, containerFolder(id));
    throw error;
  }
}

/** Makes the container's file system and decides everything about its process. */
async function configure(
  id: string,
  image: ContainerImage,
  { request, deps, hasSeccompFilter }: { request: StartRequest; deps: StartDeps; hasSeccompFilter: boolean },
): Promise<{ config: ContainerConfig; deviation: string | undefined }> {
  const { pod, spec, sandbox } = request;
  const folder = containerFolder(id);
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
    hostname: request.hostname,
  });
  const mounts = await request.volumes.mountsFor(spec, env);
  const message = await terminationMessageMount(deps.host, id, spec);
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
    namespaces: sandbox.namespaces,
    pidNamespace: pod.spec.hostPID === true ? 'node' : (sandbox.pause?.pid ?? request.targetPid ?? 'own'),
    isRootfsReadOnly: spec.securityContext?.readOnlyRootFilesystem === true,
    isPrivileged: spec.securityContext?.privileged === true,
    mayGainPrivileges: spec.securityContext?.allowPrivilegeEscalation !== false,
    capabilities: capabilitiesOf(spec.securityContext),
    hasSeccompFilter,
    user: decision.user,
    mounts: await placeMounts(deps.host, root, allMounts),
  };
  return { config, deviation: decision.deviation };
}

/** As the cgroupfs driver names them: guaranteed pods have no class in their path. */
function cgroupPath(pod: KubeletPod, containerId: string): string {
  const qos = qosClass(pod);
  const parent = qos === 'Guaranteed' ? '/kubepods' : `/kubepods/${qos.toLowerCase()}`;
  return `${parent}/pod${pod.metadata.uid}/${containerId}`;
}

/** Mounts made in a container stay there: bubblewrap gives it a slave copy of the node's mounts. */
function propagationDeviations(spec: ContainerSpec): string[] {
  return (spec.volumeMounts ?? [])
    .filter((mount) => mount.mountPropagation === 'Bidirectional')
    .map(
      ({ mountPath }) =>
        `mountPropagation Bidirectional of ${mountPath} in container ${spec.name} works as HostToContainer: mounts made in a container do not reach the node of a sandbox`,
    );
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
