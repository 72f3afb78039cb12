import { type MeshNames, principalPatterns } from '../../rules/trust-domain.js';
import { compileStringPattern, type ValueTest } from './string-pattern.js';

/** The parts of `<trust domain>/ns/<namespace>/sa/<service account>`. */
export interface PrincipalParts {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** Splits a principal (no scheme); undefined when it is not of the mesh's form. */
export function parsePrincipal(principal: string): PrincipalParts | undefined {
  const [trustDomain, ns, namespace, sa, serviceAccount, ...rest] = principal.split('/');
  if (!trustDomain || ns !== 'ns' || !namespace || sa !== 'sa' || !serviceAccount || rest.length > 0) {
    return undefined;
  }
  return { trustDomain, namespace, serviceAccount };
}

/** Compiles a principal pattern; undefined when it is empty. */
export function compilePrincipalPattern(pattern: string, names: MeshNames): ValueTest | undefined {
  if (pattern === '') return undefined;
  const tests = principalPatterns(pattern, names).flatMap((each) => compileStringPattern(each) ?? []);
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
