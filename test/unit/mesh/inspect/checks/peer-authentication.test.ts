import { expect, test } from 'vitest';
import { l4Policies } from '#mesh/inspect/checks/l4-policies-check.js';
import { peerAuthenticationScopes } from '#mesh/inspect/checks/peer-authentication-check.js';
import { foundIn } from './configuration.js';

const policy = (name: string, created: string, spec: string) => `
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: ${name}, namespace: shop, creationTimestamp: "${created}" }
spec: ${spec}
`;
const world = (type: string) => `
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { istio.io/dataplane-mode: ambient } }
---
apiVersion: v1
kind: Pod
metadata: { name: web-1, namespace: shop, labels: { app: web } }
spec: { containers: [] }
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec: { type: ${type}, selector: { app: web }, ports: [{ port: 80 }] }
`;
const strict = '{ mtls: { mode: STRICT } }';

test('of two with the same scope the younger has no effect', () => {
  const both = policy('b', '2026-01-02T00:00:00Z', strict) + policy('a', '2026-01-01T00:00:00Z', strict);
  expect(foundIn(peerAuthenticationScopes, both)).toEqual([
    'MESH1134 PeerAuthentication shop/b has no effect: PeerAuthentication shop/a has the same scope and is older',
  ]);
  const selecting = policy('a', '', '{ selector: { matchLabels: { app: web } }, mtls: { mode: STRICT } }');
  expect(foundIn(peerAuthenticationScopes, policy('b', '', strict) + selecting)).toEqual([]);
});

test('STRICT closes a Service for the outside', () => {
  expect(foundIn(peerAuthenticationScopes, world('LoadBalancer') + policy('p', '', strict))).toEqual([
    'MESH1135 Service shop/web is of type LoadBalancer, and PeerAuthentication shop/p (STRICT) refuses callers from outside the mesh',
  ]);
});

test('fine: a Service for the inside, PERMISSIVE, an exception for a port', () => {
  expect(foundIn(peerAuthenticationScopes, world('ClusterIP') + policy('p', '', strict))).toEqual([]);
  const permissive = '{ mtls: { mode: PERMISSIVE } }';
  expect(foundIn(peerAuthenticationScopes, world('LoadBalancer') + policy('p', '', permissive))).toEqual([]);
  const excepted =
    '{ selector: { matchLabels: { app: web } }, mtls: { mode: STRICT }, portLevelMtls: { 80: { mode: PERMISSIVE } } }';
  expect(foundIn(peerAuthenticationScopes, world('LoadBalancer') + policy('p', '', excepted))).toEqual([]);
});

test('a selector with a typo selects nobody', () => {
  const of = (app: string) =>
    world('ClusterIP') +
    policy('p', '', `{ selector: { matchLabels: { app: ${app} } }, mtls: { mode: STRICT } }`);
  expect(foundIn(l4Policies, of('wbe'))).toEqual([
    'MESH1131 PeerAuthentication shop/p selects no pod: none in shop has app=wbe',
  ]);
  expect(foundIn(l4Policies, of('web'))).toEqual([]);
});
