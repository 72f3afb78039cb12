import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isRecord } from '#base/collections/is-record.js';

/** One plugin of a network configuration list; unknown keys belong to the plugin. */
export interface CniPluginConfig {
  readonly type: string;
  /** What the plugin wants to be told at run time, such as `portMappings`. */
  readonly capabilities?: Readonly<Record<string, boolean>>;
  readonly [key: string]: unknown;
}

/** A network configuration list (CNI specification, section 1). */
export interface CniConfigList {
  readonly file: string;
  readonly name: string;
  readonly cniVersion: string;
  readonly disableCheck: boolean;
  readonly disableGC: boolean;
  readonly plugins: readonly CniPluginConfig[];
}

/** Why a node has no usable network configuration. */
export class CniConfigError extends Error {
  override readonly name = 'CniConfigError';
}

/** The newest version of the specification this runtime speaks. */
const versionMax = '1.1.0';
const versionDefault = '0.3.1';

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
  const cniVersion = versionOf(value);
  if (cniVersion === undefined) return `no version of the specification up to ${versionMax}`;
  const plugins = file.endsWith('.conflist') || 'plugins' in value ? value['plugins'] : [value];
  if (!Array.isArray(plugins) || plugins.length === 0) return 'no plugins';
  if (!plugins.every(isPlugin)) return 'a plugin has no type';
  return {
    file,
    name,
    cniVersion,
    disableCheck: isSet(value['disableCheck']),
    disableGC: isSet(value['disableGC']),
    plugins,
  };
}

/** Whether a version of the specification is at least another one. */
export function isVersionAtLeast(version: string, least: string): boolean {
  const [a, b] = [version, least].map((each) => each.split('.').map(Number));
  for (const i of [0, 1, 2]) {
    const difference = (a?.[i] ?? 0) - (b?.[i] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}

/** The newest version that the configuration offers and this runtime speaks. */
function versionOf(value: Readonly<Record<string, unknown>>): string | undefined {
  const { cniVersion, cniVersions } = value as { cniVersion?: unknown; cniVersions?: unknown };
  const offered = (Array.isArray(cniVersions) ? (cniVersions as unknown[]) : [])
    .concat(cniVersion ?? (Array.isArray(cniVersions) ? [] : versionDefault))
    .filter((each): each is string => typeof each === 'string' && /^\d+\.\d+\.\d+$/.test(each));
  return offered
    .filter((each) => isVersionAtLeast(versionMax, each))
    .reduce<string | undefined>(
      (best, each) => (best !== undefined && isVersionAtLeast(best, each) ? best : each),
      undefined,
    );
}

/** Some configurations hold the words instead of the values. */
function isSet(value: unknown): boolean {
  return value === true || value === 'true';
}

function isPlugin(value: unknown): value is CniPluginConfig {
  return isRecord(value) && typeof value['type'] === 'string' && value['type'] !== '';
}
