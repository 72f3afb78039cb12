import { describe, expect, test } from 'vitest';
import type { AuthorizationPolicy, AuthorizationSource } from '#base/kube/types.js';
import { convertToL4 } from '#mesh/rules/l4-authorization.js';
import { convertToL7, unsupportedReason } from '#mesh/rules/l7-authorization.js';
import { defaultMeshConfig } from '#mesh/rules/mesh-config.js';

const mesh = defaultMeshConfig('istio-system');

const policy = (action: 'ALLOW' | 'DENY', source: AuthorizationSource): AuthorizationPolicy => ({
  apiVersion: 'security.istio.io/v1',
  kind: 'AuthorizationPolicy',
  metadata: { namespace: 'shop', name: 'p' },
  spec: { action, rules: [{ from: [{ source }] }] },
});

describe.each<[string, AuthorizationSource]>([
  ['trustDomains', { namespaces: ['a'], trustDomains: ['td.example'] }],
  ['notTrustDomains', { namespaces: ['a'], notTrustDomains: ['td.example'] }],
])('source.%s, which nobody compares', (name, source) => {
  test('admits nobody at node proxies, and refuses whoever the rest matches', () => {
    const allow = convertToL4(policy('ALLOW', source), mesh);
    expect(allow.unsupported).toEqual([`from.source.${name}`]);
    expect(allow.authorization?.rules).toEqual([]);
    const deny = convertToL4(policy('DENY', source), mesh);
    expect(deny.stricterRules).toEqual([1]);
    expect(deny.authorization?.rules[0]?.clauses[0]?.matches[0]?.namespaces).toHaveLength(1);
  });

  test('makes a policy that waypoints do not accept, and that admits nobody', () => {
    expect(unsupportedReason(policy('ALLOW', source))).toContain(`source.${name}`);
    expect(convertToL7(policy('ALLOW', source), []).unsupported).toBe(true);
  });
});

test('a field of a later version admits nobody at waypoints', () => {
  const later = { namespaces: ['a'], clouds: ['one'] } as AuthorizationSource;
  expect(unsupportedReason(policy('ALLOW', later))).toContain('this version does not know it');
  expect(unsupportedReason(policy('ALLOW', { namespaces: ['a'] }))).toBeUndefined();
});
