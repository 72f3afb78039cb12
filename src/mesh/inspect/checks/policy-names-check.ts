import { nearMiss } from '#base/errors/near-miss.js';
import { authorizationPolicies, namespaces } from '#base/kube/resource.js';
import type { AuthorizationPolicy, Namespace } from '#base/kube/types.js';
import { defaultTrustDomain } from '../../identity/spiffe.js';
import { ownTrustDomains } from '../../rules/trust-domain.js';
import type { Configuration } from '../configuration/configuration.js';
import { type Finding, subjectOf, subjectText } from '../findings/finding.js';
import { editCommand, findingAbout } from './check-finding.js';
import type { ConfigurationCheck } from './configuration-check.js';

/** Callers named in policies that nobody can be: principals of other trust domains or in another form, namespaces that are not there. */
export const policyNames: ConfigurationCheck = {
  codes: ['MESH1123', 'MESH1124'],
  reads: [authorizationPolicies, namespaces],
  run: (configuration) => {
    const spaces = configuration.list<Namespace>(namespaces).map(({ metadata }) => metadata.name);
    return configuration
      .list<AuthorizationPolicy>(authorizationPolicies)
      .filter((policy) => configuration.isAskedAbout(policy))
      .flatMap((policy) => [
        ...principalFindings(policy, configuration),
        ...namespaceFindings(policy, new Set(spaces), configuration),
      ]);
  },
};

function principalFindings(policy: AuthorizationPolicy, configuration: Configuration): Finding[] {
  const sources = (policy.spec?.rules ?? []).flatMap(({ from = [] }) =>
    from.flatMap(({ source }) => source ?? []),
  );
  const conditions = (policy.spec?.rules ?? [])
    .flatMap(({ when = [] }) => when)
    .filter(({ key }) => key === 'source.principal');
  const written = new Set([
    ...sources.flatMap(({ principals = [], notPrincipals = [] }) => [...principals, ...notPrincipals]),
    ...conditions.flatMap(({ values = [], notValues = [] }) => [...values, ...notValues]),
  ]);
  return [...written].flatMap((principal) => {
    const problem = principalProblem(principal, configuration);
    if (problem === undefined) return [];
    return [
      findingAbout(policy, configuration, {
        code: 'MESH1123',
        severity: 'warning',
        message: `${subjectText(subjectOf(policy))} names principal "${principal}", ${problem}`,
        fix: editCommand(policy),
      }),
    ];
  });
}

/** Why nobody of this mesh can be a principal; undefined when somebody may, patterns included. */
function principalProblem(principal: string, { settings }: Configuration): string | undefined {
  if (principal.startsWith('spiffe://')) {
    return `which matches nobody: principals are written without spiffe://, as ${principal.slice('spiffe://'.length)}`;
  }
  if (principal.includes('*')) return undefined;
  const [trustDomain = '', ns, , sa] = principal.split('/');
  if (ns !== 'ns' || sa !== 'sa' || principal.split('/').length !== 5) {
    return `which matches nobody: the form is TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT`;
  }
  const own = ownTrustDomains(settings.mesh);
  if (trustDomain === defaultTrustDomain || own.includes(trustDomain)) return undefined;
  return `which is nobody of this mesh: its trust domain is ${own.join(', ')}`;
}

/** Namespaces that are nowhere: exact names only. */
function namespaceFindings(
  policy: AuthorizationPolicy,
  known: ReadonlySet<string>,
  configuration: Configuration,
): Finding[] {
  if (!configuration.isSeen(namespaces)) return [];
  const written = new Set(
    (policy.spec?.rules ?? []).flatMap(({ from = [] }) =>
      from.flatMap(({ source }) => [...(source?.namespaces ?? []), ...(source?.notNamespaces ?? [])]),
    ),
  );
  return [...written]
    .filter((name) => !name.includes('*') && !known.has(name))
    .map((name) => {
      const meant = nearMiss(name, known);
      return findingAbout(policy, configuration, {
        code: 'MESH1124',
        severity: 'info',
        message: `${subjectText(subjectOf(policy))} names namespace ${name}, which does not exist${meant === undefined ? '' : `; did you mean ${meant}?`}`,
        fix: editCommand(policy),
      });
    });
}
