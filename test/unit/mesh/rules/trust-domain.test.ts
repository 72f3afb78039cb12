import { expect, it } from 'vitest';
import { formatSpiffeId } from '#mesh/identity/spiffe.js';
import {
  isOwnIdentity,
  namesFromEnvironment,
  principalPatterns,
  sameIdentities,
} from '#mesh/rules/trust-domain.js';

const names = { trustDomain: 'td2.example', trustDomainAliases: ['td.example', 'td2.example'] };
const web = (trustDomain: string) =>
  formatSpiffeId({ trustDomain, namespace: 'shop', serviceAccount: 'web' });

it('takes identities of all its trust domains for its own, and no others', () => {
  expect(['td2.example', 'td.example', 'evil.example'].map((d) => isOwnIdentity(web(d), names))).toEqual([
    true,
    true,
    false,
  ]);
});

it('expects of somebody of the mesh the same name in any of its trust domains', () => {
  expect(sameIdentities(web('td.example'), names)).toEqual([web('td.example'), web('td2.example')]);
  expect(sameIdentities(web('evil.example'), names)).toEqual([web('evil.example')]);
});

it('reads its names from the environment of a proxy', () => {
  expect(namesFromEnvironment({})).toEqual({ trustDomain: 'cluster.local', trustDomainAliases: [] });
  const env = { TRUST_DOMAIN: 'td2.example', TRUST_DOMAIN_ALIASES: 'td.example, td3.example,' };
  expect(namesFromEnvironment(env)).toEqual({
    trustDomain: 'td2.example',
    trustDomainAliases: ['td.example', 'td3.example'],
  });
});

it('matches principals of policies in all of its trust domains', () => {
  const pattern = 'td.example/ns/shop/sa/web';
  expect(principalPatterns(pattern, names)).toEqual(['td2.example/ns/shop/sa/web', pattern]);
});
