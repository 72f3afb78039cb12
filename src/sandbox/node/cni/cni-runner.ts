import { readFile, rm, writeFile } from 'node:fs/promises';
import { makeFolder } from '../host/make-folder.js';
import type { NodeHost } from '../host/node-host.js';
import { type CniConfigList, type CniPluginConfig, loadCniConfig } from './config.js';

const configFolder = '/etc/cni/net.d';
const pluginFolder = '/opt/cni/bin';
/** Where results of ADD are kept for CHECK and DEL (CNI specification, section 4). */
const cacheFolder = '/var/lib/cni/results';
/** A plugin that has not answered by then has failed; kubelet's runtime request timeout is 2 minutes. */
const pluginTimeoutMs = 60_000;

/** The pod attachment a plugin is called for. */
export interface CniAttachment {
  /** Id of the pod sandbox. */
  readonly containerId: string;
  /** Path of the pod's network namespace, on the node. */
  readonly netns: string;
  readonly podNamespace: string;
  readonly podName: string;
  readonly podUid: string;
}

/** The result of ADD, as far as a kubelet reads it. */
export interface CniResult {
  readonly cniVersion?: string;
  readonly ips?: readonly { readonly address: string; readonly gateway?: string }[];
  readonly [key: string]: unknown;
}

type CniCommand = 'ADD' | 'DEL' | 'CHECK';

/** A plugin refused or could not be run. */
export class CniPluginError extends Error {
  override readonly name = 'CniPluginError';
  readonly plugin: string;

  constructor(plugin: string, message: string) {
    super(`plugin type="${plugin}" failed: ${message}`);
    this.plugin = plugin;
  }
}

interface CacheEntry {
  readonly config: CniConfigList;
  readonly result: CniResult;
}

/**
 * Runs the node's CNI plugins inside the node's namespaces, as a container runtime
 * does: ADD along the chain with each result handed on, CHECK along the chain, DEL
 * backwards with the configuration ADD used.
 */
export class CniRunner {
  readonly #host: NodeHost;

  constructor(host: NodeHost) {
    this.#host = host;
  }

  /** The configuration that the next ADD would use; throws when the node has none. */
  config(): Promise<CniConfigList> {
    return loadCniConfig(this.#host.path(configFolder));
  }

  /** Attaches a pod. On failure what was done is undone, and the error names the plugin. */
  async add(attachment: CniAttachment): Promise<CniResult> {
    const config = await this.config();
    let result: CniResult | undefined;
    try {
      for (const plugin of config.plugins) {
        const answer = await this.#call('ADD', plugin, { config, attachment, prevResult: result });
        result = parseResult(plugin.type, answer);
      }
      if (result === undefined) throw new CniPluginError('none', 'the chain is empty');
      await this.#writeCache(attachment, { config, result });
      return result;
    } catch (error) {
      await this.#delete(config, attachment, undefined).catch(() => undefined); // the ADD error is the one to report
      throw error;
    }
  }

  /** Verifies an attachment; rejects with the plugin's complaint. */
  async check(attachment: CniAttachment): Promise<void> {
    const cached = await this.#readCache(attachment);
    if (cached === undefined)
      throw new CniPluginError('none', `no attachment of ${attachment.containerId} is recorded`);
    if (cached.config.disableCheck) return;
    for (const plugin of cached.config.plugins) {
      await this.#call('CHECK', plugin, { config: cached.config, attachment, prevResult: cached.result });
    }
  }

  /** Detaches a pod; an unknown attachment is a success, as the specification wants. */
  async delete(attachment: CniAttachment): Promise<void> {
    const cached = await this.#readCache(attachment);
    const config = cached?.config ?? (await this.config().catch(() => undefined));
    if (config === undefined) return;
    await this.#delete(config, attachment, cached?.result);
    await rm(this.#cachePath(attachment), { force: true });
  }

  async #delete(
    config: CniConfigList,
    attachment: CniAttachment,
    prevResult: CniResult | undefined,
  ): Promise<void> {
    let failure: unknown;
    for (const plugin of config.plugins.toReversed()) {
      // Later plugins still get their chance, or an address would be lost to one broken plugin.
      await this.#call('DEL', plugin, { config, attachment, prevResult }).catch((error: unknown) => {
        failure ??= error;
      });
    }
    if (failure !== undefined) throw failure;
  }

  async #call(
    command: CniCommand,
    plugin: CniPluginConfig,
    {
      config,
      attachment,
      prevResult,
    }: { config: CniConfigList; attachment: CniAttachment; prevResult: CniResult | undefined },
  ): Promise<string> {
    const stdin = JSON.stringify({
      ...plugin,
      name: config.name,
      cniVersion: config.cniVersion,
      ...(prevResult === undefined ? {} : { prevResult }),
    });
    const answer = await this.#host.run([`${pluginFolder}/${plugin.type}`], {
      input: stdin,
      timeoutMs: pluginTimeoutMs,
      env: {
        PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
        CNI_COMMAND: command,
        CNI_CONTAINERID: attachment.containerId,
        CNI_NETNS: attachment.netns,
        CNI_IFNAME: 'eth0',
        CNI_PATH: pluginFolder,
        CNI_ARGS: [
          'IgnoreUnknown=1',
          `K8S_POD_NAMESPACE=${attachment.podNamespace}`,
          `K8S_POD_NAME=${attachment.podName}`,
          `K8S_POD_INFRA_CONTAINER_ID=${attachment.containerId}`,
          `K8S_POD_UID=${attachment.podUid}`,
        ].join(';'),
      },
    });
    if (answer.exitCode !== 0) throw new CniPluginError(plugin.type, errorText(answer));
    return answer.stdout;
  }

  #cachePath(attachment: CniAttachment): string {
    return this.#host.path(`${cacheFolder}/${attachment.containerId}.json`);
  }

  async #writeCache(attachment: CniAttachment, entry: CacheEntry): Promise<void> {
    await makeFolder(this.#host.path(cacheFolder));
    await writeFile(this.#cachePath(attachment), JSON.stringify(entry));
  }

  async #readCache(attachment: CniAttachment): Promise<CacheEntry | undefined> {
    try {
      // Written by #writeCache in this very shape.
      return JSON.parse(await readFile(this.#cachePath(attachment), 'utf8')) as CacheEntry;
    } catch {
      return undefined; // absent: never added, or already deleted
    }
  }
}

/** The `msg` of a CNI error object, or whatever the plugin printed. */
function errorText(answer: { stdout: string; stderr: string; exitCode: number }): string {
  try {
    const error = JSON.parse(answer.stdout) as { msg?: unknown; details?: unknown };
    const parts = [error.msg, error.details].filter((p) => typeof p === 'string' && p !== '');
    if (parts.length > 0) return parts.join('; ');
  } catch {
    // Not a CNI error object: fall through to the raw output.
  }
  const raw = (answer.stderr.trim() || answer.stdout.trim()).slice(0, 1024);
  return raw === '' ? `exit status ${answer.exitCode}` : raw;
}

function parseResult(plugin: string, text: string): CniResult {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as CniResult;
  } catch {
    // Reported below: the text is what matters.
  }
  throw new CniPluginError(plugin, `its result is not a JSON object: ${text.slice(0, 256)}`);
}
