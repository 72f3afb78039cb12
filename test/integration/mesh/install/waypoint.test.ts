import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requireNamespace, setNamespaceLabel } from '#mesh/install/namespace-labels.js';
import { applyWaypoint } from '#mesh/install/waypoint/apply-waypoint.js';
import { listWaypoints } from '#mesh/inspect/waypoint-report.js';
import { deleteWaypoints } from '#mesh/install/waypoint/delete-waypoint.js';
import { gateways, namespaces, pods, replicaSets, services } from '#base/kube/resource.js';
import type { Gateway, Namespace } from '#base/kube/types.js';
import { ClusterUnderTest } from './cluster.js';

let cluster: ClusterUnderTest;
beforeAll(async () => {
  cluster = await ClusterUnderTest.start();
  for (const name of ['bare', 'shop', 'bound', 'held']) await cluster.namespace(name);
});
afterAll(() => cluster.stop());

function apply(
  namespace: string,
  over: Partial<Parameters<typeof applyWaypoint>[0]> & { name?: string; trafficType?: string } = {},
): ReturnType<typeof applyWaypoint> {
  const { name = 'waypoint', trafficType, ...rest } = over;
  return applyWaypoint({
    client: cluster.client,
    spec: { name, namespace, trafficType, revision: undefined },
    isEnrolling: true,
    isOverwriting: false,
    waitMs: undefined,
    signal: cluster.signal,
    reporter: cluster.notes,
    ...rest,
  });
}

async function labels(namespace: string): Promise<Record<string, string>> {
  const live = await cluster.client.get<Namespace>({ resource: namespaces, name: namespace });
  return live.metadata.labels ?? {};
}

function gateway(namespace: string, name: string): Promise<Gateway | undefined> {
  return cluster.client.getOrUndefined<Gateway>({ resource: gateways, namespace, name });
}

describe('waypoint apply', () => {
  it('names the missing Gateway API', async () => {
    await expect(apply('bare')).rejects.toMatchObject({ code: 'MESH0315' });
    expect(await labels('bare')).not.toHaveProperty('istio.io/use-waypoint');
    await cluster.install();
  });

  it('creates, labels, and the second time changes nothing', async () => {
    expect(await apply('shop')).toMatchObject({ isChanged: true, isNamespaceLabeled: true });
    expect(await labels('shop')).toMatchObject({ 'istio.io/use-waypoint': 'waypoint' });
    expect(cluster.notes.lines).toContain('waypoint shop/waypoint applied');
    expect(cluster.notes.lines).toContain('namespace shop labeled with "istio.io/use-waypoint: waypoint"');
    expect(cluster.notes.lines.join('\n')).toContain('! namespace shop is not in the mesh');
    expect(await apply('shop')).toMatchObject({ isChanged: false });
  });

  it('applies a changed --for to a waypoint that is used already', async () => {
    expect(await apply('shop', { trafficType: 'all' })).toMatchObject({ isChanged: true });
    const live = await gateway('shop', 'waypoint');
    expect(live?.metadata.labels?.['istio.io/waypoint-for']).toBe('all');
  });

  it('refuses another waypoint for a bound namespace, applying nothing, unless told to overwrite', async () => {
    await expect(apply('shop', { name: 'other' })).rejects.toMatchObject({ code: 'MESH0314' });
    expect(await gateway('shop', 'other')).toBeUndefined();
    await apply('shop', { name: 'other', isOverwriting: true });
    expect(await labels('shop')).toMatchObject({ 'istio.io/use-waypoint': 'other' });
  });

  it('gives up waiting with the reason, and leaves the namespace unbound', async () => {
    await expect(apply('bound', { waitMs: 300 })).rejects.toMatchObject({
      code: 'MESH0318',
      evidence: expect.stringContaining('istiod'),
    });
    expect(await gateway('bound', 'waypoint')).toBeDefined();
    expect(await labels('bound')).not.toHaveProperty('istio.io/use-waypoint');
  });

  it("does not turn somebody's ingress gateway into a waypoint", async () => {
    await cluster.client.create(
      gateways,
      {
        apiVersion: 'gateway.networking.k8s.io/v1',
        kind: 'Gateway',
        metadata: { name: 'ingress' },
        spec: { gatewayClassName: 'istio', listeners: [{ name: 'http', port: 80, protocol: 'HTTP' }] },
      },
      { namespace: 'bare' },
    );
    await expect(apply('bare', { name: 'ingress' })).rejects.toMatchObject({ code: 'MESH0320' });
  });

  it('needs a namespace that exists', async () => {
    await expect(apply('nowhere')).rejects.toMatchObject({ code: 'MESH0313' });
  });
});

describe('waypoint delete', () => {
  const spec = { containers: [{ name: 'c', image: 'meshctl/tool' }] };
  /** A pod that names waypoint b itself; of ReplicaSet cart-1 when that one's uid is given. */
  const podOf = (name: string, owner: string | undefined) =>
    cluster.client.create(
      pods,
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: {
          name,
          labels: { app: 'x', 'istio.io/use-waypoint': 'b' },
          ...(owner === undefined
            ? {}
            : {
                ownerReferences: [
                  { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'cart-1', uid: owner, controller: true },
                ],
              }),
        },
        spec,
      },
      { namespace: 'held' },
    );
  const remove = (names: string[], isDetaching = false): ReturnType<typeof deleteWaypoints> =>
    deleteWaypoints({
      client: cluster.client,
      namespace: 'held',
      names,
      isDetaching,
      reporter: cluster.notes,
    });

  it('refuses while a namespace, a service or a pod uses one, and deletes neither', async () => {
    await apply('held', { name: 'a' });
    await apply('held', { name: 'b', isEnrolling: false });
    await cluster.client.create(
      services,
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'cart', labels: { 'istio.io/use-waypoint': 'b' } },
        spec: { ports: [{ port: 80 }] },
      },
      { namespace: 'held' },
    );
    await podOf('lone', undefined);
    const template = { metadata: { labels: { app: 'x', 'istio.io/use-waypoint': 'b' } }, spec };
    const owner = await cluster.client.create(
      replicaSets,
      {
        apiVersion: 'apps/v1',
        kind: 'ReplicaSet',
        metadata: { name: 'cart-1' },
        spec: { replicas: 0, selector: { matchLabels: { app: 'x' } }, template },
      },
      { namespace: 'held' },
    );
    await podOf('owned', owner.metadata.uid);
    const users = ['Namespace held uses held/a', 'Service held/cart uses held/b'];
    await expect(remove([])).rejects.toMatchObject({
      code: 'MESH0312',
      evidence: [...users, 'Pod held/lone uses held/b', 'Pod held/owned uses held/b'].join('\n'),
    });
    const [, b] = await listWaypoints(cluster.client, { namespace: 'held' });
    expect(b?.users).toEqual(['Service held/cart', 'Pod held/lone', 'Pod held/owned']);
    expect(await gateway('held', 'a')).toBeDefined();
    await expect(remove(['a', 'c'], true)).rejects.toMatchObject({ code: 'MESH0905' });
    expect(await gateway('held', 'a')).toBeDefined();
  });

  it('--detach unbinds them first', async () => {
    await remove([], true);
    expect(await gateway('held', 'a')).toBeUndefined();
    expect(await labels('held')).not.toHaveProperty('istio.io/use-waypoint');
    const cart = await cluster.client.get({ resource: services, namespace: 'held', name: 'cart' });
    expect(cart.metadata.labels ?? {}).not.toHaveProperty('istio.io/use-waypoint');
    const lone = await cluster.client.get({ resource: pods, namespace: 'held', name: 'lone' });
    expect(lone.metadata.labels).toEqual({ app: 'x' });
    const notes = cluster.notes.lines.join('\n');
    expect(notes).toContain('the pods that ReplicaSet held/cart-1 makes anew will name the waypoint again');
  });
});

describe('namespace labels', () => {
  it('are set and removed once', async () => {
    const label = 'istio.io/dataplane-mode';
    const space = await requireNamespace(cluster.client, 'bare');
    expect(await setNamespaceLabel(cluster.client, space, { label, value: 'ambient' })).toBe(true);
    const labeled = await requireNamespace(cluster.client, 'bare');
    expect(await setNamespaceLabel(cluster.client, labeled, { label, value: 'ambient' })).toBe(false);
    expect(await setNamespaceLabel(cluster.client, labeled, { label, value: undefined })).toBe(true);
    expect(await labels('bare')).not.toHaveProperty(label);
  });
});
