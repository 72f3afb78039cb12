import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { chmod, copyFile, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MeshError } from '#base/errors/mesh-error.js';
import { run } from '#base/system/run.js';
import { replaceAtomically, writeAtomically } from './atomic-file.js';
import { pluginScript, type PluginScriptSettings } from './plugin-script.js';

export interface PluginFilesOptions extends Omit<PluginScriptSettings, 'busybox'> {
  /** The node's CNI binary directory as mounted here, and as it is called on the node. */
  readonly binDir: string;
  readonly hostBinDir: string;
  /** The node's root as this process reaches it. */
  readonly hostRoot: string;
  /** The plugin's template. */
  readonly template: string;
  /** A busybox that runs on any Linux node: statically linked. The first that is there is taken. */
  readonly busyboxes: readonly string[];
}

const pluginName = 'istio-cni';
const hiddenDir = '.istio-cni';
const candidateName = 'candidate';
const executable = 0o755;
const modeMask = 0o777;
const trialTimeoutMs = 5_000;
/** Any but the plugin's default. */
const trialVersion = '0.4.0';

interface BusyboxSource {
  readonly path: string;
  readonly sizeBytes: number;
  /** Of its content. */
  readonly hash: string;
}

/**
 * Puts the plugin on the node, and takes it away: a shell script and the busybox that runs it. A plugin that the
 * node cannot run would keep every pod from starting, so each is tried in the node's own root before it gets its name.
 */
export class PluginFiles {
  readonly #o: PluginFilesOptions;
  #found: BusyboxSource | undefined;

  constructor(options: PluginFilesOptions) {
    this.#o = options;
  }

  /** Brings the files up to date. True when it wrote. Throws MESH0708, and MESH0711 when the plugin does not run. */
  async install(): Promise<boolean> {
    const source = await this.#source();
    const busybox = `busybox-${source.hash}`;
    await mkdir(this.#path(hiddenDir), { recursive: true, mode: executable });
    const hasNewBusybox = await this.#placeBusybox(source, join(hiddenDir, busybox));
    const text = pluginScript(await readFile(this.#o.template, 'utf8'), {
      ...this.#o,
      busybox: join(this.#o.hostBinDir, hiddenDir, busybox),
    });
    const target = this.#path(pluginName);
    const mode = (await stat(target).catch(() => undefined))?.mode ?? 0;
    const have = await readFile(target, 'utf8').catch(() => undefined);
    if (!hasNewBusybox && have === text && (mode & modeMask) === executable) return false;
    const candidate = join(hiddenDir, candidateName);
    await writeAtomically(this.#path(candidate), text, { mode: executable });
    await this.#try(candidate);
    await rename(this.#path(candidate), target);
    // What an earlier version put there.
    for (const name of await readdir(this.#path(hiddenDir)))
      if (name !== busybox) await rm(this.#path(join(hiddenDir, name)), { recursive: true, force: true });
    return true;
  }

  /** Removes the files; returns what it removed. The plugin goes before what it needs. */
  async uninstall(): Promise<readonly string[]> {
    const removed: string[] = [];
    for (const name of [pluginName, hiddenDir]) {
      const path = this.#path(name);
      if ((await stat(path).catch(() => undefined)) === undefined) continue;
      await rm(path, { recursive: true, force: true });
      removed.push(path);
    }
    return removed;
  }

  /** Files that are there, for the report of what is left. */
  async present(): Promise<readonly string[]> {
    const paths = [this.#path(pluginName), this.#path(hiddenDir)];
    const found = await Promise.all(paths.map((path) => stat(path).catch(() => undefined)));
    return paths.filter((_, i) => found[i] !== undefined);
  }

  /** Runs a plugin as a container runtime does: in the root of the node, with nothing of this container. */
  async #try(name: string): Promise<void> {
    const path = join(this.#o.hostBinDir, name);
    const result = await run('chroot', [this.#o.hostRoot, path], {
      input: `{"cniVersion":"${trialVersion}"}`,
      env: { CNI_COMMAND: 'VERSION' },
      timeoutMs: trialTimeoutMs,
    });
    // It takes the busybox to find the version: a shell of the node that took the script over would not.
    if (result.exitCode === 0 && result.stdout.startsWith(`{"cniVersion":"${trialVersion}"`)) return;
    const isRefused = /^chroot: .*(not permitted|denied)/.test(result.stderr);
    throw new MeshError('MESH0711', `the CNI plugin does not run on this node (${path})`, {
      evidence:
        `exit code ${result.exitCode}: ${(result.stderr.trim() || result.stdout.trim()).slice(0, 500)}`.trim(),
      ...(isRefused
        ? { hint: `The agent needs SYS_CHROOT and SYS_PTRACE to try it in ${this.#o.hostRoot}.` }
        : {}),
    });
  }

  async #source(): Promise<BusyboxSource> {
    if (this.#found !== undefined) return this.#found;
    for (const path of this.#o.busyboxes) {
      const content = await readFile(path).catch(() => undefined);
      if (content === undefined) continue;
      const hash = createHash('sha256').update(content).digest('hex').slice(0, 12);
      this.#found = { path, hash, sizeBytes: content.length };
      return this.#found;
    }
    throw new MeshError('MESH0711', 'there is no busybox to run the CNI plugin with', {
      evidence: `looked for ${this.#o.busyboxes.join(', ')}`,
      hint: 'Install a statically linked one (Debian package busybox-static) where the agent runs.',
    });
  }

  /** Copies the busybox, unless it is there: its name tells its content, its size a copy that was cut off. */
  async #placeBusybox(source: BusyboxSource, name: string): Promise<boolean> {
    const target = this.#path(name);
    const have = await stat(target).catch(() => undefined);
    if (have?.size === source.sizeBytes && (have.mode & modeMask) === executable) return false;
    await replaceAtomically(target, async (temporary) => {
      await copyFile(source.path, temporary, constants.COPYFILE_FICLONE);
      await chmod(temporary, executable);
    });
    return true;
  }

  #path(name: string): string {
    return join(this.#o.binDir, name);
  }
}
