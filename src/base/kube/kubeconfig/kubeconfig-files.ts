import { parse } from 'yaml';
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, isAbsolute, join, resolve } from 'node:path';
import { MeshError, messageOf } from '../../errors/mesh-error.js';

/** A cluster as a kubeconfig writes it (client-go, tools/clientcmd/api/v1). */
export interface KubeconfigCluster {
  readonly server?: string;
  readonly 'certificate-authority'?: string;
  readonly 'certificate-authority-data'?: string;
  readonly 'insecure-skip-tls-verify'?: boolean;
  readonly 'tls-server-name'?: string;
  readonly 'proxy-url'?: string;
  readonly extensions?: readonly { readonly name: string; readonly extension: unknown }[];
}

/** A credential plugin: a program that prints a token or a client certificate. */
export interface ExecPlugin {
  readonly apiVersion?: string;
  readonly command?: string;
  readonly args?: readonly string[] | null;
  readonly env?: readonly { readonly name: string; readonly value: string }[] | null;
  readonly installHint?: string;
  readonly interactiveMode?: 'Never' | 'IfAvailable' | 'Always';
  readonly provideClusterInfo?: boolean;
}

/** A user as a kubeconfig writes it. */
export interface KubeconfigUser {
  readonly token?: string;
  readonly tokenFile?: string;
  readonly 'client-certificate'?: string;
  readonly 'client-key'?: string;
  readonly exec?: ExecPlugin;
  readonly as?: string;
  readonly 'as-uid'?: string;
  readonly 'as-groups'?: readonly string[];
  readonly 'as-user-extra'?: Readonly<Record<string, readonly string[]>>;
  readonly [other: string]: unknown;
}

export interface KubeconfigContext {
  readonly cluster?: string;
  readonly user?: string;
  readonly namespace?: string;
}

/** What all files say together. Paths in it are absolute. */
export interface Kubeconfig {
  readonly currentContext: string;
  readonly contexts: ReadonlyMap<string, KubeconfigContext>;
  readonly clusters: ReadonlyMap<string, KubeconfigCluster>;
  readonly users: ReadonlyMap<string, KubeconfigUser>;
  /** The files that were read. */
  readonly files: readonly string[];
}

interface KubeconfigFile {
  readonly 'current-context'?: string | null;
  readonly contexts?: readonly { readonly name: string; readonly context?: KubeconfigContext }[] | null;
  readonly clusters?: readonly { readonly name: string; readonly cluster?: KubeconfigCluster }[] | null;
  readonly users?: readonly { readonly name: string; readonly user?: KubeconfigUser }[] | null;
}

/**
 * Reads the kubeconfig as kubectl does (client-go, clientcmd.ClientConfigLoadingRules): a file that is named must
 * be there; of the list in $KUBECONFIG those that are missing are passed over, and the first to name something
 * wins; without either it is ~/.kube/config. undefined: there is none. @throws MESH0208
 */
export async function readKubeconfig(
  named: string | undefined,
  env: Readonly<NodeJS.ProcessEnv> = process.env,
): Promise<Kubeconfig | undefined> {
  if (named !== undefined) return await merge([named]);
  const listed = (env['KUBECONFIG'] ?? '').split(delimiter).filter((file) => file !== '');
  const candidates = listed.length > 0 ? listed : [join(env['HOME'] ?? homedir(), '.kube', 'config')];
  const files = candidates.filter((file) => existsSync(file));
  if (files.length > 0) return await merge(files);
  if (listed.length === 0) return undefined;
  throw new MeshError('MESH0208', 'no file that $KUBECONFIG lists exists', { evidence: listed.join('\n') });
}

async function merge(files: readonly string[]): Promise<Kubeconfig> {
  let currentContext = '';
  const contexts = new Map<string, KubeconfigContext>();
  const clusters = new Map<string, KubeconfigCluster>();
  const users = new Map<string, KubeconfigUser>();
  for (const file of files) {
    const read = readFile(file, parse);
    const at = (path: string): string => (isAbsolute(path) ? path : resolve(dirname(file), path));
    if (currentContext === '') currentContext = read['current-context'] ?? '';
    for (const { name, context = {} } of read.contexts ?? []) keepFirst(contexts, name, context);
    for (const { name, cluster = {} } of read.clusters ?? []) {
      keepFirst(clusters, name, withPaths(cluster, ['certificate-authority'], at));
    }
    for (const { name, user = {} } of read.users ?? []) {
      const { exec } = user;
      // A command with a slash in it is relative to the file, any other is looked for in PATH.
      const isRelative = exec?.command?.includes('/') === true && !isAbsolute(exec.command);
      const own = isRelative ? { ...user, exec: { ...exec, command: at(exec.command ?? '') } } : user;
      keepFirst(users, name, withPaths(own, ['client-certificate', 'client-key', 'tokenFile'], at));
    }
  }
  return { currentContext, contexts, clusters, users, files };
}

function readFile(file: string, parse: (text: string) => unknown): KubeconfigFile {
  try {
    const parsed = parse(readFileSync(file, 'utf8'));
    if (parsed === null) return {};
    if (typeof parsed !== 'object' || Array.isArray(parsed)) throw new Error('it is no kubeconfig');
    return parsed as KubeconfigFile;
  } catch (error) {
    throw new MeshError('MESH0208', `the kubeconfig ${file} cannot be read`, {
      evidence: messageOf(error),
      cause: error,
    });
  }
}

function keepFirst<T>(map: Map<string, T>, name: string, value: T): void {
  if (!map.has(name)) map.set(name, value);
}

function withPaths<T extends object>(entry: T, keys: readonly (keyof T)[], at: (path: string) => string): T {
  const paths = keys.flatMap((key) => {
    const path = entry[key];
    return typeof path === 'string' && path !== '' ? [[key, at(path)] as const] : [];
  });
  return { ...entry, ...Object.fromEntries(paths) };
}
