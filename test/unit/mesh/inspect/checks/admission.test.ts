import { expect, test } from 'vitest';
import { meshPodAdmission } from '#mesh/inspect/checks/admission-check.js';
import { foundIn } from './configuration.js';

const waypoint = (status: string) => `
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: wp, namespace: shop }
spec: { gatewayClassName: istio-waypoint, listeners: [] }
status: { conditions: [{ type: Programmed, status: "${status}" }] }
`;
const quota = (used: number) => `
---
apiVersion: v1
kind: ResourceQuota
metadata: { name: q, namespace: shop }
spec: { hard: { pods: "3" } }
status: { hard: { pods: "3" }, used: { pods: "${used}" } }
`;

test('a quota that is used up, where a waypoint waits', () => {
  expect(foundIn(meshPodAdmission, waypoint('False') + quota(3))).toEqual([
    'MESH1180 ResourceQuota shop/q is used up (pods: 3 of 3): waypoint wp cannot be deployed',
  ]);
});

test('fine: room left, or a waypoint that runs', () => {
  expect(foundIn(meshPodAdmission, waypoint('False') + quota(2))).toEqual([]);
  expect(foundIn(meshPodAdmission, waypoint('True') + quota(3))).toEqual([]);
});

test('a level that refuses node agents', () => {
  const namespace = (level: string) => `
apiVersion: v1
kind: Namespace
metadata: { name: istio-system, labels: { pod-security.kubernetes.io/enforce: ${level} } }
`;
  expect(foundIn(meshPodAdmission, namespace('baseline'))).toEqual([
    'MESH1181 Namespace istio-system enforces Pod Security level baseline, which refuses the node agents of the mesh',
  ]);
  expect(foundIn(meshPodAdmission, namespace('privileged'))).toEqual([]);
});
