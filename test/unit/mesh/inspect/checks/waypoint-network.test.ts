import { expect, test } from 'vitest';
import { meshPartsReachable } from '#mesh/inspect/checks/waypoint-network-check.js';
import { foundIn } from './configuration.js';

const world = `
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { istio.io/dataplane-mode: ambient, istio.io/use-waypoint: wp } }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: wp, namespace: shop }
spec: { gatewayClassName: istio-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] }
status: { addresses: [{ value: 10.0.0.9 }] }
---
apiVersion: v1
kind: Pod
metadata: { name: wp-1, namespace: shop, labels: { gateway.networking.k8s.io/gateway-name: wp } }
spec: { containers: [] }
---
apiVersion: v1
kind: Pod
metadata: { name: web-1, namespace: shop, labels: { app: web } }
spec: { containers: [] }
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec: { selector: { app: web }, ports: [{ port: 80 }] }
---
apiVersion: v1
kind: Pod
metadata: { name: istiod-1, namespace: istio-system, labels: { app: istiod } }
spec: { containers: [] }
`;
const policy = (spec: string, namespace = 'shop') => `
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: np, namespace: ${namespace} }
spec: ${spec}
`;
const web = 'podSelector: { matchLabels: { app: web } }';
const ports = 'ports: [{ port: 8080 }, { port: 15008 }]';

test('fine: no policy, or one that admits the waypoint', () => {
  expect(foundIn(meshPartsReachable, world)).toEqual([]);
  const from = '{ podSelector: { matchLabels: { gateway.networking.k8s.io/gateway-name: wp } } }';
  expect(
    foundIn(meshPartsReachable, world + policy(`{ ${web}, ingress: [{ from: [${from}], ${ports} }] }`)),
  ).toEqual([]);
  expect(foundIn(meshPartsReachable, world + policy(`{ podSelector: {}, ingress: [{ ${ports} }] }`))).toEqual(
    [],
  );
});

test('callers are admitted, and the waypoint through which they call is not', () => {
  const from = '{ podSelector: { matchLabels: { app: sleep } } }';
  expect(
    foundIn(meshPartsReachable, world + policy(`{ ${web}, ingress: [{ from: [${from}], ${ports} }] }`)),
  ).toEqual([
    'MESH1144 NetworkPolicy shop/np does not admit waypoint shop/wp, from which calls to Service shop/web arrive: they fail',
  ]);
});

test('a policy for all pods closes the waypoint', () => {
  expect(
    foundIn(
      meshPartsReachable,
      world + policy('{ podSelector: {}, ingress: [{ ports: [{ port: 8080 }] }] }'),
    ),
  ).toEqual([
    'MESH1143 NetworkPolicy shop/np lets nobody call waypoint shop/wp on port 15008: calls to the services behind it time out',
    'MESH1144 NetworkPolicy shop/np does not admit waypoint shop/wp, from which calls to Service shop/web arrive: they fail',
  ]);
});

test('a policy of the namespace of the mesh closes the controller', () => {
  const closed = policy('{ podSelector: {}, ingress: [{ ports: [{ port: 443 }] }] }', 'istio-system');
  expect(foundIn(meshPartsReachable, world + closed)).toEqual([
    'MESH1145 NetworkPolicy istio-system/np lets nobody call the controller on port 15012: proxies get no configuration and no certificates',
  ]);
  const open = policy(
    '{ podSelector: {}, ingress: [{ ports: [{ port: 15000, endPort: 15020 }] }] }',
    'istio-system',
  );
  expect(foundIn(meshPartsReachable, world + open)).toEqual([]);
});

test('a policy that lets nothing out cuts the waypoint off from the controller', () => {
  const closed = policy('{ podSelector: {}, policyTypes: [Egress], egress: [{ ports: [{ port: 8080 }] }] }');
  expect(foundIn(meshPartsReachable, world + closed)).toEqual([
    'MESH1146 NetworkPolicy shop/np does not let waypoint shop/wp call the controller on port 15012: it gets no configuration and no certificates',
  ]);
  const to = '{ namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: istio-system } } }';
  const system = `
---
apiVersion: v1
kind: Namespace
metadata: { name: istio-system, labels: { kubernetes.io/metadata.name: istio-system } }
`;
  const open = policy(
    `{ podSelector: {}, policyTypes: [Egress], egress: [{ to: [${to}], ports: [{ port: 15012 }] }] }`,
  );
  expect(foundIn(meshPartsReachable, world + system + open)).toEqual([]);
});
