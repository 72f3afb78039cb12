import { afterEach, beforeEach, expect, it } from 'vitest';
import { planUninstall, uninstall, type UninstallReport } from '#mesh/install/uninstall/uninstall.js';
import { applyWaypoint } from '#mesh/install/waypoint/apply-waypoint.js';
import {
  clusterRoles,
  configMaps,
  customResourceDefinitions,
  namespaces,
  secrets,
} from '#base/kube/resource.js';
import type { ConfigMap, Namespace, Secret } from '#base/kube/types.js';
import { ClusterUnderTest, meshNamespace } from './cluster.js';

let cluster: ClusterUnderTest;
beforeEach(async () => {
  cluster = await ClusterUnderTest.start();
  await cluster.install();
  await cluster.namespace('shop', { 'istio.io/dataplane-mode': 'ambient' });
  await applyWaypoint({
    client: cluster.client,
    spec: { name: 'waypoint', namespace: 'shop', trafficType: undefined, revision: undefined },
    isEnrolling: true,
    isOverwriting: false,
    waitMs: undefined,
    signal: cluster.signal,
    reporter: cluster.notes,
  });
  const root: ConfigMap = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'istio-ca-root-cert' },
    data: { 'root-cert.pem': 'x' },
  };
  await cluster.client.create(configMaps, root, { namespace: 'shop' });
  for (const name of ['istio-ca-secret', 'istio-ca-trust']) {
    const secret: Secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name } };
    await cluster.client.create(secrets, secret, { namespace: meshNamespace });
  }
});
afterEach(() => cluster.stop());

async function run(isPurge: boolean): Promise<UninstallReport> {
  const { client, signal, notes } = cluster;
  const plan = await planUninstall(client, { namespace: meshNamespace, isPurge });
  const report = await uninstall(plan, {
    client,
    namespace: meshNamespace,
    isPurge,
    isForced: false,
    // No namespace controller runs here, so a namespace that goes must go at once.
    timeoutMs: 3_000,
    signal,
    reporter: notes,
  });
  // What a dry run shows is what is done.
  expect([...plan.removals].sort()).toEqual([...report.removed].sort());
  expect([...plan.kept]).toEqual([...report.kept]);
  return report;
}

const authority = async (): Promise<string[]> =>
  (await cluster.client.list<Secret>(secrets, { namespace: meshNamespace })).map((s) => s.metadata.name);
const shopRoot = { resource: configMaps, name: 'istio-ca-root-cert', namespace: 'shop' };

async function labelsOfShop(): Promise<Record<string, string>> {
  const shop = await cluster.client.get<Namespace>({ resource: namespaces, name: 'shop' });
  return shop.metadata.labels ?? {};
}

it('without --purge removes the mesh and keeps configuration, namespace and authority', async () => {
  const report = await run(false);
  expect(report.left).toEqual([]);
  const { client } = cluster;
  expect((await client.list(clusterRoles)).filter((r) => r.metadata.name.includes('istio'))).toEqual([]);
  expect(await client.getOrUndefined(shopRoot)).toBeUndefined();
  expect(await authority()).toEqual(['istio-ca-secret', 'istio-ca-trust']);
  expect(await client.getOrUndefined({ resource: namespaces, name: meshNamespace })).toBeDefined();
  expect((await client.list(customResourceDefinitions)).length).toBeGreaterThan(10);
  expect(await labelsOfShop()).toMatchObject({
    'istio.io/use-waypoint': 'waypoint',
    'istio.io/dataplane-mode': 'ambient',
  });
  const kept = report.kept.map((k) => k.object);
  expect(kept).toContain(`Namespace ${meshNamespace}`);
  expect(kept).toContain('label istio.io/dataplane-mode=ambient of Namespace shop');
  await expect(planUninstall(client, { namespace: meshNamespace, isPurge: false })).rejects.toMatchObject({
    code: 'MESH0309',
  });

  // What is left can still be purged.
  const { inventory } = await planUninstall(client, { namespace: meshNamespace, isPurge: true });
  expect(inventory.objects.map((o) => o.kind)).toContain('CustomResourceDefinition');
});

it('with --purge removes waypoints, bindings, kinds and authority, and keeps what the user wants of the mesh', async () => {
  // The namespace is somebody else's, so that it need not end here.
  await cluster.client.patch(
    { resource: namespaces, name: meshNamespace },
    { metadata: { labels: { 'app.kubernetes.io/managed-by': null } } },
  );
  const report = await run(true);
  expect(report.left).toEqual([]);
  expect(report.kept.map((k) => `${k.object}: ${k.why}`)).toContain(
    `Namespace ${meshNamespace}: it was there before the mesh`,
  );
  const { client } = cluster;
  const crds = await client.list(customResourceDefinitions);
  expect(crds.filter((c) => /istio\.io|gateway\.networking/.test(c.metadata.name))).toEqual([]);
  expect(await authority()).toEqual([]);
  expect(await labelsOfShop()).not.toHaveProperty('istio.io/use-waypoint');
  expect(await labelsOfShop()).toMatchObject({ 'istio.io/dataplane-mode': 'ambient' });
});
