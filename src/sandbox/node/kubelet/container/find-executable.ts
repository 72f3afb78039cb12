import { constants } from 'node:fs';
import { access, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { resolveInside } from '../../host/path-inside.js';
import type { RunningContainer } from '../../runtime/container.js';

/** A command that is not in the container; the message is that of container runtimes. */
export class ExecutableMissingError extends Error {
  override readonly name = 'ExecutableMissingError';
}

const searchPathDefault = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * Looks a command up as the container will, volumes included, before anything is
 * started: what starts it would report it in words of its own. Throws
 * {@link ExecutableMissingError}.
 */
export async function requireExecutable(container: RunningContainer, command: string): Promise<void> {
  const pid = container.initPid;
  if (pid === undefined) return; // whoever runs the command says that the container does not run
  const root = `/proc/${pid}/root`;
  const workingDir = await readlink(`/proc/${pid}/cwd`).catch(() => '/');
  const folders = command.includes('/')
    ? [command.startsWith('/') ? '/' : workingDir]
    : (container.config.env['PATH'] ?? searchPathDefault).split(':').filter((path) => path.startsWith('/'));
  let isThere = false;
  for (const folder of folders) {
    const path = await resolveInside(root, join(folder, command)).catch(() => undefined);
    if (path === undefined) continue;
    if (await canAccess(join(root, path), constants.X_OK)) return;
    isThere ||= await canAccess(join(root, path), constants.F_OK);
  }
  const reason = isThere
    ? 'permission denied'
    : command.includes('/')
      ? `stat ${command}: no such file or directory`
      : 'executable file not found in $PATH';
  throw new ExecutableMissingError(
    `failed to exec in container: OCI runtime exec failed: exec failed: unable to start container process: exec: "${command}": ${reason}: unknown`,
  );
}

function canAccess(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  );
}
