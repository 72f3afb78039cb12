import { defaultTrustDomain, formatSpiffeId, parseSpiffe, type SpiffeId } from '../identity/spiffe.js';

/** The names of this mesh in identities. */
export interface MeshNames {
  readonly trustDomain: string;
  /** Trust domains whose identities count as this mesh's own. */
  readonly trustDomainAliases: readonly string[];
}

/** Every trust domain whose identities are this mesh's, its own first. */
export function ownTrustDomains(names: MeshNames): readonly string[] {
  return [...new Set([names.trustDomain, ...names.trustDomainAliases])];
}

/** Whether an identity is of this mesh. */
export function isOwnIdentity(id: SpiffeId, names: MeshNames): boolean {
  const trustDomain = parseSpiffe(id)?.trustDomain;
  return trustDomain !== undefined && ownTrustDomains(names).includes(trustDomain);
}

/**
 * The identities somebody of the mesh may prove to be who `id` says: while a trust domain is changed, certificates of
 * both are in use. An identity of another mesh stands for itself.
 */
export function sameIdentities(id: SpiffeId, names: MeshNames): readonly SpiffeId[] {
  const parsed = parseSpiffe(id);
  if (parsed === undefined || !isOwnIdentity(id, names)) return [id];
  const { namespace, serviceAccount } = parsed;
  const others = ownTrustDomains(names).map((trustDomain) =>
    formatSpiffeId({ trustDomain, namespace, serviceAccount }),
  );
  return [...new Set([id, ...others])];
}

/** The trust domain and its aliases, as the environment of proxies has them; aliases are separated by commas. */
export function namesFromEnvironment(env: NodeJS.ProcessEnv): MeshNames {
  const aliases = (env['TRUST_DOMAIN_ALIASES'] ?? '').split(',').map((alias) => alias.trim());
  return {
    trustDomain: env['TRUST_DOMAIN'] || defaultTrustDomain,
    trustDomainAliases: aliases.filter((alias) => alias !== ''),
  };
}

/**
 * The patterns a principal pattern of a policy stands for. One of five segments whose trust domain is `cluster.local`
 * (the word every policy uses to say "this mesh"), the mesh's own or an alias means the same name in all of the mesh's
 * trust domains; any other stands for itself.
 */
export function principalPatterns(pattern: string, names: MeshNames): readonly string[] {
  const [trustDomain = '', ...rest] = pattern.split('/');
  const own = ownTrustDomains(names);
  const isLocal = rest.length === 4 && (trustDomain === defaultTrustDomain || own.includes(trustDomain));
  return isLocal ? own.map((domain) => [domain, ...rest].join('/')) : [pattern];
}
