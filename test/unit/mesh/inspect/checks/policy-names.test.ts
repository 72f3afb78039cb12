import { expect, test } from 'vitest';
import { policyNames } from '#mesh/inspect/checks/policy-names-check.js';
import { foundIn } from './configuration.js';

const policy = (source: string) => `
apiVersion: v1
kind: Namespace
metadata: { name: shop }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: p, namespace: shop }
spec: { rules: [{ from: [{ source: ${source} }] }] }
`;

test.each([
  ['the form of the mesh', '{ principals: [cluster.local/ns/shop/sa/web], namespaces: [shop] }'],
  ['patterns', '{ principals: ["*/ns/shop/*", "*"], namespaces: ["sh*"] }'],
])('fine: %s', (_name, source) => {
  expect(foundIn(policyNames, policy(source))).toEqual([]);
});

test('principals that nobody is', () => {
  const source =
    '{ principals: ["spiffe://cluster.local/ns/shop/sa/web", other.org/ns/shop/sa/web, shop/web] }';
  expect(foundIn(policyNames, policy(source))).toEqual([
    'MESH1123 AuthorizationPolicy shop/p names principal "spiffe://cluster.local/ns/shop/sa/web", which matches nobody: principals are written without spiffe://, as cluster.local/ns/shop/sa/web',
    'MESH1123 AuthorizationPolicy shop/p names principal "other.org/ns/shop/sa/web", which is nobody of this mesh: its trust domain is cluster.local',
    'MESH1123 AuthorizationPolicy shop/p names principal "shop/web", which matches nobody: the form is TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT',
  ]);
});

test('a namespace that does not exist, with the one that was meant', () => {
  expect(foundIn(policyNames, policy('{ namespaces: [shp] }'))).toEqual([
    'MESH1124 AuthorizationPolicy shop/p names namespace shp, which does not exist; did you mean shop?',
  ]);
});
