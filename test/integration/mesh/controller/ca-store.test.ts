import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadCaMaterial } from '#mesh/controller/authority/ca-store.js';
import { CertificateAuthority } from '#mesh/identity/ca/authority.js';
import { KubeClient } from '#base/kube/client.js';
import * as resources from '#base/kube/resource.js';
import type { Secret } from '#base/kube/types.js';
import { ApiUnderTest } from '../../sandbox/apiserver/api-under-test.js';

let api: ApiUnderTest;
let client: KubeClient;

beforeAll(async () => {
  api = await ApiUnderTest.start();
  client = await KubeClient.fromKubeconfig({ kubeconfig: api.kubeconfig });
});

afterAll(async () => {
  client?.close();
  await api?.stop();
});

async function namespaceFor(name: string): Promise<{
  load: () => ReturnType<typeof loadCaMaterial>;
  secret: resources.ObjectRef;
}> {
  await client.create(resources.namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  return {
    load: () =>
      loadCaMaterial({
        client,
        systemNamespace: name,
        trustDomain: 'mesh.example',
        pluggedDir: '/nonexistent',
      }),
    secret: { resource: resources.secrets, namespace: name, name: 'istio-ca-secret' },
  };
}

test('replicas that start together end up with one root, which later ones load', async () => {
  const { load, secret } = await namespaceFor('together');
  const loaded = await Promise.all([load(), load(), load(), load()]);
  const roots = new Set(loaded.map(({ material }) => material.rootPem));
  expect(roots.size).toBe(1);
  for (const { material } of loaded) {
    // Key and certificate belong together in every one of them.
    expect((await CertificateAuthority.load(material)).rootPem).toBe(material.rootPem);
  }
  expect((await load()).material).toEqual(loaded[0]?.material);
  const stored = await client.get<Secret>(secret);
  expect(stored.type).toBe('istio.io/ca-root');
  expect(Object.keys(stored.data ?? {}).sort()).toEqual([
    'ca-cert.pem',
    'ca-key.pem',
    'cert-chain.pem',
    'key.pem',
    'root-cert.pem',
  ]);
});

test('a Secret without a key is refused, not replaced: its certificates are still in use', async () => {
  const { load, secret } = await namespaceFor('damaged');
  await load();
  const before = await client.get<Secret>(secret);
  await client.patch(secret, { data: { 'ca-key.pem': null } });
  await expect(load()).rejects.toMatchObject({ code: 'MESH0402' });
  const { data } = await client.get<Secret>(secret);
  expect(data?.['ca-cert.pem']).toBe(before.data?.['ca-cert.pem']);
  expect(data).not.toHaveProperty('ca-key.pem');
});

test('a Secret of upstream, which has no root of its own, is its own root', async () => {
  const { load, secret } = await namespaceFor('upstream');
  const { material } = await load();
  await client.patch(secret, { data: { 'root-cert.pem': null, 'cert-chain.pem': null } });
  expect((await load()).material).toEqual({ ...material, chainPem: '', rootPem: material.certPem });
});
