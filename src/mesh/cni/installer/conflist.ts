import { MeshError } from '#base/errors/mesh-error.js';
import { isRecord } from '#base/collections/is-record.js';

/** The plugin's entry in a configuration list. */
export interface PluginEntry {
  readonly type: 'istio-cni';
  readonly name: 'istio-cni';
  readonly [key: string]: unknown;
}

interface Conflist {
  readonly cniVersion?: string;
  readonly name?: string;
  readonly plugins: readonly Record<string, unknown>[];
  readonly [key: string]: unknown;
}

const wrappedName = 'k8s-pod-network';
const wrappedVersion = '0.3.1';

/**
 * The text of a configuration with our entry as its last plugin. A single-plugin
 * configuration (`.conf`) becomes a list. Throws MESH0707 when `text` is neither.
 */
export function insertPlugin(text: string, entry: PluginEntry): string {
  const list = parseList(text);
  return format({ ...list, plugins: [...list.plugins.filter((plugin) => !isOurs(plugin)), entry] });
}

/** The text without our entry; the text itself when there is none. */
export function removePlugin(text: string): string {
  const list = parseList(text);
  if (!list.plugins.some(isOurs)) return text;
  return format({ ...list, plugins: list.plugins.filter((plugin) => !isOurs(plugin)) });
}

/** True when the text already has exactly this entry, in the last place. */
export function hasPlugin(text: string, entry: PluginEntry): boolean {
  try {
    const last = parseList(text).plugins.at(-1);
    return last !== undefined && JSON.stringify(last) === JSON.stringify(entry);
  } catch {
    return false;
  }
}

/** True when the text holds any entry of ours. */
export function mentionsPlugin(text: string): boolean {
  try {
    return parseList(text).plugins.some(isOurs);
  } catch {
    return false;
  }
}

/** True when the text is a configuration that runtimes accept. */
export function isValidConfig(text: string): boolean {
  try {
    return parseList(text).plugins.length > 0;
  } catch {
    return false;
  }
}

function parseList(text: string): Conflist {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new MeshError('MESH0707', 'the CNI configuration is not JSON', { cause: error });
  }
  if (!isRecord(value)) throw new MeshError('MESH0707', 'the CNI configuration is not a JSON object');
  const plugins = value['plugins'];
  if (plugins === undefined && typeof value['type'] === 'string') {
    const { cniVersion, ...plugin } = value;
    return {
      name: wrappedName,
      cniVersion: typeof cniVersion === 'string' ? cniVersion : wrappedVersion,
      plugins: [plugin],
    };
  }
  if (!Array.isArray(plugins) || !plugins.every(isRecord)) {
    throw new MeshError('MESH0707', 'the CNI configuration has no list of plugins');
  }
  return { ...value, plugins };
}

function isOurs(plugin: Record<string, unknown>): boolean {
  return plugin['type'] === 'istio-cni';
}

function format(list: Conflist): string {
  return `${JSON.stringify(list, undefined, 2)}\n`;
}
