import type { NodeHost } from '../host/node-host.js';
import { runtimeConfigOf } from './capabilities.js';
import { type CniConfigList, type CniPluginConfig, isVersionAtLeast, loadCniConfig } from './config.js';
import { callPlugin, type CniCommand, CniPluginError } from './plugin-call.js';
import { type CachedAttachment, ResultCache } from './result-cache.js';
import type { CniAttachment, CniResult } from './attachment.js';

const configFolder = '/etc/cni/net.d';
const interfaceName = 'eth0';

/** What a plugin is called with. */
interface Call {
  readonly config: CniConfigList;
  readonly attachment: CniAttachment;
  readonly prevResult: CniResult | undefined;
}

/**
 * Runs the node's CNI plugins inside the node's namespaces, as a container runtime
 * does: ADD along the chain with each result handed on, CHECK along the chain, DEL
 * backwards with the configuration ADD used; from version 1.1 on also GC and STATUS.
 */
export class CniRunner {
  readonly #host: NodeHost;
  readonly #cache: ResultCache;

  constructor(host: NodeHost) {
    this.#host = host;
    this.#cache = new ResultCache(host);
  }

  /** The configuration that the next ADD would use; throws when the node has none. */
  config(): Promise<CniConfigList> {
    return loadCniConfig(this.#host.path(configFolder));
  }

  /**
   * Whether pods could be attached now: there is a configuration, and every plugin of it
   * says so if it can be asked. Rejects with the reason.
   */
  async status(): Promise<void> {
    const config = await this.config();
    if (!isVersionAtLeast(config.cniVersion, '1.1.0')) return;
    for (const plugin of config.plugins) {
      await this.#run('STATUS', plugin, { config, extra: {}, env: {} });
    }
  }

  /**
   * Detaches what is recorded and not in `valid` (ids of pod sandboxes), then lets the
   * plugins clean up after the rest. Plugins that fail do not keep others from their part.
   */
  async collectGarbage(valid: ReadonlySet<string>): Promise<void> {
    const failures: unknown[] = [];
    const note = (error: unknown): void => {
      failures.push(error);
    };
    for (const { attachment } of await this.#cache.list())
      if (!valid.has(attachment.containerId)) await this.delete(attachment).catch(note);
    const config = await this.config().catch(() => undefined);
    if (config !== undefined && !config.disableGC && isVersionAtLeast(config.cniVersion, '1.1.0')) {
      const attachments = [...valid].map((containerID) => ({ containerID, ifname: interfaceName }));
      const extra = { 'cni.dev/valid-attachments': attachments };
      for (const plugin of config.plugins)
        await this.#run('GC', plugin, { config, extra, env: {} }).catch(note);
    }
    if (failures.length > 0) throw failures[0];
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
      if (result === undefined) throw new CniPluginError('none', 'ADD', 'the chain is empty');
      await this.#cache.write({ attachment, config, result });
      return result;
    } catch (error) {
      await this.#delete({ config, attachment, prevResult: undefined }).catch(() => undefined); // the ADD error is the one to report
      throw error;
    }
  }

  /** Verifies an attachment; rejects with the plugin's complaint. */
  async check(attachment: CniAttachment): Promise<void> {
    const cached = await this.#cache.read(attachment.containerId);
    if (cached === undefined)
      throw new CniPluginError('none', 'CHECK', `no attachment of ${attachment.containerId} is recorded`);
    const { config, result } = cached;
    // CHECK came with version 0.4.
    if (config.disableCheck || !isVersionAtLeast(config.cniVersion, '0.4.0')) return;
    for (const plugin of config.plugins)
      await this.#call('CHECK', plugin, { config, attachment: cached.attachment, prevResult: result });
  }

  /** Detaches a pod; an unknown attachment is a success, as the specification wants. */
  async delete(attachment: CniAttachment): Promise<void> {
    const cached = await this.#cache.read(attachment.containerId);
    const config = cached?.config ?? (await this.config().catch(() => undefined));
    if (config === undefined) return;
    await this.#delete({ config, attachment: detached(attachment, cached), prevResult: cached?.result });
    await this.#cache.remove(attachment.containerId);
  }

  async #delete(call: Call): Promise<void> {
    let failure: unknown;
    for (const plugin of call.config.plugins.toReversed()) {
      // Later plugins still get their chance, or an address would be lost to one broken plugin.
      await this.#call('DEL', plugin, call).catch((error: unknown) => {
        failure ??= error;
      });
    }
    if (failure !== undefined) throw failure;
  }

  #call(command: CniCommand, plugin: CniPluginConfig, call: Call): Promise<string> {
    const { config, attachment, prevResult } = call;
    const runtimeConfig = runtimeConfigOf(plugin, attachment.capabilityArgs ?? {});
    return this.#run(command, plugin, {
      config,
      extra: {
        ...(runtimeConfig === undefined ? {} : { runtimeConfig }),
        ...(prevResult === undefined ? {} : { prevResult }),
      },
      env: {
        CNI_CONTAINERID: attachment.containerId,
        CNI_NETNS: attachment.netns,
        CNI_IFNAME: interfaceName,
        CNI_ARGS: [
          'IgnoreUnknown=1',
          `K8S_POD_NAMESPACE=${attachment.podNamespace}`,
          `K8S_POD_NAME=${attachment.podName}`,
          `K8S_POD_INFRA_CONTAINER_ID=${attachment.containerId}`,
          `K8S_POD_UID=${attachment.podUid}`,
        ].join(';'),
      },
    });
  }

  #run(
    command: CniCommand,
    plugin: CniPluginConfig,
    o: {
      readonly config: CniConfigList;
      readonly extra: Readonly<Record<string, unknown>>;
      readonly env: Readonly<Record<string, string>>;
    },
  ): Promise<string> {
    // Capabilities are between the configuration and the runtime; the plugin sees what came of them.
    const { capabilities: _, ...own } = plugin;
    const { name, cniVersion } = o.config;
    const config = { ...own, name, cniVersion, ...o.extra };
    return callPlugin(this.#host, { command, plugin: plugin.type, config, env: o.env });
  }
}

/** What ADD was told counts for DEL as well, whatever the pod's object says by now. */
function detached(attachment: CniAttachment, cached: CachedAttachment | undefined): CniAttachment {
  return cached === undefined ? attachment : { ...cached.attachment, netns: attachment.netns };
}

function parseResult(plugin: string, text: string): CniResult {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as CniResult;
  } catch {
    // Reported below: the text is what matters.
  }
  throw new CniPluginError(plugin, 'ADD', `its result is not a JSON object: ${text.slice(0, 256)}`);
}
