import { readFileSync } from 'node:fs';
import type { ImageUser } from '../../image/image-user.js';
import type { ContainerSpec, KubeletPod } from '../../model/pod.js';
import { hasSeccompFilter } from '../../runtime/seccomp-filter.js';

export interface ContainerUser {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
}

/** Which user a container runs as, and what of its request could not be honored. */
export interface UserDecision {
  /** undefined: root. */
  readonly user: ContainerUser | undefined;
  /** A sentence for an event, when the request was not honored. */
  readonly deviation: string | undefined;
  /** The container must not start at all, with this reason. */
  readonly refusal: string | undefined;
}

/**
 * Decides the user of a container. Inside a user namespace that maps a single user
 * (an unprivileged sandbox) no other id exists: the container then runs as the mapped
 * root, and the decision says so instead of pretending.
 */
export function decideUser(
  pod: KubeletPod,
  container: ContainerSpec,
  { imageUser, canSwitchUser }: { imageUser: ImageUser; canSwitchUser: boolean },
): UserDecision {
  const podContext = pod.spec.securityContext;
  const context = container.securityContext;
  const { uid } = imageUser;
  const gid = context?.runAsGroup ?? podContext?.runAsGroup ?? imageUser.gid;
  const isNonRootRequired = context?.runAsNonRoot ?? podContext?.runAsNonRoot ?? false;
  if (isNonRootRequired && (uid === 0 || !imageUser.isNumeric)) {
    const isAsked = (context?.runAsUser ?? podContext?.runAsUser) !== undefined;
    const { name, namespace, uid: podUid } = pod.metadata;
    const problem = isAsked
      ? "container's runAsUser breaks non-root policy"
      : uid === 0
        ? 'container has runAsNonRoot and image will run as root'
        : 'container has runAsNonRoot and image has a non-numeric user, cannot verify user is non-root';
    const refusal = `${problem} (pod: "${name}_${namespace}(${podUid})", container: ${container.name})`;
    return { user: undefined, deviation: undefined, refusal };
  }
  const groups = [...imageUser.groups, ...(podContext?.supplementalGroups ?? [])];
  if (podContext?.fsGroup !== undefined) groups.push(podContext.fsGroup);
  const isPlainRoot = uid === 0 && gid === 0 && groups.length === 0;
  if (isPlainRoot) return { user: undefined, deviation: undefined, refusal: undefined };
  if (!canSwitchUser) {
    // Additional groups only ever add rights, and the mapped root has them all.
    if (uid === 0 && gid === 0) return { user: undefined, deviation: undefined, refusal: undefined };
    return {
      user: undefined,
      deviation: `container ${container.name} asks for user ${uid}:${gid} but runs as the sandbox's root: an unprivileged sandbox has one user id only`,
      refusal: undefined,
    };
  }
  return { user: { uid, gid, groups }, deviation: undefined, refusal: undefined };
}

/** Whether this process's user namespace has more than the one id of an unprivileged sandbox. */
export function hasManyUserIds(): boolean {
  const lines = readFileSync('/proc/self/uid_map', 'utf8').trim().split('\n');
  const total = lines.reduce((sum, line) => sum + Number(line.trim().split(/\s+/)[2] ?? 0), 0);
  return total > 1;
}

/** What a container's seccomp profile comes to. */
export interface SeccompDecision {
  readonly hasFilter: boolean;
  /** A sentence for an event, when the request was not honored. */
  readonly deviation: string | undefined;
  /** The container must not be created, with this reason. */
  readonly refusal: string | undefined;
}

/**
 * Decides the seccomp filter of a container: none unless it asks, the runtime's own for
 * RuntimeDefault. A profile that the pod brings along cannot be loaded. Privileged
 * containers have no filter, whatever they ask for.
 */
export function decideSeccomp(
  pod: KubeletPod,
  container: ContainerSpec,
  hasFilters = hasSeccompFilter,
): SeccompDecision {
  const context = container.securityContext;
  const profile = context?.seccompProfile ?? pod.spec.securityContext?.seccompProfile;
  const none = { hasFilter: false, deviation: undefined, refusal: undefined };
  if (context?.privileged === true) return none;
  if (profile?.type === 'Localhost') {
    const refusal = `cannot load seccomp profile "${profile.localhostProfile ?? ''}": the nodes of a sandbox have no profiles`;
    return { ...none, refusal };
  }
  if (profile?.type !== 'RuntimeDefault') return none;
  if (hasFilters) return { ...none, hasFilter: true };
  const deviation = `seccompProfile RuntimeDefault of container ${container.name} is not in force: the system calls of this machine are not known`;
  return { ...none, deviation };
}
