import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { isRecord } from '../../collections/is-record.js';
import { MeshError, messageOf } from '../../errors/mesh-error.js';
import { run } from '../../system/run.js';

/** What proves to a registry who asks. */
export type RegistryCredentials =
  | { readonly kind: 'password'; readonly username: string; readonly password: string }
  /** To be exchanged for a token at the registry's token server. */
  | { readonly kind: 'identity token'; readonly token: string }
  /** Sent as it is. */
  | { readonly kind: 'registry token'; readonly token: string };

/** Finds the credentials for a registry (host and port); undefined when there are none. */
export type CredentialLookup = (
  registry: string,
  repository: string,
) => Promise<RegistryCredentials | undefined>;

type Config = Readonly<Record<string, unknown>>;

/** docker's own key of Docker Hub. */
const dockerHubKey = 'https://index.docker.io/v1/';
const dockerHub = 'docker.io';
/** What helpers answer when they know nothing. */
const notFound = /credentials not found/i;
const tokenUser = '<token>';

/**
 * The credentials that docker and podman have stored: `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`, then
 * `$REGISTRY_AUTH_FILE` or podman's `auth.json`. Of a file `credHelpers` come first, then `credsStore`, then `auths`.
 * The lookup throws MESH1210 for a damaged file and a helper that failed.
 */
export function storedCredentials(env: NodeJS.ProcessEnv): CredentialLookup {
  return async (registry, repository) => {
    for (const path of configPaths(env)) {
      const config = await readConfig(path);
      const found =
        config === undefined ? undefined : await inConfig(config, { path, registry, repository, env });
      if (found !== undefined) return found;
    }
    return undefined;
  };
}

function configPaths(env: NodeJS.ProcessEnv): string[] {
  const home = env['HOME'] ?? homedir();
  const runtime = env['XDG_RUNTIME_DIR'];
  return [
    join(env['DOCKER_CONFIG'] || join(home, '.docker'), 'config.json'),
    ...(env['REGISTRY_AUTH_FILE']
      ? [env['REGISTRY_AUTH_FILE']]
      : runtime
        ? [join(runtime, 'containers', 'auth.json')]
        : []),
  ];
}

async function readConfig(path: string): Promise<Config | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw new MeshError('MESH1210', `${path} cannot be read`, { evidence: messageOf(error), cause: error });
  }
  try {
    const value: unknown = JSON.parse(text);
    if (isRecord(value)) return value;
  } catch (error) {
    throw new MeshError('MESH1210', `${path} is not JSON`, { evidence: messageOf(error), cause: error });
  }
  throw new MeshError('MESH1210', `${path} is not a configuration of docker`);
}

interface Asked {
  readonly path: string;
  readonly registry: string;
  readonly repository: string;
  readonly env: NodeJS.ProcessEnv;
}

async function inConfig(config: Config, asked: Asked): Promise<RegistryCredentials | undefined> {
  const keys = keysOf(asked);
  const helpers = isRecord(config['credHelpers']) ? config['credHelpers'] : {};
  for (const key of keys) {
    const helper = helpers[key];
    if (typeof helper === 'string') return fromHelper(helper, key, asked);
  }
  const auths = isRecord(config['auths']) ? config['auths'] : {};
  const [key, entry] = entryOf(auths, keys) ?? [];
  const store = config['credsStore'];
  if (typeof store === 'string' && store !== '') {
    const fallback = asked.registry === dockerHub ? dockerHubKey : asked.registry;
    const found = await fromHelper(store, key ?? fallback, asked);
    if (found !== undefined) return found;
  }
  return entry === undefined ? undefined : fromEntry(entry, asked);
}

/** Names a registry may stand under, the most specific first; podman's may be of a part of it. */
function keysOf({ registry, repository }: Asked): string[] {
  const parts = repository.split('/');
  const narrower = parts.map((_, i) => `${registry}/${parts.slice(0, parts.length - i).join('/')}`);
  const own = [...narrower, registry];
  return registry === dockerHub ? [...own, dockerHubKey, 'index.docker.io'] : own;
}

/** docker wrote whole URLs into older files. */
function entryOf(auths: Config, keys: readonly string[]): [string, Config] | undefined {
  const plain = (key: string): string => key.replace(/^https?:\/\//, '').replace(/\/(v[12]\/?)?$/, '');
  for (const wanted of keys) {
    const found = Object.entries(auths).find(([key]) => key === wanted || plain(key) === plain(wanted));
    if (found !== undefined && isRecord(found[1])) return [found[0], found[1]];
  }
  return undefined;
}

function fromEntry(entry: Config, { path, registry }: Asked): RegistryCredentials | undefined {
  const word = (name: string): string => (typeof entry[name] === 'string' ? entry[name] : '');
  if (word('registrytoken') !== '') return { kind: 'registry token', token: word('registrytoken') };
  if (word('identitytoken') !== '') return { kind: 'identity token', token: word('identitytoken') };
  if (word('auth') === '')
    return word('username') === ''
      ? undefined
      : { kind: 'password', username: word('username'), password: word('password') };
  const plain = Buffer.from(word('auth'), 'base64').toString('utf8');
  const colon = plain.indexOf(':');
  if (colon < 1) throw new MeshError('MESH1210', `${path}: "auth" of ${registry} is no user and password`);
  // Old files end it with NULs.
  const password = plain.slice(colon + 1).replace(/\0+$/, '');
  return { kind: 'password', username: plain.slice(0, colon), password };
}

async function fromHelper(
  name: string,
  key: string,
  { path, env }: Asked,
): Promise<RegistryCredentials | undefined> {
  const program = `docker-credential-${name}`;
  const failed = (message: string, evidence?: string, cause?: unknown): MeshError =>
    new MeshError('MESH1210', message, { evidence, cause });
  if (!/^[\w.-]+$/.test(name))
    throw failed(`${path} names a credential helper that cannot be: ${JSON.stringify(name)}`);
  const result = await run(program, ['get'], { input: key, env: definedOf(env) }).catch((error: unknown) => {
    if (error instanceof MeshError && error.code === 'MESH1001')
      throw failed(
        `${path} names the credential helper ${program}, which is not installed`,
        undefined,
        error,
      );
    throw error;
  });
  // Helpers say what is wrong on either stream. Neither is shown when it succeeded: there is the secret.
  const said = `${result.stdout}${result.stderr}`.trim();
  if (result.exitCode !== 0) {
    if (notFound.test(said)) return undefined;
    throw failed(
      `the credential helper ${program} failed for ${key}`,
      `exit code ${result.exitCode}: ${said}`,
    );
  }
  const answer = parsed(result.stdout);
  const { Username: username, Secret: secret } = answer ?? {};
  if (typeof username !== 'string' || typeof secret !== 'string')
    throw failed(`the credential helper ${program} gave no user and secret for ${key}`);
  return username === tokenUser
    ? { kind: 'identity token', token: secret }
    : { kind: 'password', username, password: secret };
}

function parsed(text: string): Config | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function definedOf(env: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter((e): e is [string, string] => e[1] !== undefined));
}
