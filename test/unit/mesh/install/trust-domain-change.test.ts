import { expect, it } from 'vitest';
import { meshNamesOf, planTrustDomainChange } from '#mesh/install/trust-domain-change.js';

const running = { trustDomain: 'td.example', trustDomainAliases: ['ancient.example'] };
const spec = (trustDomain: string, trustDomainAliases: string[] = []) => ({
  hub: 'h',
  meshConfig: { trustDomain, trustDomainAliases, rootNamespace: 'r' },
});

it('is none without a running mesh, and when the trust domain stays', () => {
  expect(planTrustDomainChange(undefined, spec('td2.example'))).toBeUndefined();
  expect(planTrustDomainChange(running, spec('td.example', ['td2.example']))).toBeUndefined();
});

it('is refused while the old domain is no alias, with the command that makes it one', () => {
  expect(() => planTrustDomainChange(running, spec('td2.example', ['more.example']))).toThrow(
    expect.objectContaining({
      code: 'MESH0322',
      hint: expect.stringContaining('{td.example,more.example}'),
    }),
  );
});

it('begins with the old domain, and every other that was or will be accepted', () => {
  const change = planTrustDomainChange(running, spec('td2.example', ['td.example', 'more.example']));
  expect(change).toMatchObject({ from: 'td.example', to: 'td2.example' });
  expect(change?.preparation).toEqual({
    hub: 'h',
    meshConfig: {
      trustDomain: 'td.example',
      trustDomainAliases: ['ancient.example', 'more.example', 'td2.example'],
      rootNamespace: 'r',
    },
  });
});

it('goes by the names that the values give, or the default', () => {
  expect(meshNamesOf({ spec: {} })).toMatchObject({ trustDomain: 'cluster.local', trustDomainAliases: [] });
  expect(meshNamesOf({ spec: spec('td.example', ['a.b']) })).toMatchObject({ trustDomainAliases: ['a.b'] });
});
