import { kernelFileSystems, readOnly } from '../host/bwrap-flags.js';
import { meshctlFolder } from '../host/node-host.js';
import type { ContainerImage } from '../image/image.js';
import { helperCommand, helperFolder, separateLoaderVariables } from './helper-programs.js';
import { defaultSeccompFilter } from './seccomp-filter.js';
import { setuidStart, throughShell } from './setuid-start.js';
import { leadSession } from './terminal-stream.js';

/** One mount of a volume into a container; `source` is a path on the node. */
export interface ContainerMount {
  readonly source: string;
  readonly target: string;
  readonly isReadOnly: boolean;
}

/** Everything needed to start one container, decided by the kubelet. Paths are the node's. */
export interface ContainerConfig {
  readonly id: string;
  readonly image: ContainerImage;
  /** Folder on the node that becomes `/`. */
  readonly rootfs: string;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly workingDir: string;
  readonly hasTerminal: boolean;
  /** Paths on the node of the namespaces it joins; the node's own where absent. */
  readonly namespaces: {
    readonly net?: string | undefined;
    readonly ipc?: string | undefined;
    readonly uts?: string | undefined;
  };
  /**
   * 'own': it is pid 1 of a namespace of its own; 'node': the node's (hostPID); a number: that of
   * a process, as the supervisor sees it (shareProcessNamespace, kubectl debug --target).
   */
  readonly pidNamespace: 'own' | 'node' | number;
  readonly isRootfsReadOnly: boolean;
  readonly isPrivileged: boolean;
  /** False: no program it runs may gain rights (allowPrivilegeEscalation). */
  readonly mayGainPrivileges: boolean;
  readonly capabilities: 'all' | readonly string[];
  /** Whether system calls that reach the machine are refused it (seccompProfile RuntimeDefault). */
  readonly hasSeccompFilter: boolean;
  /** Numeric ids to switch to before the command; undefined stays root. */
  readonly user:
    | { readonly uid: number; readonly gid: number; readonly groups: readonly number[] }
    | undefined;
  readonly mounts: readonly ContainerMount[];
}

export interface StartCommand {
  /** What to run in the node's namespaces. */
  readonly line: readonly string[];
  /** Variables of what is run. */
  readonly env: Readonly<Record<string, string>>;
  /** bubblewrap's, to be handed over as {@link optionsFd}: variables hold secrets, and everybody can read command lines. */
  readonly options: readonly string[];
  /** To be handed over as {@link seccompFd}; absent: no filter. */
  readonly seccompFilter: Buffer | undefined;
}

/** Where bubblewrap reads its options. */
export const optionsFd = 3;
/** Where bubblewrap reads a seccomp filter. */
export const seccompFd = 4;

/** bubblewrap looks itself up in /proc, which must be that of the pid namespace it has been put into. */
const ownProc = ['unshare', '--mount-proc', '--propagation', 'slave'];

/**
 * How a container is started. The command becomes pid 1 of its own pid namespace, exactly
 * as under a container runtime: it must reap its children and gets no default signal handlers.
 */
export function startCommand(c: ContainerConfig): StartCommand {
  return honorsSetuid(c) ? commandWithSetuid(c) : bwrapCommand(c);
}

/**
 * Only for a user other than root is there something to gain. The images of the product have no
 * setuid programs; a filter and a process namespace of others need bubblewrap to the end.
 */
function honorsSetuid(c: ContainerConfig): boolean {
  const isOrdinaryUser = c.user !== undefined && c.user.uid !== 0;
  const isOwn = c.pidNamespace === 'own' && c.image.rootfs.kind === 'folder';
  return isOrdinaryUser && isOwn && c.mayGainPrivileges && !c.hasSeccompFilter;
}

function commandWithSetuid(c: ContainerConfig): StartCommand {
  const { env, options } = throughShell(c.env);
  const setter = helperCommand('env', `--chdir=${c.workingDir}`, ...options);
  const helpers = [...(c.hasTerminal ? leadSession : []), ...dropPrivileges(c)];
  const { env: plain, command } = withHelpers(env, helpers, [...setter, ...c.command]);
  const line = setuidStart({ id: c.id, isRootReadOnly: c.isRootfsReadOnly, command });
  return { line, env: plain, options: ['--die-with-parent', ...fileSystem(c)], seccompFilter: undefined };
}

function bwrapCommand(c: ContainerConfig): StartCommand {
  const options = ['--die-with-parent'];
  if (c.pidNamespace === 'own') options.push('--unshare-pid', '--as-pid-1');
  options.push(...fileSystem(c));
  if (c.capabilities !== 'all') {
    options.push('--cap-drop', 'ALL');
    for (const capability of effectiveCapabilities(c)) options.push('--cap-add', capability);
  }
  if (c.hasSeccompFilter) options.push('--seccomp', String(seccompFd));
  options.push('--chdir', c.workingDir, '--clearenv');
  // bubblewrap has already set the capabilities of a root container.
  const privileges = c.user === undefined ? [] : dropPrivileges(c);
  const helpers = [...(c.hasTerminal ? leadSession : []), ...privileges];
  const { env, command } = withHelpers(c.env, helpers, c.command);
  for (const [name, value] of Object.entries(env)) options.push('--setenv', name, value);
  const bwrap = ['bwrap', '--args', String(optionsFd), '--', ...command];
  return {
    line: [...(typeof c.pidNamespace === 'number' ? ownProc : []), ...bwrap],
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    options,
    seccompFilter: c.hasSeccompFilter ? defaultSeccompFilter(c.capabilities) : undefined,
  };
}

/** bubblewrap's options for what a container sees. */
function fileSystem(c: ContainerConfig): string[] {
  const args = ['--bind', c.rootfs, '/', ...c.image.mountArgs, ...kernelFileSystems];
  args.push(...readOnly(`${meshctlFolder}/images/helpers`, helperFolder));
  for (const mount of sortedMounts(c.mounts))
    args.push(mount.isReadOnly ? '--ro-bind' : '--bind', mount.source, mount.target);
  if (c.isRootfsReadOnly) args.push('--remount-ro', '/');
  return args;
}

/**
 * A command with helpers before it. Variables of the dynamic loader are set by the
 * last helper, for the container's program alone.
 */
export function withHelpers(
  env: Readonly<Record<string, string>>,
  helpers: readonly string[],
  command: readonly string[],
): { env: Readonly<Record<string, string>>; command: string[] } {
  if (helpers.length === 0) return { env, command: [...command] };
  const { env: plain, assignments } = separateLoaderVariables(env);
  const setter = assignments.length === 0 ? [] : helperCommand('env', ...assignments);
  return { env: plain, command: [...helpers, ...setter, ...command] };
}

/** A mount inside another must come after it. */
function sortedMounts(mounts: readonly ContainerMount[]): ContainerMount[] {
  const depth = (path: string): number => path.split('/').filter(Boolean).length;
  return [...mounts].sort((a, b) => depth(a.target) - depth(b.target));
}

/** Changing user needs these until it is done; setpriv then drops what the user may not have. */
function effectiveCapabilities(c: ContainerConfig): readonly string[] {
  if (c.capabilities === 'all' || c.user === undefined) return c.capabilities === 'all' ? [] : c.capabilities;
  return [...new Set([...c.capabilities, 'CAP_SETUID', 'CAP_SETGID', 'CAP_SETPCAP'])];
}

/**
 * The command prefix, run inside the container, that takes on its user and leaves it
 * no more capabilities than it may ever have.
 */
export function dropPrivileges(c: ContainerConfig): string[] {
  const args: string[] = [];
  if (c.user !== undefined) {
    const { uid, gid, groups } = c.user;
    args.push('--reuid', String(uid), '--regid', String(gid));
    args.push(...(groups.length === 0 ? ['--clear-groups'] : ['--groups', groups.join(',')]));
    args.push('--inh-caps', '-all');
  }
  if (c.capabilities !== 'all') {
    const kept = c.capabilities.map((name) => `+${name.slice(4).toLowerCase()}`);
    args.push('--bounding-set', ['-all', ...kept].join(','));
  }
  if (!c.mayGainPrivileges) args.push('--no-new-privs');
  return args.length === 0 ? [] : helperCommand('setpriv', ...args, '--');
}
