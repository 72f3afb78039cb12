import { defaultTrustDomain } from '../identity/spiffe.js';

/** The names of this mesh in identities. */
export interface MeshNames {
  readonly trustDomain: string;
  /** Trust domains whose identities count as this mesh's own. */
  readonly trustDomainAliases: readonly string[];
}

/**
 * The patterns a principal pattern of a policy stands for. One of five segments whose trust domain is `cluster.local`
 * (the word every policy uses to say "this mesh"), the mesh's own or an alias means the same name in all of the mesh's
 * trust domains; any other stands for itself.
 */
export function principalPatterns(pattern: string, names: MeshNames): readonly string[] {
  const [trustDomain = '', ...rest] = pattern.split('/');
  const own = [names.trustDomain, ...names.trustDomainAliases];
  const isLocal = rest.length === 4 && (trustDomain === defaultTrustDomain || own.includes(trustDomain));
  return isLocal ? own.map((domain) => [domain, ...rest].join('/')) : [pattern];
}
