import { beforeAll, expect, test } from 'vitest';
import type { JsonObject } from '#sandbox/base/json.js';
import { describeServers, type RawAnswer } from '../servers.js';

describeServers('node restriction', (server) => {
  let namespace: string;
  const as = { kind: 'certificate', user: 'system:node:alpha', groups: ['system:nodes'] } as const;

  const node = (name: string, labels: JsonObject = {}): JsonObject => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels },
  });
  const send = (method: string, path: string, body?: JsonObject): Promise<RawAnswer> =>
    server().raw({ method, path, body, as });
  const messageOf = (answer: RawAnswer): string => answer.json<{ message: string }>().message;

  beforeAll(async () => {
    namespace = await server().namespace('nodes');
    const made = await send('POST', '/api/v1/nodes', node('alpha'));
    // A new node takes no pods before somebody found it ready.
    expect(made.json()).toMatchObject({
      spec: { taints: [{ key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' }] },
    });
    for (const name of ['alpha', 'beta']) {
      const made = await server().raw({
        method: 'POST',
        path: `/api/v1/namespaces/${namespace}/pods`,
        body: {
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: { name },
          spec: { nodeName: name, containers: [{ name: 'c', image: 'x' }] },
        },
      });
      expect(made.status, made.text).toBe(201);
    }
  });

  test('a node writes only itself', async () => {
    expect(messageOf(await send('POST', '/api/v1/nodes', node('beta')))).toBe(
      'nodes "beta" is forbidden: node "alpha" is not allowed to modify node "beta"',
    );
    const label = async (labels: JsonObject): Promise<RawAnswer> =>
      server().raw({
        method: 'PATCH',
        path: '/api/v1/nodes/alpha',
        headers: { 'content-type': 'application/merge-patch+json' },
        body: { metadata: { labels } },
        as,
      });
    expect((await label({ 'node.kubernetes.io/instance-type': 'big', own: 'yes' })).status).toBe(200);
    expect(
      messageOf(
        await label({ 'node-restriction.kubernetes.io/zone': 'x', 'node-role.kubernetes.io/master': '' }),
      ),
    ).toBe(
      'nodes "alpha" is forbidden: is not allowed to modify labels: node-restriction.kubernetes.io/zone, node-role.kubernetes.io/master',
    );
  });

  test('a node makes no pods, and removes only its own', async () => {
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'made' },
      spec: { nodeName: 'alpha', containers: [{ name: 'c', image: 'x' }] },
    };
    expect(messageOf(await send('POST', `/api/v1/namespaces/${namespace}/pods`, pod))).toBe(
      'pods "made" is forbidden: pod does not have "kubernetes.io/config.mirror" annotation, node "alpha" can only create mirror pods',
    );
    expect(messageOf(await send('DELETE', `/api/v1/namespaces/${namespace}/pods/beta`))).toBe(
      'pods "beta" is forbidden: node "alpha" can only delete pods with spec.nodeName set to itself',
    );
    expect(
      (await send('DELETE', `/api/v1/namespaces/${namespace}/pods/alpha?gracePeriodSeconds=0`)).status,
    ).toBe(200);
  });

  test('a node gets tokens for its pods only', async () => {
    const token = (boundObjectRef?: JsonObject): Promise<RawAnswer> =>
      send('POST', `/api/v1/namespaces/${namespace}/serviceaccounts/default/token`, {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { audiences: ['a'], ...(boundObjectRef === undefined ? {} : { boundObjectRef }) },
      });
    const other = (await server().raw({ path: `/api/v1/namespaces/${namespace}/pods/beta` })).json<{
      metadata: { uid: string };
    }>();
    const refused = [
      await token(),
      await token({ apiVersion: 'v1', kind: 'Pod', name: 'beta', uid: other.metadata.uid }),
    ];
    for (const answer of refused) expect(answer.status).toBe(403);
  });
});
