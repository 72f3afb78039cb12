import { expect, test } from 'vitest';
import { checkConfiguration, configurationChecks } from '#mesh/inspect/checks/configuration-checks.js';
import { statusConditions } from '#mesh/inspect/checks/status-conditions-check.js';
import { authorizationPolicies, services } from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import { configurationOf, foundIn } from './configuration.js';

const policy = (status: string) => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: p, namespace: shop }
spec: { targetRefs: [{ group: "", kind: Service, name: web }] }
status: { conditions: [{ type: WaypointAccepted, status: "${status}", reason: Why, message: because }] }
`;

test('what the controller does not do is told in its words', () => {
  expect(foundIn(statusConditions, policy('False'))).toEqual([
    'MESH1190 AuthorizationPolicy shop/p: WaypointAccepted is False, Why: because',
  ]);
  expect(foundIn(statusConditions, policy('True'))).toEqual([]);
});

test('only where no check names the cause', () => {
  const object = {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: 'p', namespace: 'shop' },
    spec: { action: 'DENY', targetRefs: [{ group: '', kind: 'Service', name: 'web' }], rules: [{}] },
    status: { conditions: [{ type: 'WaypointAccepted', status: 'False' }] },
  } as KubeObject;
  const found = checkConfiguration(
    configurationOf([
      [authorizationPolicies, [object]],
      [services, []],
    ]),
  );
  expect(found.map(({ code }) => code)).toEqual(['MESH1121']);
});

test('every code has one check', () => {
  const codes = configurationChecks.flatMap((check) => check.codes);
  expect(new Set(codes).size).toBe(codes.length);
});
