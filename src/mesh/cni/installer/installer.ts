import { readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import type { Logger } from '#base/telemetry/log.js';
import type { EnrollmentSelector } from '../../rules/enrollment.js';
import { writeAtomically } from './atomic-file.js';
import {
  hasPlugin,
  insertPlugin,
  isValidConfig,
  mentionsPlugin,
  type PluginEntry,
  removePlugin,
} from './conflist.js';
import type { PluginFiles } from './plugin-files.js';

export interface InstallerDeps {
  readonly files: PluginFiles;
  /** The node's CNI configuration directory as mounted here. */
  readonly netDir: string;
  /** File to chain to; empty picks the first valid one. */
  readonly confName: string;
  readonly runDir: string;
  readonly entry: PluginEntry;
  readonly log: Logger;
  /** Told of each attempt: undefined when all is in place, else what is wrong. */
  readonly onState: (problem: string | undefined) => void;
  /** Told when an attempt wrote something. */
  readonly onInstall: (result: 'SUCCESS' | 'FAILURE') => void;
}

const checkIntervalMs = 1_000;
/** A configuration that a cluster component keeps rewriting is repaired at most this often. */
const repairPauseMs = 1_000;
/** Access to the API server for upstream's plugin, and ours of earlier versions; nobody needs it any more. */
const kubeconfigName = 'istio-cni-kubeconfig';

/** Builds the plugin's entry. */
export function pluginEntry(o: {
  readonly runDir: string;
  readonly selectors: readonly EnrollmentSelector[];
  readonly excludeNamespaces: readonly string[];
  readonly podNamespace: string;
  readonly detectionRetry: boolean;
  readonly logLevel: string;
}): PluginEntry {
  return {
    type: 'istio-cni',
    name: 'istio-cni',
    plugin_log_level: o.logLevel,
    cni_agent_run_dir: o.runDir,
    ambient_enabled: true,
    enablement_selectors: o.selectors,
    exclude_namespaces: o.excludeNamespaces,
    pod_namespace: o.podNamespace,
    native_nftables: false,
    enable_ambient_detection_retry: o.detectionRetry,
    ipam: {},
    dns: {},
  };
}

/**
 * Keeps the plugin installed and chained after the node's own network plugins: checks
 * every second and repairs what somebody changed, until it is told to stop.
 */
export class Installer {
  readonly #deps: InstallerDeps;
  #isStopped = false;
  /** The pass that is under way, or the last one. */
  #pass: Promise<unknown> = Promise.resolve();

  constructor(deps: InstallerDeps) {
    this.#deps = deps;
  }

  /** Runs until the signal aborts or {@link uninstall} is called. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && !this.#isStopped) {
      let pauseMs = checkIntervalMs;
      try {
        if (await this.ensure()) {
          this.#deps.onInstall('SUCCESS');
          pauseMs = repairPauseMs;
        }
        this.#deps.onState(undefined);
      } catch (error) {
        this.#deps.onInstall('FAILURE');
        const { code, evidence, hint } = error instanceof MeshError ? error : {};
        const parts = [code, messageOf(error), evidence].filter((part) => part !== undefined);
        this.#deps.onState(parts.join(': '));
        this.#deps.log.warn('the CNI plugin is not installed', {
          code,
          error: messageOf(error),
          evidence,
          hint,
        });
      }
      await delay(pauseMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** One pass; true when something had to be written. Throws MESH0707 and file system errors. */
  async ensure(): Promise<boolean> {
    if (this.#isStopped) return false;
    const pass = this.#ensure();
    this.#pass = pass.catch(() => undefined);
    return pass;
  }

  async #ensure(): Promise<boolean> {
    const hasNewFiles = await this.#deps.files.install();
    const hasNewConfig = await this.#writeConfig();
    await this.#removeKubeconfig();
    if (hasNewFiles || hasNewConfig) this.#deps.log.info('CNI plugin installed', { dir: this.#deps.netDir });
    return hasNewFiles || hasNewConfig;
  }

  /** Takes entry and plugin away, in that order; returns what it removed. Ends {@link run}. */
  async uninstall(): Promise<readonly string[]> {
    this.#isStopped = true;
    // A pass under way would put back what is removed here.
    await this.#pass;
    const removed: string[] = [];
    for (const path of await this.#configs()) {
      const text = await readFile(path, 'utf8');
      if (!mentionsPlugin(text)) continue;
      await writeAtomically(path, removePlugin(text));
      removed.push(`istio-cni in ${path}`);
    }
    removed.push(...(await this.#removeKubeconfig()));
    removed.push(...(await this.#deps.files.uninstall()));
    return removed;
  }

  /** What of the plugin is on the node, in words. */
  async leftovers(): Promise<readonly string[]> {
    const found: string[] = [];
    for (const path of await this.#configs()) {
      if (mentionsPlugin(await readFile(path, 'utf8'))) found.push(`istio-cni in ${path}`);
    }
    return [...found, ...(await this.#deps.files.present())];
  }

  async #removeKubeconfig(): Promise<readonly string[]> {
    const path = join(this.#deps.runDir, kubeconfigName);
    if ((await stat(path).catch(() => undefined)) === undefined) return [];
    await rm(path, { force: true });
    return [path];
  }

  async #writeConfig(): Promise<boolean> {
    const path = await this.#primary();
    const text = await readFile(path, 'utf8');
    if (path.endsWith('.conflist') && hasPlugin(text, this.#deps.entry)) return false;
    const next = insertPlugin(text, this.#deps.entry);
    if (path.endsWith('.conflist')) {
      await writeAtomically(path, next);
      return true;
    }
    // A list must have the list's extension; the old file goes, or runtimes might take it first.
    const mode = (await stat(path)).mode & 0o7777;
    await writeAtomically(path, next, { mode });
    await rename(path, `${path.slice(0, -'.conf'.length)}.conflist`);
    return true;
  }

  async #primary(): Promise<string> {
    const { confName, netDir } = this.#deps;
    const candidates =
      confName === '' ? await this.#configs() : conflistFirst(confName).map((name) => join(netDir, name));
    for (const path of candidates) {
      const text = await readFile(path, 'utf8').catch(() => undefined);
      if (text !== undefined && isValidConfig(text)) return path;
    }
    throw new Error(`no valid CNI configuration in ${netDir} yet`);
  }

  /** Configurations in the order in which runtimes look at them. */
  async #configs(): Promise<readonly string[]> {
    const names = await readdir(this.#deps.netDir).catch(() => []);
    return names
      .filter((name) => !name.startsWith('.') && /\.(conf|conflist)$/.test(name))
      .sort()
      .map((name) => join(this.#deps.netDir, name));
  }
}

/** A named `.conf` may already have been turned into a `.conflist` by us. */
function conflistFirst(name: string): readonly string[] {
  return name.endsWith('.conf') ? [`${name}list`, name] : [name];
}
