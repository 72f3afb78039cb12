import { expect, test } from 'vitest';
import {
  configMaps,
  customResourceDefinitions,
  namespaces,
  type ObjectRef,
  type Resource,
  secrets,
} from '#base/kube/resource.js';
import type { KubeClient } from '#base/kube/client.js';
import type { KubeObject, OwnerReference } from '#base/kube/types.js';
import { eventually } from '../harness/cluster.js';
import { describeServers } from './servers.js';

const timeoutMs = 15_000;

const gone = (client: KubeClient, ref: ObjectRef): Promise<void> =>
  eventually(
    async () => {
      const found = await client.getOrUndefined(ref);
      if (found !== undefined) throw new Error(`still there: ${JSON.stringify(found.metadata)}`);
    },
    { timeoutMs },
  );

const reference = (owner: KubeObject, o: Partial<OwnerReference> = {}): OwnerReference => ({
  apiVersion: owner.apiVersion,
  kind: owner.kind,
  name: owner.metadata.name,
  uid: owner.metadata.uid ?? '',
  ...o,
});

/** A ConfigMap, the plainest thing that can own and be owned. */
const make = (
  client: KubeClient,
  namespace: string,
  name: string,
  metadata: Partial<KubeObject['metadata']> = {},
): Promise<KubeObject> =>
  client.create(
    configMaps,
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...metadata } },
    { namespace },
  );

const at = (namespace: string, name: string, resource: Resource = configMaps): ObjectRef => ({
  resource,
  namespace,
  name,
});

const widgets = (group: string): { crd: object; resource: Resource } => ({
  resource: { group, version: 'v1', plural: 'widgets', kind: 'Widget', isNamespaced: true },
  crd: {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `widgets.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { plural: 'widgets', singular: 'widget', kind: 'Widget' },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
        },
      ],
    },
  },
});

describeServers('garbage collection', (server) => {
  test.each([
    ['ReplicationController', 'v1', '/api/v1', 'replicationcontrollers', { replicas: 0 }, undefined],
    [
      'Job',
      'batch/v1',
      '/apis/batch/v1',
      'jobs',
      { suspend: true },
      '299 - "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning"',
    ],
  ] as const)(
    'a %s whose deletion names no policy leaves its pods',
    async (kind, apiVersion, folder, plural, spec, warning) => {
      const namespace = await server().namespace('orphans');
      const template = {
        metadata: { labels: { app: 'a' } },
        spec: { containers: [{ name: 'c', image: 'i' }], restartPolicy: kind === 'Job' ? 'Never' : 'Always' },
      };
      const path = `${folder}/namespaces/${namespace}/${plural}`;
      const object = {
        apiVersion,
        kind,
        metadata: { name: 'owner', finalizers: ['example.com/held'] },
        spec: { ...spec, template },
      };
      expect((await server().raw({ method: 'POST', path, body: object })).status).toBe(201);
      const plain = await server().raw({ method: 'DELETE', path: `${path}/owner` });
      expect(plain.headers.warning).toBe(warning);
      expect(plain.json<KubeObject>().metadata.finalizers).toContain('orphan');
      const background = await server().raw({
        method: 'DELETE',
        path: `${path}/owner?propagationPolicy=Background`,
      });
      expect(background.headers.warning).toBeUndefined();
      await server().raw({
        method: 'PATCH',
        path: `${path}/owner`,
        headers: { 'content-type': 'application/merge-patch+json' },
        body: { metadata: { finalizers: null } },
      });
    },
  );

  test('deletes dependents after their owner, down the line', async () => {
    const { client } = server();
    const ns = await server().namespace('gc');
    const a = await make(client, ns, 'a');
    const b = await make(client, ns, 'b', { ownerReferences: [reference(a)] });
    await make(client, ns, 'c', { ownerReferences: [reference(b)] });
    await client.delete(at(ns, 'a'), { propagation: 'Background' });
    await gone(client, at(ns, 'b'));
    await gone(client, at(ns, 'c'));
  });

  test('foreground: the owner stays until its blocking dependents are gone', async () => {
    const { client } = server();
    const ns = await server().namespace('gc');
    const owner = await make(client, ns, 'owner');
    const blocking = { ownerReferences: [reference(owner, { blockOwnerDeletion: true })] };
    await make(client, ns, 'held', { ...blocking, finalizers: ['example.com/held'] });
    await make(client, ns, 'free', blocking);
    await client.delete(at(ns, 'owner'), { propagation: 'Foreground' });
    await gone(client, at(ns, 'free'));
    const held = await eventually(
      async () => {
        const found = await client.get(at(ns, 'held'));
        if (found.metadata.deletionTimestamp === undefined) throw new Error('not told to go');
        return found;
      },
      { timeoutMs },
    );
    expect(held.metadata.finalizers).toContain('example.com/held');
    const waiting = await client.get(at(ns, 'owner'));
    expect(waiting.metadata.finalizers).toEqual(['foregroundDeletion']);
    await client.patch(at(ns, 'held'), { metadata: { finalizers: null } });
    await gone(client, at(ns, 'held'));
    await gone(client, at(ns, 'owner'));
  });

  test('orphan: dependents lose the reference and stay', async () => {
    const { client } = server();
    const ns = await server().namespace('gc');
    const owner = await make(client, ns, 'owner');
    await make(client, ns, 'child', { ownerReferences: [reference(owner)] });
    await client.delete(at(ns, 'owner'), { propagation: 'Orphan' });
    await gone(client, at(ns, 'owner'));
    const child = await client.get(at(ns, 'child'));
    expect(child.metadata.ownerReferences ?? []).toEqual([]);
    expect(child.metadata.deletionTimestamp).toBeUndefined();
  });

  test('an object with another owner left only loses the reference to the one that went', async () => {
    const { client } = server();
    const ns = await server().namespace('gc');
    const [a, b] = [await make(client, ns, 'a'), await make(client, ns, 'b')];
    await make(client, ns, 'both', { ownerReferences: [reference(a), reference(b)] });
    await client.delete(at(ns, 'a'));
    await eventually(
      async () => {
        const { metadata } = await client.get(at(ns, 'both'));
        expect(metadata.ownerReferences?.map((r) => r.name)).toEqual(['b']);
      },
      { timeoutMs },
    );
    await client.delete(at(ns, 'b'));
    await gone(client, at(ns, 'both'));
  });

  test('owners that never were, are of another time, or live in another namespace count as gone', async () => {
    const { client } = server();
    const ns = await server().namespace('gc');
    const elsewhere = await server().namespace('gc');
    const foreign = await make(client, elsewhere, 'owner');
    const here = await make(client, ns, 'owner');
    await make(client, ns, 'never', { ownerReferences: [reference(here, { name: 'never-was' })] });
    await make(client, ns, 'old', { ownerReferences: [reference(here, { uid: 'b1b2b3b4-0000' })] });
    await make(client, ns, 'foreign', { ownerReferences: [reference(foreign)] });
    for (const name of ['never', 'old', 'foreign']) await gone(client, at(ns, name));
    await client.get(at(ns, 'owner'));
  });

  test('an owner of a kind that is not served keeps its dependents', async () => {
    const { client } = server();
    const ns = await server().namespace('gc');
    const owner = { apiVersion: 'nobody.example.com/v1', kind: 'Ghost', metadata: { name: 'g', uid: 'u' } };
    await make(client, ns, 'kept', { ownerReferences: [reference(owner)] });
    // Collected after it, and judged after it: by then the other one has been judged too.
    const real = await make(client, ns, 'real');
    await make(client, ns, 'marker', { ownerReferences: [reference(real, { name: 'not-there' })] });
    await gone(client, at(ns, 'marker'));
    const kept = await client.get(at(ns, 'kept'));
    expect(kept.metadata.deletionTimestamp).toBeUndefined();
  });

  test('objects that own each other go when one is deleted in the foreground', async () => {
    const { client } = server();
    const ns = await server().namespace('gc');
    const a = await make(client, ns, 'a');
    const blocking = (o: KubeObject) => [reference(o, { blockOwnerDeletion: true })];
    const b = await make(client, ns, 'b', { ownerReferences: blocking(a) });
    await client.patch(at(ns, 'a'), { metadata: { ownerReferences: blocking(b) } });
    await client.delete(at(ns, 'a'), { propagation: 'Foreground' });
    await gone(client, at(ns, 'a'));
    await gone(client, at(ns, 'b'));
  });

  test('many dependents made while their owner goes', async () => {
    const { client } = server();
    const ns = await server().namespace('gc');
    const owner = await make(client, ns, 'owner');
    const names = Array.from({ length: 60 }, (_, i) => `d${i}`);
    await Promise.all(
      names.map(async (name, i) => {
        if (i === 30) await client.delete(at(ns, 'owner'));
        else await make(client, ns, name, { ownerReferences: [reference(owner)] });
      }),
    );
    await eventually(
      async () => {
        const left = (await client.list(configMaps, { namespace: ns })).filter((o) =>
          o.metadata.name.startsWith('d'),
        );
        expect(left.map((o) => o.metadata.name)).toEqual([]);
      },
      { timeoutMs },
    );
  });

  test('follows custom resources whose kind comes and goes', async () => {
    const { client } = server();
    const ns = await server().namespace('gc');
    const { crd, resource } = widgets('gc.example.com');
    for (let round = 0; round < 2; round++) {
      await client.create(customResourceDefinitions, crd);
      const owner = await eventually(
        () =>
          client.create<KubeObject>(
            resource,
            { apiVersion: 'gc.example.com/v1', kind: 'Widget', metadata: { name: 'w' } },
            { namespace: ns },
          ),
        { timeoutMs },
      );
      await make(client, ns, 'owned', { ownerReferences: [reference(owner)] });
      const parent = await make(client, ns, 'parent');
      await client.patch(at(ns, 'w', resource), { metadata: { ownerReferences: [reference(parent)] } });
      await client.delete(at(ns, 'parent'));
      await gone(client, at(ns, 'w', resource));
      await gone(client, at(ns, 'owned'));
      const name = 'widgets.gc.example.com';
      await client.delete({ resource: customResourceDefinitions, name });
      await gone(client, { resource: customResourceDefinitions, name });
    }
  });
});

describeServers('namespace termination', (server) => {
  test('takes everything in it, custom resources too', async () => {
    const { client } = server();
    const ns = await server().namespace('full');
    const { crd, resource } = widgets('full.example.com');
    await client.create(customResourceDefinitions, crd);
    await eventually(
      () =>
        client.create(
          resource,
          { apiVersion: 'full.example.com/v1', kind: 'Widget', metadata: { name: 'w' } },
          { namespace: ns },
        ),
      { timeoutMs },
    );
    await make(client, ns, 'c');
    await client.delete({ resource: namespaces, name: ns });
    await gone(client, { resource: namespaces, name: ns });
    expect(await client.list(resource)).toEqual([]);
    expect(await client.list(configMaps, { namespace: ns })).toEqual([]);
  });

  test('says what holds it up, lets nothing new in, and ends when that is gone', async () => {
    const { client } = server();
    const ns = await server().namespace('held');
    await make(client, ns, 'held', { finalizers: ['example.com/held'] });
    await client.delete({ resource: namespaces, name: ns });
    const conditions = await eventually(
      async () => {
        const { status } = await client.get<
          KubeObject & { status: { phase: string; conditions?: unknown[] } }
        >({
          resource: namespaces,
          name: ns,
        });
        expect(status.phase).toBe('Terminating');
        expect(status.conditions?.length).toBe(5);
        return status.conditions;
      },
      { timeoutMs },
    );
    expect(conditions).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          type: 'NamespaceContentRemaining',
          status: 'True',
          reason: 'SomeResourcesRemain',
          message: 'Some resources are remaining: configmaps. has 1 resource instances',
        }),
        expect.objectContaining({
          type: 'NamespaceFinalizersRemaining',
          status: 'True',
          reason: 'SomeFinalizersRemain',
          message:
            'Some content in the namespace has finalizers remaining: example.com/held in 1 resource instances',
        }),
        expect.objectContaining({ type: 'NamespaceDeletionContentFailure', status: 'False' }),
      ]),
    );
    await expect(make(client, ns, 'late')).rejects.toMatchObject({
      status: 403,
      message: `configmaps "late" is forbidden: unable to create new content in namespace ${ns} because it is being terminated`,
    });
    await client.patch(at(ns, 'held'), { metadata: { finalizers: null } });
    await gone(client, { resource: namespaces, name: ns });
  });
});

describeServers('what every namespace is given', (server) => {
  test('the default account and the CA come back when deleted, the CA also when changed', async () => {
    const { client } = server();
    const ns = await server().namespace('given');
    const accounts = {
      group: '',
      version: 'v1',
      plural: 'serviceaccounts',
      kind: 'ServiceAccount',
      isNamespaced: true,
    };
    await client.delete(at(ns, 'default', accounts));
    await eventually(() => client.get(at(ns, 'default', accounts)), { timeoutMs });
    const isRight = async (): Promise<void> => {
      const { data } = await client.get<KubeObject & { data: object }>(at(ns, 'kube-root-ca.crt'));
      expect(data).toEqual({ 'ca.crt': server().api.caPem });
    };
    await eventually(isRight, { timeoutMs });
    await client.patch(at(ns, 'kube-root-ca.crt'), { data: { 'ca.crt': 'wrong', more: 'x' } });
    await eventually(isRight, { timeoutMs });
    await client.delete(at(ns, 'kube-root-ca.crt'));
    await eventually(isRight, { timeoutMs });
  });

  test('a token Secret is filled, opens the door, and goes with its account', async () => {
    const { client } = server();
    const ns = await server().namespace('token');
    await server().ok(['create', 'serviceaccount', 'robot', '-n', ns]);
    await client.create(
      secrets,
      {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'robot', annotations: { 'kubernetes.io/service-account.name': 'robot' } },
        type: 'kubernetes.io/service-account-token',
      },
      { namespace: ns },
    );
    const token = await eventually(
      async () => {
        const { data } = await client.get<KubeObject & { data?: Record<string, string> }>(
          at(ns, 'robot', secrets),
        );
        const value = data?.['token'];
        if (value === undefined) throw new Error('no token yet');
        expect(Object.keys(data ?? {}).toSorted()).toEqual(['ca.crt', 'namespace', 'token']);
        return Buffer.from(value, 'base64').toString();
      },
      { timeoutMs },
    );
    const review = await server().raw({
      method: 'POST',
      path: '/apis/authentication.k8s.io/v1/selfsubjectreviews',
      body: { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
      as: { kind: 'token', token },
    });
    expect(review.json()).toMatchObject({
      status: { userInfo: { username: `system:serviceaccount:${ns}:robot` } },
    });
    await server().ok(['delete', 'serviceaccount', 'robot', '-n', ns]);
    await gone(client, at(ns, 'robot', secrets));
    await eventually(
      async () => {
        const answer = await server().raw({ path: '/api', as: { kind: 'token', token } });
        expect(answer.status).toBe(401);
      },
      { timeoutMs },
    );
  });

  test('roles are aggregated, also when they change', async () => {
    const role = (name: string, verbs: string, labels: string): string =>
      `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"${name}","labels":${labels}},"rules":[{"apiGroups":["x.example.com"],"resources":["y"],"verbs":${verbs}}]}`;
    await server().ok(
      ['apply', '-f', '-'],
      `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"sum"},"aggregationRule":{"clusterRoleSelectors":[{"matchLabels":{"sum":"yes"}}]}}`,
    );
    await server().ok(['apply', '-f', '-'], role('part', '["get"]', '{"sum":"yes"}'));
    const verbs = (): Promise<string> =>
      server().ok(['get', 'clusterrole', 'sum', '-o', 'jsonpath={.rules[*].verbs}']);
    await eventually(async () => expect(await verbs()).toBe('["get"]'), { timeoutMs });
    await server().ok(['apply', '-f', '-'], role('part', '["get","list"]', '{"sum":"yes"}'));
    await eventually(async () => expect(await verbs()).toBe('["get","list"]'), { timeoutMs });
    await server().ok(['delete', 'clusterrole', 'part']);
    await eventually(async () => expect(await verbs()).toBe(''), { timeoutMs });
    await server().ok(['delete', 'clusterrole', 'sum']);
  });
});
