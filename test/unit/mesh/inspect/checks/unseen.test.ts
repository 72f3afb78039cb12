import { expect, test } from 'vitest';
import {
  authorizationPolicies,
  gateways,
  namespaces,
  pods,
  services,
  type Resource,
} from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import { checkConfiguration } from '#mesh/inspect/checks/configuration-checks.js';
import { Configuration, kindKey } from '#mesh/inspect/configuration/configuration.js';
import { assumedSettings } from '#mesh/inspect/mesh-settings.js';

/** What a user sees who may read one namespace, and not what it is labeled. */
function ofTenant(
  objects: readonly (readonly [Resource, object])[],
  seesNamespace: boolean,
): readonly string[] {
  const shop = new Set(['shop']);
  const kinds = [services, pods, authorizationPolicies, gateways].map((resource) => {
    const own = objects
      .filter(([kind]) => kind === resource)
      .map(([, rest]) => ({ apiVersion: 'v1', kind: resource.kind, ...rest }) as unknown as KubeObject);
    return [kindKey(resource), { objects: own, seen: shop }] as const;
  });
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } };
  const configuration = new Configuration({
    kinds: new Map([
      ...kinds,
      [kindKey(namespaces), { objects: seesNamespace ? [namespace] : [], seen: new Set<string>() }],
    ]),
    settings: assumedSettings('istio-system'),
    meshNamespace: 'istio-system',
    namespaces: ['shop'],
    unseen: [],
  });
  return checkConfiguration(configuration).map(({ code }) => code);
}

const web = { metadata: { name: 'web', namespace: 'shop' }, spec: { ports: [{ port: 80 }] } };
const deny = {
  metadata: { name: 'deny', namespace: 'shop' },
  spec: { action: 'DENY', targetRefs: [{ group: '', kind: 'Service', name: 'web' }], rules: [{}] },
};
const bySelector = { metadata: { name: 'allow', namespace: 'shop' }, spec: { rules: [{}] } };
const pod = {
  metadata: { name: 'web-1', namespace: 'shop', labels: { app: 'web' } },
  spec: { containers: [] },
};

test('what a namespace is labeled is not guessed: its services may have a waypoint, its pods may be in the mesh', () => {
  const objects = [
    [services, web],
    [authorizationPolicies, deny],
    [authorizationPolicies, bySelector],
    [pods, pod],
  ] as const;
  expect(ofTenant(objects, false)).toEqual([]);
  expect(ofTenant(objects, true)).toEqual(['MESH1120', 'MESH1132']);
});

test('a waypoint in a namespace that cannot be seen is not called missing', () => {
  const labels = { 'istio.io/use-waypoint': 'wp', 'istio.io/use-waypoint-namespace': 'infra' };
  const elsewhere = { ...web, metadata: { ...web.metadata, labels } };
  const objects = [
    [services, elsewhere],
    [authorizationPolicies, deny],
  ] as const;
  expect(ofTenant(objects, true)).toEqual([]);
});
