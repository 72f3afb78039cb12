import { helperCommand } from './helper-programs.js';

/**
 * bubblewrap lets nothing gain privileges that it starts (no_new_privs, nosuid). So here it only
 * makes the file system, for a placeholder, and this shell, which it did not start, becomes the
 * container's program: it is the first process of a new pid namespace, enters that file system
 * and hands over.
 *
 * Arguments: pipe to be made, then those of {@link insideScript}. The placeholder fills the pipe,
 * which says that the file system is complete, and waits there to be killed. An open file keeps
 * its mount namespace: mounting that somewhere fails now and then (kernels compare ids of
 * namespaces, which processors give out in batches).
 */
const script = `set -e
_mc_path=$PATH; PATH=/usr/sbin:/usr/bin:/sbin:/bin
_mc_pipe=$1; shift
mount -t proc -o nosuid,nodev,noexec proc /proc
mkfifo "$_mc_pipe"
bwrap --args 3 -- ${helperCommand('yes').join(' ')} >"$_mc_pipe" &
exec 5<"$_mc_pipe"
rm "$_mc_pipe"
read -r _mc_ready <&5 || { wait $! || exit $?; }
read -r _mc_pid _mc_rest </proc/$!/task/$!/children || test -n "$_mc_pid"
exec 4<"/proc/$_mc_pid/ns/mnt"
kill -9 "$_mc_pid"
wait || :
exec 3<&- 5<&-
_mc_enter=$(command -v nsenter)
PATH=$_mc_path
exec "$_mc_enter" --mount=/proc/self/fd/4 -- "$@"`;

/** Arguments: mount options of the root, then the command. Lets setuid programs count. */
const insideScript = `${helperCommand('mount').join(' ')} -i -n -o "$1" / || exit $?; shift; exec 4<&-; exec "$@"`;

/** Waits for it, and gives its end the exit code that shells give; what a shell says of a signal interests nobody. */
const keeper = `exec 6>&2 2>/dev/null; (exec sh -c "$@" 2>&6 6>&-); exit $?`;

/** Variables that shells set themselves, or that change what a shell does. */
const shellNames =
  /^(?:BASH.*|DIRSTACK|ENV|EUID|GROUPS|HISTCMD|IFS|LINENO|MAIL.*|OLDPWD|OPTARG|OPTIND|POSIXLY_CORRECT|PPID|PS[0-4]|PWD|RANDOM|SECONDS|SHELLOPTS|SHLVL|UID|_|_mc_.*)$/;
const unasked = ['OLDPWD', 'PWD', 'SHLVL', '_'];

/**
 * Splits variables into those that pass through a shell unchanged, and the options of `env`
 * that bring about the others.
 */
export function throughShell(env: Readonly<Record<string, string>>): {
  env: Record<string, string>;
  options: string[];
} {
  const plain: Record<string, string> = {};
  const options = unasked.filter((name) => !(name in env)).flatMap((name) => ['-u', name]);
  for (const [name, value] of Object.entries(env)) {
    if (/^[A-Za-z_]\w*$/.test(name) && !shellNames.test(name)) plain[name] = value;
    else options.push(`${name}=${value}`);
  }
  return { env: plain, options };
}

/** The command line that starts a container in which setuid programs give rights; bubblewrap's options go to fd 3. */
export function setuidStart(o: {
  readonly id: string;
  readonly isRootReadOnly: boolean;
  readonly command: readonly string[];
}): string[] {
  const namespaces = ['unshare', '--pid', '--mount', '--propagation', 'slave'];
  const options = `remount,bind,suid,nodev${o.isRootReadOnly ? ',ro' : ''}`;
  const inside = helperCommand('sh', '-c', insideScript, 'sh', options, ...o.command);
  return [...namespaces, 'sh', '-c', keeper, 'sh', script, 'sh', `/run/kubelet/start-${o.id}`, ...inside];
}
