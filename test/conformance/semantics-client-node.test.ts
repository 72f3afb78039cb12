import {
  ApiException,
  AppsV1Api,
  AuthorizationV1Api,
  CoreV1Api,
  CustomObjectsApi,
  KubeConfig,
  KubernetesObjectApi,
  PatchStrategy,
  setHeaderOptions,
  type V1ConfigMap,
} from '@kubernetes/client-node';
import { readFileSync } from 'node:fs';
import { beforeAll, expect, test } from 'vitest';
import { describeServers } from './servers.js';

describeServers('@kubernetes/client-node', (server) => {
  let config: KubeConfig;
  let core: CoreV1Api;
  let namespace: string;
  beforeAll(async () => {
    config = new KubeConfig();
    config.loadFromString(readFileSync(server().kubeconfig, 'utf8'));
    core = config.makeApiClient(CoreV1Api);
    namespace = await server().namespace('node');
  });

  test('creates, reads, replaces, lists and deletes', async () => {
    const created = await core.createNamespacedConfigMap({
      namespace,
      body: { metadata: { name: 'c', labels: { l: '1' } }, data: { a: '1' } },
    });
    expect(created.metadata?.creationTimestamp).toBeInstanceOf(Date);
    const read = await core.readNamespacedConfigMap({ namespace, name: 'c' });
    const replaced = await core.replaceNamespacedConfigMap({
      namespace,
      name: 'c',
      body: Object.assign(read, { data: { a: '2' } }),
    });
    expect(replaced.data).toEqual({ a: '2' });
    const stale = core.replaceNamespacedConfigMap({ namespace, name: 'c', body: read });
    await expect(stale).rejects.toBeInstanceOf(ApiException);
    await expect(stale).rejects.toMatchObject({ code: 409 });
    const list = await core.listNamespacedConfigMap({ namespace, labelSelector: 'l in (1,2)', limit: 1 });
    expect(list.items.map((o) => o.metadata?.name)).toEqual(['c']);
    const deleted = await core.deleteNamespacedConfigMap({ namespace, name: 'c' });
    expect(deleted).toMatchObject({ kind: 'Status', status: 'Success' });
    await expect(core.readNamespacedConfigMap({ namespace, name: 'c' })).rejects.toMatchObject({ code: 404 });
  });

  test('patches in every way', async () => {
    const objects = KubernetesObjectApi.makeApiClient(config);
    const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'p', namespace } };
    await objects.create<V1ConfigMap>({ ...body, data: { a: '1' } });
    const merged = await objects.patch<V1ConfigMap>(
      { ...body, data: { b: '2' } },
      undefined,
      undefined,
      undefined,
      undefined,
      PatchStrategy.MergePatch,
    );
    expect(merged.data).toEqual({ a: '1', b: '2' });
    const strategic = await objects.patch<V1ConfigMap>(
      { ...body, data: { c: '3' } },
      undefined,
      undefined,
      undefined,
      undefined,
      PatchStrategy.StrategicMergePatch,
    );
    expect(strategic.data).toEqual({ a: '1', b: '2', c: '3' });
    const applied = await objects.patch<V1ConfigMap>(
      { ...body, data: { d: '4' } },
      undefined,
      undefined,
      'node-client',
      undefined,
      PatchStrategy.ServerSideApply,
    );
    expect(applied.data).toEqual({ a: '1', b: '2', c: '3', d: '4' });
    const json = await core.patchNamespacedConfigMap(
      { namespace, name: 'p', body: [{ op: 'remove', path: '/data/a' }] },
      setHeaderOptions('Content-Type', PatchStrategy.JsonPatch),
    );
    expect(json.data).toEqual({ b: '2', c: '3', d: '4' });
  });

  test('scales, and asks what it may', async () => {
    const apps = config.makeApiClient(AppsV1Api);
    const labels = { a: 'b' };
    const spec = {
      replicas: 1,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i' }] } },
    };
    await apps.createNamespacedDeployment({ namespace, body: { metadata: { name: 'd' }, spec } });
    const scale = await apps.readNamespacedDeploymentScale({ namespace, name: 'd' });
    const scaled = await apps.replaceNamespacedDeploymentScale({
      namespace,
      name: 'd',
      body: Object.assign(scale, { spec: { replicas: 3 } }),
    });
    expect(scaled.spec?.replicas).toBe(3);
    const review = await config.makeApiClient(AuthorizationV1Api).createSelfSubjectAccessReview({
      body: { spec: { resourceAttributes: { verb: 'delete', resource: 'nodes' } } },
    });
    expect(review.status?.allowed).toBe(true);
  });

  test('works with custom resources', async () => {
    const objects = KubernetesObjectApi.makeApiClient(config);
    const group = 'node.example.com';
    await objects.create({
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: `things.${group}` },
      spec: {
        group,
        scope: 'Namespaced',
        names: { plural: 'things', kind: 'Thing' },
        versions: [
          {
            name: 'v1',
            served: true,
            storage: true,
            schema: {
              openAPIV3Schema: {
                type: 'object',
                properties: {
                  spec: { type: 'object', properties: { size: { type: 'integer', _default: 7 } } },
                },
              },
            },
          },
        ],
      },
    } as object);
    const custom = config.makeApiClient(CustomObjectsApi);
    const at = { group, version: 'v1', namespace, plural: 'things' };
    const body = { apiVersion: `${group}/v1`, kind: 'Thing', metadata: { name: 't' }, spec: {} };
    await expect
      .poll(
        () =>
          custom.createNamespacedCustomObject({ ...at, body }).then(
            () => 'made',
            (e: ApiException<unknown>) => e.code,
          ),
        { timeout: 10_000 },
      )
      .toBe('made');
    expect(await custom.getNamespacedCustomObject({ ...at, name: 't' })).toMatchObject({ spec: { size: 7 } });
  });
});
