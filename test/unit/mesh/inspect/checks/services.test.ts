import { expect, test } from 'vitest';
import { servicesCheck } from '#mesh/inspect/checks/services-check.js';
import { foundIn } from './configuration.js';

const world = `
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { istio.io/dataplane-mode: ambient } }
---
apiVersion: v1
kind: Pod
metadata: { name: web-1, namespace: shop, labels: { app: web } }
spec: { containers: [{ name: web, ports: [{ name: http, containerPort: 8080 }] }] }
`;
const service = (spec: string, labels = '{}') => `
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop, labels: ${labels} }
spec: ${spec}
`;
const policy = `
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: p, namespace: shop }
spec:
  targetRefs: [{ group: "", kind: Service, name: web }]
  rules: [{ to: [{ operation: { methods: [GET] } }] }]
`;

test('fine: ports by number and by a name that is there, with a policy about HTTP', () => {
  const ports = '[{ port: 80, name: http, targetPort: http }, { port: 81, name: x, targetPort: 8081 }]';
  expect(
    foundIn(servicesCheck, world + service(`{ selector: { app: web }, ports: ${ports} }`) + policy),
  ).toEqual([]);
});

test('a port with a name that no pod has', () => {
  const ports = '[{ port: 80, targetPort: htpp }]';
  expect(foundIn(servicesCheck, world + service(`{ selector: { app: web }, ports: ${ports} }`))).toEqual([
    'MESH1161 Service shop/web port 80 leads nowhere: none of its pods has a container port named "htpp"',
  ]);
});

test('a headless Service, or a name in DNS, with a policy or a waypoint of its own', () => {
  const headless = '{ clusterIP: None, selector: { app: web }, ports: [{ port: 80 }] }';
  expect(foundIn(servicesCheck, world + service(headless) + policy)).toEqual([
    'MESH1162 Service shop/web is headless: callers call its pods by their addresses: calls to it go past its waypoint, without AuthorizationPolicy p',
  ]);
  const named = service('{ type: ExternalName, externalName: a.example }', '{ istio.io/use-waypoint: wp }');
  expect(foundIn(servicesCheck, world + named)).toEqual([
    'MESH1162 Service shop/web is an ExternalName, which is only a name in DNS: calls to it go past its waypoint, without label istio.io/use-waypoint=wp',
  ]);
  expect(foundIn(servicesCheck, world + service(headless))).toEqual([]);
});

test('a policy about HTTP where every port is declared as something else', () => {
  const ports = '[{ port: 80, name: tcp-web }, { port: 443, appProtocol: https }]';
  expect(
    foundIn(servicesCheck, world + service(`{ selector: { app: web }, ports: ${ports} }`) + policy),
  ).toEqual([
    'MESH1163 AuthorizationPolicy shop/p has rules about HTTP, and no port of Service shop/web is HTTP: 80 (name "tcp-web"), 443 (appProtocol "https")',
  ]);
});
