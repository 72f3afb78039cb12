import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readInventory } from '#mesh/install/apply/inventory.js';
import { isWrite } from '#mesh/install/installer.js';
import { precheck } from '#mesh/install/precheck.js';
import { verifyInstallation } from '#mesh/install/verify/verify.js';
import {
  clusterRoles,
  configMaps,
  customResourceDefinitions,
  daemonSets,
  deployments,
  namespaces,
} from '#base/kube/resource.js';
import type { ConfigMap, CustomResourceDefinition, Deployment } from '#base/kube/types.js';
import { ClusterUnderTest, meshNamespace } from './cluster.js';

let cluster: ClusterUnderTest;
beforeEach(async () => {
  cluster = await ClusterUnderTest.start();
});
afterEach(() => cluster.stop());

const gatewayCrd = 'gateways.gateway.networking.k8s.io';

async function findingsOf(subject: string): Promise<string[]> {
  const { client, signal } = cluster;
  const found = await verifyInstallation({ client, namespace: meshNamespace, signal, now: Date.now() });
  return found.checks
    .filter((c) => c.subject.includes(subject) && c.finding !== undefined)
    .map((c) => `${c.finding?.code} ${c.finding?.message}`);
}

describe('install', () => {
  it('writes nothing while it plans, records what it applied, and then has nothing to do', async () => {
    const plan = await cluster.plan();
    expect(plan.changes.every((c) => c.action === 'create')).toBe(true);
    const at = { resource: namespaces, name: meshNamespace };
    expect(await cluster.client.getOrUndefined(at)).toBeUndefined();

    await cluster.install();
    const inventory = await readInventory(cluster.client, meshNamespace);
    expect(inventory).toMatchObject({ isComplete: true, profile: 'ambient', version: '9.9.9' });
    expect(inventory?.objects).toHaveLength(plan.changes.length);
    for (const object of inventory?.objects ?? []) {
      expect(object.metadata.labels).toMatchObject({ 'app.kubernetes.io/managed-by': 'meshctl' });
    }

    const again = await cluster.plan();
    expect(again.changes.filter(isWrite)).toEqual([]);
    expect(again.prune).toEqual([]);
  });

  it('removes what the new values no longer have, never CRDs', async () => {
    await cluster.install({ set: ['values.pilot.replicaCount=2'] });
    const plan = await cluster.install({ profile: 'minimal' });
    const pruned = plan.prune.map((o) => `${o.kind} ${o.metadata.name}`);
    expect(pruned).toEqual(expect.arrayContaining(['DaemonSet ztunnel', 'PodDisruptionBudget istiod']));
    expect(pruned.join()).not.toContain('CustomResourceDefinition');
    const ztunnel = { resource: daemonSets, name: 'ztunnel', namespace: meshNamespace };
    expect(await cluster.client.getOrUndefined(ztunnel)).toBeUndefined();
  });

  it("leaves somebody else's Gateway API alone, and still verifies", async () => {
    const planned = (await cluster.plan()).changes.find((c) => c.planned.object.metadata.name === gatewayCrd);
    if (planned === undefined) throw new Error('no Gateway CRD in the plan');
    const foreign = structuredClone(planned.planned.object) as CustomResourceDefinition;
    foreign.metadata = {
      name: gatewayCrd,
      labels: { owner: 'somebody' },
      // Groups below k8s.io need it.
      annotations: { 'api-approved.kubernetes.io': 'https://github.com/kubernetes-sigs/gateway-api' },
    };
    await cluster.client.create(customResourceDefinitions, foreign);
    const before = await cluster.client.get({ resource: customResourceDefinitions, name: gatewayCrd });

    const plan = await cluster.install();
    expect(plan.changes.find((c) => c.planned.object.metadata.name === gatewayCrd)).toMatchObject({
      action: 'keep',
    });
    const after = await cluster.client.get({ resource: customResourceDefinitions, name: gatewayCrd });
    expect(after.metadata.resourceVersion).toBe(before.metadata.resourceVersion);
    expect(after.metadata.labels).toEqual({ owner: 'somebody' });
    const inventory = await readInventory(cluster.client, meshNamespace);
    expect(inventory?.objects.some((o) => o.metadata.name === gatewayCrd)).toBe(false);
    expect(await findingsOf(gatewayCrd)).toEqual([]);
  });

  it('puts back what somebody changed in its own objects, without --force', async () => {
    await cluster.install();
    const drifted = { name: 'discovery', env: [{ name: 'CLUSTER_ID', value: 'drifted' }] };
    await cluster.client.patch(
      { resource: deployments, name: 'istiod', namespace: meshNamespace },
      { spec: { template: { spec: { containers: [drifted] } } } },
      'strategic',
      { fieldManager: 'somebody' },
    );
    expect((await findingsOf('Deployment istio-system/istiod')).join()).toContain('MESH0331');
    await cluster.install();
    const live = await cluster.client.get<Deployment>({
      resource: deployments,
      name: 'istiod',
      namespace: meshNamespace,
    });
    expect(live.spec.template.spec.containers[0]?.env).toContainEqual({
      name: 'CLUSTER_ID',
      value: 'Kubernetes',
    });
  });

  it('refuses to take fields of an object that is not its own, and changes nothing', async () => {
    await cluster.namespace(meshNamespace);
    const mine: ConfigMap = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'istio', namespace: meshNamespace },
      data: { mesh: 'trustDomain: mine' },
    };
    await cluster.client.apply(configMaps, mine, { fieldManager: 'somebody' });
    await expect(cluster.plan()).rejects.toMatchObject({ code: 'MESH0307' });
    expect(
      await cluster.client.getOrUndefined({ resource: clusterRoles, name: 'istio-cni' }),
    ).toBeUndefined();
    await expect(cluster.plan({}, true)).resolves.toBeDefined();
  });

  it('refuses a cluster with another Istio', async () => {
    await cluster.namespace('other');
    const plan = await cluster.plan();
    const own = plan.changes.find((c) => c.planned.object.kind === 'DaemonSet')?.planned.object;
    await cluster.client.create(
      daemonSets,
      { ...own, metadata: { name: 'ztunnel', namespace: 'other', labels: { app: 'ztunnel' } } },
      { namespace: 'other' },
    );
    await expect(cluster.plan()).rejects.toMatchObject({ code: 'MESH0305' });
  });
});

describe('verify-install', () => {
  it('says that nothing is installed', async () => {
    await expect(findingsOf('')).rejects.toMatchObject({ code: 'MESH0309' });
  });

  it('finds a missing object, a missing CRD, and components that do not run', async () => {
    await cluster.install();
    expect((await findingsOf('Controller')).join()).toContain('MESH0335');
    expect((await findingsOf('Deployment istio-system/istiod')).join()).toContain('MESH0332');
    const crd = 'authorizationpolicies.security.istio.io';
    expect(await findingsOf(crd)).toEqual([]);
    await cluster.client.delete({ resource: customResourceDefinitions, name: crd });
    await cluster.client.delete({
      resource: configMaps,
      name: 'istio-cni-config',
      namespace: meshNamespace,
    });
    expect((await findingsOf('istio-cni-config')).join()).toContain('MESH0330');
    expect((await findingsOf(crd)).join()).toContain('MESH0334');
  });
});

it('verify-install finds settings that make no sense', async () => {
  await cluster.install();
  const broken = [
    ['istio', { mesh: 'waypointFailurePolicy: maybe' }, 'waypointFailurePolicy is maybe'],
    ['istio-cni-config', { AMBIENT_ENABLEMENT_SELECTOR: 'x: [' }, 'AMBIENT_ENABLEMENT_SELECTOR is not YAML'],
  ] as const;
  for (const [name, data, problem] of broken) {
    const subject = `ConfigMap ${meshNamespace}/${name}`;
    expect(await findingsOf(subject)).toEqual([]);
    const at = { resource: configMaps, namespace: meshNamespace, name };
    await cluster.client.patch(at, { data });
    const found = (await findingsOf(subject)).find((finding) => finding.startsWith('MESH0337'));
    expect(found).toContain(problem);
  }
});

it('verify-install finds what uses a waypoint that does not exist', async () => {
  await cluster.install();
  await cluster.namespace('shop', { 'istio.io/use-waypoint': 'gone' });
  expect(await findingsOf('Namespace shop')).toEqual([
    'MESH0924 waypoint shop/gone is not ready (no such Gateway): calls through it are refused',
  ]);
  await cluster.client.patch(
    { resource: namespaces, name: 'shop' },
    { metadata: { labels: { 'istio.io/use-waypoint': 'none' } } },
  );
  expect(await findingsOf('Namespace shop')).toEqual([]);
});

describe('precheck', () => {
  const look = async (): Promise<Record<string, string | undefined>> => {
    const { client, signal } = cluster;
    const found = await precheck(client, { namespace: meshNamespace, clientVersion: '9.9.9', signal });
    return Object.fromEntries(found.checks.map((c) => [`${c.subject} ${c.fact}`, c.finding?.message]));
  };

  it('holds what holds, and names what does not', async () => {
    await cluster.namespace(meshNamespace, { 'pod-security.kubernetes.io/enforce': 'restricted' });
    const found = await look();
    expect(found['Permissions suffice for an installation']).toBeUndefined();
    expect(found['Nodes are there']).toContain('there are none');
    expect(found[`Namespace ${meshNamespace} admits node agents`]).toContain('restricted');
  });
});
