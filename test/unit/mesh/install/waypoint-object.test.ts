import { expect, it } from 'vitest';
import { waypointObject } from '#mesh/install/waypoint/waypoint-object.js';

const plain = { name: 'waypoint', namespace: undefined, trafficType: undefined, revision: undefined };

it('is the Gateway that istioctl writes', () => {
  expect(waypointObject({ ...plain, namespace: 'shop', trafficType: 'all', revision: 'canary' })).toEqual({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: {
      name: 'waypoint',
      namespace: 'shop',
      labels: { 'istio.io/waypoint-for': 'all', 'istio.io/rev': 'canary' },
    },
    spec: {
      gatewayClassName: 'istio-waypoint',
      listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE' }],
    },
  });
});

it('has no labels and no namespace that nobody asked for', () => {
  expect(waypointObject(plain).metadata).toEqual({ name: 'waypoint' });
});

it.each(['none', 'Upper', '-a', 'a.b', 'x'.repeat(64)])('refuses the name %s', (name) => {
  expect(() => waypointObject({ ...plain, name })).toThrow(expect.objectContaining({ code: 'MESH0103' }));
});
