import { expect, test } from 'vitest';
import { waypointUse } from '#mesh/inspect/checks/waypoint-use-check.js';
import { foundIn } from './configuration.js';

const waypoint = (labels = '{}', listener = '{ name: mesh, port: 15008, protocol: HBONE }') => `
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: wp, namespace: shop, labels: ${labels} }
spec: { gatewayClassName: istio-waypoint, listeners: [${listener}] }
`;
const namespace = (labels: string) => `
---
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: ${labels} }
`;
const pod = (name: string, metadata = '') => `
---
apiVersion: v1
kind: Pod
metadata: { name: ${name}, namespace: shop${metadata} }
spec: { containers: [] }
`;
const inMesh = 'istio.io/dataplane-mode: ambient';
const used = 'istio.io/use-waypoint: wp';

test('fine: a waypoint that a namespace of the mesh uses', () => {
  expect(foundIn(waypointUse, waypoint() + namespace(`{ ${inMesh}, ${used} }`) + pod('a'))).toEqual([]);
});

test('one that nobody uses', () => {
  expect(foundIn(waypointUse, waypoint() + namespace(`{ ${inMesh} }`))).toEqual([
    'MESH1114 waypoint shop/wp is used by nobody',
  ]);
});

test('one without a listener for the mesh', () => {
  const web = waypoint('{}', '{ name: web, port: 80, protocol: HTTP }');
  expect(foundIn(waypointUse, web + namespace(`{ ${inMesh}, ${used} }`))).toEqual([
    'MESH1115 Gateway shop/wp is a waypoint without a listener for the mesh: it needs protocol HBONE on port 15008',
  ]);
});

test('one whose namespace is not in the mesh', () => {
  expect(foundIn(waypointUse, waypoint() + namespace(`{ ${used} }`) + pod('a'))).toEqual([
    'MESH1116 Namespace shop uses waypoint wp and none of its pods is in the mesh: the waypoint calls them in plaintext, and others pass it by',
  ]);
});

test('a kind of traffic that there is not', () => {
  const typo = waypoint('{ istio.io/waypoint-for: services }');
  expect(foundIn(waypointUse, typo + namespace(`{ ${inMesh}, ${used} }`))).toEqual([
    'MESH1109 Gateway shop/wp: label istio.io/waypoint-for=services counts as "service"; it takes service, workload, all, none',
  ]);
});

test('a namespace of a waypoint without its name', () => {
  expect(foundIn(waypointUse, namespace('{ istio.io/use-waypoint-namespace: infra }'))).toEqual([
    'MESH1108 Namespace shop has the label istio.io/use-waypoint-namespace and no istio.io/use-waypoint: no waypoint is named',
  ]);
  expect(foundIn(waypointUse, namespace(`{ istio.io/use-waypoint-namespace: infra, ${used} }`))).toEqual([]);
});

test('a revision that no controller has', () => {
  const controller = (revision: string) => `
---
apiVersion: v1
kind: Pod
metadata: { name: istiod-1, namespace: istio-system, labels: { app: istiod, istio.io/rev: ${revision} } }
spec: { containers: [] }
`;
  const canary = namespace('{ istio.io/rev: canary }');
  expect(foundIn(waypointUse, canary + controller('default'))).toEqual([
    'MESH1107 Namespace shop has the label istio.io/rev=canary, and no controller of that revision runs: its waypoints are deployed by nobody',
  ]);
  expect(foundIn(waypointUse, canary + controller('canary'))).toEqual([]);
  // Who sees no controller cannot tell.
  expect(foundIn(waypointUse, canary)).toEqual([]);
});
