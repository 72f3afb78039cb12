import { isRecord } from '../../collections/is-record.js';
import { isDigest } from '../digest.js';
import { damaged } from '../limits.js';
import { type Platform, imagePlatformOf } from '../platform.js';

/** What an image says about the process to run, as in an OCI image configuration. */
export interface ImageConfig {
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly workingDir: string;
  /** A name or uid, and after a colon a group or gid; empty for root. */
  readonly user: string;
  /** Folders that get a writable volume of their own in every container. */
  readonly volumes: readonly string[];
  /** A name or number; empty for SIGTERM. */
  readonly stopSignal: string;
}

/** What an image's configuration document says, checked. */
export interface ParsedConfig {
  readonly config: ImageConfig;
  /** Digests of the uncompressed layers, lowest first. */
  readonly diffIds: readonly string[];
  /** undefined when the document names none, as very old images. */
  readonly platform: Platform | undefined;
}

/** Reads an OCI image configuration (docker's has the same shape). Throws MESH0841. */
export function parseImageConfig(document: Readonly<Record<string, unknown>>): ParsedConfig {
  const { rootfs } = document;
  const diffIds = isRecord(rootfs) ? rootfs['diff_ids'] : undefined;
  if (!Array.isArray(diffIds) || !diffIds.every(isDigest))
    throw damaged('the image configuration lists no layers (rootfs.diff_ids)');
  const config = isRecord(document['config']) ? document['config'] : {};
  return {
    diffIds,
    platform: imagePlatformOf(document),
    config: {
      entrypoint: words(config, 'Entrypoint'),
      cmd: words(config, 'Cmd'),
      env: environment(words(config, 'Env')),
      workingDir: text(config, 'WorkingDir') || '/',
      user: text(config, 'User'),
      volumes: isRecord(config['Volumes']) ? Object.keys(config['Volumes']) : [],
      stopSignal: text(config, 'StopSignal'),
    },
  };
}

function words(config: Readonly<Record<string, unknown>>, name: string): string[] {
  const value = config[name] ?? [];
  if (!Array.isArray(value) || !value.every((word): word is string => typeof word === 'string'))
    throw damaged(`the image configuration's ${name} is not a list of words`);
  return value;
}

function text(config: Readonly<Record<string, unknown>>, name: string): string {
  const value = config[name] ?? '';
  if (typeof value !== 'string') throw damaged(`the image configuration's ${name} is not a text`);
  return value;
}

function environment(lines: readonly string[]): Record<string, string> {
  const env: Record<string, string> = {};
  for (const line of lines) {
    const equals = line.indexOf('=');
    if (equals > 0) env[line.slice(0, equals)] = line.slice(equals + 1);
  }
  return env;
}
