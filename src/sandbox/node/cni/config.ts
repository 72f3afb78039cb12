import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** One plugin of a network configuration list; unknown keys belong to the plugin. */
export interface CniPluginConfig {
  readonly type: string;
  readonly [key: string]: unknown;
}

/** A network configuration list (CNI specification, section 1). */
export interface CniConfigList {
  readonly file: string;
  readonly name: string;
  readonly cniVersion: string;
  readonly disableCheck: boolean;
  readonly plugins: readonly CniPluginConfig[];
}

/** Why a node has no usable network configuration. */
export class CniConfigError extends Error {
  override readonly name = 'CniConfigError';
}

/**
 * Reads the network configuration a kubelet would use: the lexicographically first
 * valid `.conflist`, `.conf` or `.json` of the folder. Throws {@link CniConfigError}
 * when there is none.
 */
export async function loadCniConfig(folder: string): Promise<CniConfigList> {
  const names = await readdir(folder).catch(() => [] as string[]);
  const rejected: string[] = [];
  for (const name of names.filter((n) => /\.(conflist|conf|json)$/.test(n)).sort()) {
    const parsed = parseCniConfig(await readFile(join(folder, name), 'utf8').catch(() => ''), name);
    if (typeof parsed !== 'string') return parsed;
    rejected.push(`${name}: ${parsed}`);
  }
  throw new CniConfigError(
    rejected.length === 0
      ? 'no network configuration in /etc/cni/net.d'
      : `no usable network configuration in /etc/cni/net.d: ${rejected.join('; ')}`,
  );
}

/** Parses one file; a string says why it cannot be used. */
export function parseCniConfig(text: string, file: string): CniConfigList | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return 'not JSON';
  }
  if (!isRecord(value)) return 'not an object';
  const name = value['name'];
  if (typeof name !== 'string' || name === '') return 'no name';
  const cniVersion = typeof value['cniVersion'] === 'string' ? value['cniVersion'] : '0.3.1';
  const plugins = file.endsWith('.conflist') || 'plugins' in value ? value['plugins'] : [value];
  if (!Array.isArray(plugins) || plugins.length === 0) return 'no plugins';
  if (!plugins.every(isPlugin)) return 'a plugin has no type';
  return { file, name, cniVersion, disableCheck: value['disableCheck'] === true, plugins };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isPlugin(value: unknown): value is CniPluginConfig {
  return isRecord(value) && typeof value['type'] === 'string' && value['type'] !== '';
}
