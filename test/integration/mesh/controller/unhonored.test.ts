import { afterAll, beforeAll, expect, test } from 'vitest';
import * as resources from '#base/kube/resource.js';
import { unhonoredConfiguration } from '#mesh/inspect/checks/unhonored-check.js';
import { readConfiguration } from '#mesh/inspect/configuration/live-configuration.js';
import { MeshObserver } from '#mesh/inspect/mesh-observer.js';
import { kindSupport } from '#mesh/rules/support/kinds.js';
import { eventually } from '../../sandbox/apiserver/api-under-test.js';
import { MeshUnderTest } from './mesh-under-test.js';

let mesh: MeshUnderTest;

beforeAll(async () => {
  mesh = await MeshUnderTest.startApi();
  await mesh.installCrds();
  await mesh.begin();
  await mesh.create(resources.namespaces, { metadata: { name: 'shop' } });
});
afterAll(() => mesh.stop());

const messages = async () => {
  const observer = new MeshObserver(mesh.client, 'istio-system');
  const configuration = await readConfiguration(observer, { resources: unhonoredConfiguration.reads });
  return unhonoredConfiguration.run(configuration).map(({ message }) => message);
};

test('a cluster without them has no findings', async () => {
  expect(await messages()).toEqual([]);
});

test('every kind that nothing acts on is found, and fields, labels and annotations', async () => {
  await mesh.create(resources.gateways, {
    metadata: { namespace: 'shop', name: 'waypoint' },
    spec: {
      gatewayClassName: 'istio-waypoint',
      listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE', hostname: 'a.example' }],
    },
  } as never);
  await mesh.create(resources.gateways, {
    metadata: { namespace: 'shop', name: 'of-others' },
    spec: {
      gatewayClassName: 'other',
      listeners: [{ name: 'web', port: 80, protocol: 'HTTP', hostname: 'a.example' }],
    },
  } as never);
  await mesh.create(resources.httpRoutes, {
    metadata: { namespace: 'shop', name: 'of-others' },
    spec: { parentRefs: [{ name: 'of-others' }] },
  } as never);
  await mesh.create(resources.namespaces, {
    metadata: { name: 'old', labels: { 'istio-injection': 'enabled' } },
  });
  await mesh.api.ok(['apply', '-f', 'test/integration/mesh/controller/unhonored.yaml']);
  const unhonored = kindSupport.filter(({ treatment }) => treatment !== 'honored');
  const silent = ['BackendTLSPolicy', 'ReferenceGrant'];
  const expected = [
    ...unhonored.map(({ resource }) => resource.kind).filter((kind) => !silent.includes(kind)),
    'Gateway',
    'Namespace',
    'PeerAuthentication',
  ].sort();
  const kindsFound = async () => (await messages()).map((message) => message.split(' ')[0] ?? '').sort();
  await eventually(async () => (await kindsFound()).length === expected.length).catch(() => undefined);
  expect(await kindsFound()).toEqual(expected);
  const text = (await messages()).join('\n');
  expect(text).toContain('Gateway shop/waypoint: spec.listeners[0].hostname: ');
  expect(text).toContain('Namespace old: label istio-injection: ');
  expect(text).toContain('PeerAuthentication shop/x: spec.mtls.mode: ');
  expect(text).not.toContain('of-others');
});
