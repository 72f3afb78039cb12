import { constants } from 'node:fs';
import { chmod, copyFile, link, mkdir, readFile, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceAtomically, writeAtomically } from './atomic-file.js';

export interface PluginFilesOptions {
  /** The node's CNI binary directory as mounted here. */
  readonly binDir: string;
  /** The plugin's single-file bundle. */
  readonly pluginSource: string;
  /** The interpreter to bring along: nodes have none. */
  readonly nodeBinary: string;
}

const launcherName = 'istio-cni';
const hiddenDir = '.istio-cni';
const executable = 0o755;
const modeMask = 0o777;
/** Copies keep times to the millisecond at best. */
const mtimeToleranceMs = 2;

/** Starts the bundle with the interpreter beside it, without any further process. */
const launcher = `#!/bin/sh
here=\${0%/*}/${hiddenDir}
exec "$here/node" --no-warnings "$here/plugin.cjs" "$@"
`;

/** Puts the plugin on the node, and takes it away. */
export class PluginFiles {
  readonly #options: PluginFilesOptions;

  constructor(options: PluginFilesOptions) {
    this.#options = options;
  }

  /** Brings the files up to date; the launcher last, so that it never points at nothing. True when it wrote. */
  async install(): Promise<boolean> {
    const { pluginSource, nodeBinary } = this.#options;
    await mkdir(this.#path(hiddenDir), { recursive: true, mode: executable });
    const hasNewNode = await this.#place(nodeBinary, join(hiddenDir, 'node'));
    const hasNewBundle = await this.#place(pluginSource, join(hiddenDir, 'plugin.cjs'));
    const path = this.#path(launcherName);
    const isCurrent = (await readFile(path, 'utf8').catch(() => '')) === launcher;
    const mode = (await stat(path).catch(() => undefined))?.mode ?? 0;
    const hasNewLauncher = !isCurrent || (mode & modeMask) !== executable;
    if (hasNewLauncher) await writeAtomically(path, launcher, { mode: executable });
    return hasNewNode || hasNewBundle || hasNewLauncher;
  }

  /** Removes the files; returns what it removed. The launcher goes first. */
  async uninstall(): Promise<readonly string[]> {
    const removed: string[] = [];
    for (const name of [launcherName, hiddenDir]) {
      const path = this.#path(name);
      if ((await stat(path).catch(() => undefined)) === undefined) continue;
      await rm(path, { recursive: true, force: true });
      removed.push(path);
    }
    return removed;
  }

  /** Files that are there, for the report of what is left. */
  async present(): Promise<readonly string[]> {
    const paths = [this.#path(launcherName), this.#path(hiddenDir)];
    const found = await Promise.all(paths.map((path) => stat(path).catch(() => undefined)));
    return paths.filter((_, i) => found[i] !== undefined);
  }

  #path(name: string): string {
    return join(this.#options.binDir, name);
  }

  /** Links, clones or copies a file, unless one of the same size and time is there. */
  async #place(source: string, name: string): Promise<boolean> {
    const target = this.#path(name);
    const wanted = await stat(source);
    const have = await stat(target).catch(() => undefined);
    const isSame =
      have !== undefined &&
      have.size === wanted.size &&
      Math.abs(have.mtimeMs - wanted.mtimeMs) <= mtimeToleranceMs &&
      (have.mode & 0o555) === 0o555;
    if (isSame) return false;
    await replaceAtomically(target, async (temporary) => {
      // A link costs nothing; it is refused across file systems and mounts. A source that is not
      // executable would have its own mode changed by a link.
      const canLink = (wanted.mode & 0o555) === 0o555;
      if (canLink && (await succeeds(link(source, temporary)))) return;
      await copyFile(source, temporary, constants.COPYFILE_FICLONE);
      await chmod(temporary, executable);
      await utimes(temporary, wanted.atime, wanted.mtime);
    });
    return true;
  }
}

async function succeeds(attempt: Promise<void>): Promise<boolean> {
  try {
    await attempt;
    return true;
  } catch {
    return false;
  }
}
