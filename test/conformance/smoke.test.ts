import { expect, test } from 'vitest';
import { configMaps, namespaces } from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import { eventually } from '../harness/cluster.js';
import { describeServers } from './servers.js';

describeServers('a cluster that just started', (server) => {
  test('says which version it is', async () => {
    const answer = await server().raw({ path: '/version' });
    expect(answer.status).toBe(200);
    expect(answer.json()).toMatchObject({ major: '1', gitVersion: server().api.identity.version });
  });

  test('has the namespaces of every cluster', async () => {
    const names = (await server().client.list(namespaces)).map((n) => n.metadata.name);
    expect(names).toEqual(
      expect.arrayContaining(['default', 'kube-system', 'kube-public', 'kube-node-lease']),
    );
  });

  test('refuses strangers', async () => {
    const anonymous = await server().raw({ path: '/api/v1/secrets', as: { kind: 'anonymous' } });
    expect(anonymous.status).toBe(403);
    expect(anonymous.json()).toMatchObject({
      kind: 'Status',
      reason: 'Forbidden',
      message:
        'secrets is forbidden: User "system:anonymous" cannot list resource "secrets" in API group "" at the cluster scope',
    });
    const token = await server().raw({ path: '/api/v1/secrets', as: { kind: 'token', token: 'nonsense' } });
    expect(token.status).toBe(401);
    const user = await server().raw({ path: '/api/v1/secrets', as: { kind: 'certificate', user: 'jane' } });
    expect(user.status).toBe(403);
  });

  test('furnishes a new namespace', async () => {
    const namespace = await server().namespace('furnished');
    const ca = await eventually(
      () =>
        server().client.get<KubeObject & { data: Record<string, string> }>({
          resource: configMaps,
          namespace,
          name: 'kube-root-ca.crt',
        }),
      { timeoutMs: 10_000 },
    );
    expect(ca.data['ca.crt']).toBe(server().api.caPem);
  });
});
