import { expect, test } from 'vitest';
import { gatewayReferences } from '#mesh/inspect/checks/routes-check.js';
import { foundIn } from './configuration.js';

const gateway = (listeners: string, gatewayClass = 'istio') => `
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: { name: istio }
spec: { controllerName: istio.io/gateway-controller }
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec: { ports: [{ port: 80 }] }
---
apiVersion: v1
kind: Service
metadata: { name: api, namespace: back }
spec: { ports: [{ port: 80 }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: gw, namespace: shop }
spec: { gatewayClassName: ${gatewayClass}, listeners: [${listeners}] }
`;
const http = '{ name: http, port: 80, protocol: HTTP }';
const route = (parent: string, backend: string, name = 'r', created = '2026-01-01T00:00:00Z') => `
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ${name}, namespace: shop, creationTimestamp: "${created}" }
spec: { parentRefs: [${parent}], hostnames: [a.example], rules: [{ backendRefs: [${backend}] }] }
`;
const toGateway = '{ name: gw, sectionName: http }';
const toWeb = '{ name: web, port: 80 }';

test('fine: a Gateway and a route that hang together', () => {
  expect(foundIn(gatewayReferences, gateway(http) + route(toGateway, toWeb))).toEqual([]);
});

test('a class that does not exist', () => {
  expect(foundIn(gatewayReferences, gateway(http, 'istoi'))).toEqual([
    'MESH1170 Gateway shop/gw is of class istoi, which does not exist: nobody deploys it; did you mean istio?',
  ]);
});

test('parents that do not exist', () => {
  expect(foundIn(gatewayReferences, gateway(http) + route('{ name: other }', toWeb))).toEqual([
    'MESH1171 HTTPRoute shop/r is attached to nothing: Gateway shop/other does not exist',
  ]);
  const section = '{ name: gw, sectionName: https }';
  expect(foundIn(gatewayReferences, gateway(http) + route(section, toWeb))).toEqual([
    'MESH1171 HTTPRoute shop/r is attached to nothing: Gateway shop/gw has no listener https (it has http)',
  ]);
});

test('backends that do not exist', () => {
  expect(foundIn(gatewayReferences, gateway(http) + route(toGateway, '{ name: wbe, port: 80 }'))).toEqual([
    'MESH1172 HTTPRoute shop/r sends requests to Service shop/wbe, which does not exist: they are answered with an error',
  ]);
  expect(foundIn(gatewayReferences, gateway(http) + route(toGateway, '{ name: web, port: 81 }'))).toEqual([
    'MESH1172 HTTPRoute shop/r sends requests to Service shop/web port 81, which it does not have (it has 80): they are answered with an error',
  ]);
});

test('a backend of another namespace needs its grant', () => {
  const toApi = route(toGateway, '{ name: api, namespace: back, port: 80 }');
  expect(foundIn(gatewayReferences, gateway(http) + toApi)).toEqual([
    'MESH1174 HTTPRoute shop/r may not send requests to Service back/api: no ReferenceGrant in back lets it',
  ]);
  const grant = `
---
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: { name: g, namespace: back }
spec:
  from: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop }]
  to: [{ group: "", kind: Service }]
`;
  expect(foundIn(gatewayReferences, gateway(http) + toApi + grant)).toEqual([]);
});

test('listeners in conflict', () => {
  expect(foundIn(gatewayReferences, gateway(`${http}, { name: two, port: 80, protocol: HTTPS }`))).toEqual([
    'MESH1173 Gateway shop/gw has conflicting listeners: http (HTTP 80) and two (HTTPS 80)',
  ]);
  const byHost = '{ name: two, port: 80, protocol: HTTP, hostname: b.example }';
  expect(foundIn(gatewayReferences, gateway(`${http}, ${byHost}`))).toEqual([]);
});

test('two routes that match the same requests', () => {
  const younger = route(toGateway, toWeb, 'young', '2026-02-01T00:00:00Z');
  expect(foundIn(gatewayReferences, gateway(http) + younger + route(toGateway, toWeb))).toEqual([
    'MESH1175 HTTPRoute shop/young has a match that HTTPRoute shop/r has as well for a.example: the older one gets the requests',
  ]);
});
