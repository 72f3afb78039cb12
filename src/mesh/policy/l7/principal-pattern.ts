import type { MeshNames } from './attributes.js';
import { compileStringPattern, type ValueTest } from './string-pattern.js';

/** The parts of `<trust domain>/ns/<namespace>/sa/<service account>`. */
export interface PrincipalParts {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** The trust domain every existing policy uses to say "this mesh". */
const localTrustDomain = 'cluster.local';

/** Splits a principal (no scheme); undefined when it is not of the mesh's form. */
export function parsePrincipal(principal: string): PrincipalParts | undefined {
  const [trustDomain, ns, namespace, sa, serviceAccount, ...rest] = principal.split('/');
  if (!trustDomain || ns !== 'ns' || !namespace || sa !== 'sa' || !serviceAccount || rest.length > 0) {
    return undefined;
  }
  return { trustDomain, namespace, serviceAccount };
}

/**
 * Compiles a principal pattern. A five-segment pattern whose trust domain is `cluster.local`, the
 * mesh's own or one of its aliases stands for the same name in all of them.
 */
export function compilePrincipalPattern(pattern: string, names: MeshNames): ValueTest | undefined {
  const segments = pattern.split('/');
  const trustDomain = segments[0];
  const own = [names.trustDomain, ...names.trustDomainAliases];
  const isLocal =
    segments.length === 5 &&
    trustDomain !== undefined &&
    (trustDomain === localTrustDomain || own.includes(trustDomain));
  if (!isLocal) return compileStringPattern(pattern);
  const rest = segments.slice(1).join('/');
  const tests = own.flatMap((domain) => compileStringPattern(`${domain}/${rest}`) ?? []);
  return (value) => tests.some((test) => test(value));
}

/**
 * Compiles `namespace/name` or `name` (in the policy's own namespace) to a test of a principal's
 * service account, in any trust domain. No wildcards: an asterisk makes it invalid.
 */
export function compileServiceAccountPattern(
  pattern: string,
  policyNamespace: string,
): ValueTest | undefined {
  if (pattern.includes('*')) return undefined;
  const parts = pattern.split('/');
  if (parts.length > 2 || parts.some((part) => part === '')) return undefined;
  const wanted = parts.length === 1 ? `${policyNamespace}/${pattern}` : pattern;
  return (value) => value === wanted;
}
