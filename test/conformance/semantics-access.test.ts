import { beforeAll, describe, expect, test } from 'vitest';
import { bootstrapRbac } from '#sandbox/apiserver/rbac/bootstrap-roles.js';
import { Requests } from './semantics-requests.js';
import { describeServers } from './servers.js';

const authorization = '/apis/authorization.k8s.io/v1';

describeServers('access', (server) => {
  let api: Requests;
  let namespace: string;
  beforeAll(async () => {
    api = new Requests(server());
    namespace = await server().namespace('access');
  });

  test('the roles and bindings that every cluster starts with', async () => {
    const plurals = {
      ClusterRole: 'clusterroles',
      ClusterRoleBinding: 'clusterrolebindings',
      Role: 'roles',
      RoleBinding: 'rolebindings',
    } as const;
    for (const expected of bootstrapRbac()) {
      const { kind, metadata, rules, roleRef, subjects, aggregationRule } = expected;
      const {
        name,
        namespace: of,
        labels,
      } = metadata as { name: string; namespace?: string; labels: object };
      const plural = plurals[kind as keyof typeof plurals];
      const where = of === undefined ? '' : `namespaces/${of}/`;
      const path = `/apis/rbac.authorization.k8s.io/v1/${where}${plural}/${encodeURIComponent(name)}`;
      const { status, body } = await api.get(path);
      expect({ kind, name, status }).toEqual({ kind, name, status: 200 });
      expect(body.metadata).toMatchObject({ labels });
      expect({ name, subjects: body.subjects, roleRef: body.roleRef }).toEqual({ name, subjects, roleRef });
      // Aggregated roles are filled in by a controller.
      if (aggregationRule === undefined)
        expect({ name, rules: body.rules ?? [] }).toEqual({ name, rules: rules ?? [] });
      else expect(body.aggregationRule).toEqual(aggregationRule);
    }
  });

  describe('nodes', () => {
    let node: Requests;
    beforeAll(async () => {
      node = new Requests(server(), {
        kind: 'certificate',
        user: 'system:node:n1',
        groups: ['system:nodes'],
      });
      for (const name of ['n1', 'n2']) await api.post('/api/v1/nodes', { metadata: { name } });
      for (const name of ['used', 'unused']) {
        await api.post(`/api/v1/namespaces/${namespace}/secrets`, {
          metadata: { name },
          stringData: { a: 'b' },
        });
      }
      const pod = (name: string, nodeName: string): object => ({
        metadata: { name },
        spec: {
          nodeName,
          containers: [
            {
              name: 'c',
              image: 'i',
              envFrom: [{ secretRef: { name: nodeName === 'n1' ? 'used' : 'unused' } }],
            },
          ],
        },
      });
      expect((await api.post(`/api/v1/namespaces/${namespace}/pods`, pod('mine', 'n1'))).status).toBe(201);
      expect((await api.post(`/api/v1/namespaces/${namespace}/pods`, pod('other', 'n2'))).status).toBe(201);
    });

    test.each([
      '/api/v1/nodes/n1',
      '/api/v1/nodes?fieldSelector=metadata.name=n1',
      '/api/v1/pods?fieldSelector=spec.nodeName=n1',
      '/api/v1/namespaces/NS/pods/mine',
      '/api/v1/namespaces/NS/secrets/used',
      '/api/v1/namespaces/NS/secrets?fieldSelector=metadata.name=used',
      '/api/v1/services',
    ])('read %s', async (path) => {
      expect((await node.get(path.replace('NS', namespace))).status).toBe(200);
    });

    const where = 'in the namespace "NS"';
    test.each([
      ['/api/v1/nodes', 'at the cluster scope', "node 'n1' cannot read all nodes, only its own Node object"],
      ['/api/v1/nodes/n2', 'at the cluster scope', "node 'n1' cannot read 'n2', only its own Node object"],
      ['/api/v1/pods', 'at the cluster scope', 'can only list/watch pods with spec.nodeName field selector'],
      ['/api/v1/namespaces/NS/pods/other', where, "no relationship found between node 'n1' and this object"],
      ['/api/v1/namespaces/NS/secrets', where, 'No Object name found'],
      [
        '/api/v1/namespaces/NS/secrets/unused',
        where,
        "no relationship found between node 'n1' and this object",
      ],
      [
        '/api/v1/namespaces/NS/serviceaccounts/default',
        where,
        'can only create tokens for individual service accounts',
      ],
      [
        '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n2',
        'in the namespace "kube-node-lease"',
        'can only access node lease with the same name as the requesting node',
      ],
    ])('do not read %s', async (path, place, why) => {
      const { body } = await node.get(path.replace('NS', namespace));
      expect(body).toMatchObject({ code: 403, reason: 'Forbidden' });
      expect(body.message?.endsWith(`${place.replace('NS', namespace)}: ${why}`), body.message).toBe(true);
    });

    test('get tokens for the accounts of their pods', async () => {
      const ofPod = await node.post(`/api/v1/namespaces/${namespace}/serviceaccounts/default/token`, {
        spec: {
          boundObjectRef: {
            kind: 'Pod',
            apiVersion: 'v1',
            name: 'mine',
            uid: (await api.get(`/api/v1/namespaces/${namespace}/pods/mine`)).body.metadata.uid,
          },
        },
      });
      expect(ofPod.status).toBe(201);
      expect(
        (await node.post('/api/v1/namespaces/kube-public/serviceaccounts/default/token', { spec: {} }))
          .status,
      ).toBe(403);
    });
  });

  test('strangers see health, version and nothing else', async () => {
    const stranger = new Requests(server(), { kind: 'anonymous' });
    for (const path of ['/healthz', '/livez', '/readyz', '/version'])
      expect((await stranger.get(path)).status).toBe(200);
    for (const path of ['/api', '/metrics', '/openapi/v2', '/readyz/ping']) {
      expect((await stranger.get(path)).body).toMatchObject({
        code: 403,
        message: `forbidden: User "system:anonymous" cannot get path "${path}"`,
      });
    }
  });

  test('impersonation: every part of a user needs a right of its own', async () => {
    await api.post('/apis/rbac.authorization.k8s.io/v1/clusterroles', {
      metadata: { name: `acts-${namespace}` },
      rules: [
        { apiGroups: [''], resources: ['users'], verbs: ['impersonate'], resourceNames: ['jane'] },
        {
          apiGroups: ['authentication.k8s.io'],
          resources: ['userextras/scopes'],
          verbs: ['impersonate'],
          resourceNames: ['view'],
        },
        {
          apiGroups: ['authentication.k8s.io'],
          resources: ['uids'],
          verbs: ['impersonate'],
          resourceNames: ['u-1'],
        },
      ],
    });
    await api.post('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      metadata: { name: `acts-${namespace}` },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: `acts-${namespace}` },
      subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'actor' }],
    });
    const actor = new Requests(server(), { kind: 'certificate', user: 'actor' });
    const whoami = (headers: Record<string, string>) =>
      actor.post('/apis/authentication.k8s.io/v1/selfsubjectreviews', {}, headers);
    const acting = await whoami({
      'impersonate-user': 'jane',
      'impersonate-uid': 'u-1',
      'impersonate-extra-scopes': 'view',
    });
    expect(acting.body.status).toEqual({
      userInfo: {
        username: 'jane',
        uid: 'u-1',
        groups: ['system:authenticated'],
        extra: { scopes: ['view'] },
      },
    });
    const refused = async (headers: Record<string, string>): Promise<string | undefined> =>
      (await whoami(headers)).body.message;
    expect(await refused({ 'impersonate-user': 'joe' })).toBe(
      'users "joe" is forbidden: User "actor" cannot impersonate resource "users" in API group "" at the cluster scope',
    );
    expect(await refused({ 'impersonate-user': 'jane', 'impersonate-group': 'system:masters' })).toBe(
      'groups "system:masters" is forbidden: User "actor" cannot impersonate resource "groups" in API group "" at the cluster scope',
    );
    expect(await refused({ 'impersonate-user': 'jane', 'impersonate-extra-scopes': 'admin' })).toBe(
      'userextras.authentication.k8s.io "admin" is forbidden: User "actor" cannot impersonate resource "userextras/scopes" in API group "authentication.k8s.io" at the cluster scope',
    );
    expect((await whoami({ 'impersonate-group': 'g' })).status).toBeGreaterThanOrEqual(400);
    const asAccount = await api.post(
      '/apis/authentication.k8s.io/v1/selfsubjectreviews',
      {},
      {
        'impersonate-user': `system:serviceaccount:${namespace}:default`,
      },
    );
    expect(asAccount.body.status).toMatchObject({
      userInfo: {
        groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
      },
    });
  });

  test('a binding to a role that is not there gives nothing, and says so', async () => {
    await api.post('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      metadata: { name: `dangling-${namespace}` },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'never-made' },
      subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'dangling' }],
    });
    const dangling = new Requests(server(), { kind: 'certificate', user: 'dangling' });
    // A real server learns of the binding from a watch.
    await expect
      .poll(async () => (await dangling.get('/api/v1/pods')).body.message, { timeout: 10_000 })
      .toBe(
        'pods is forbidden: User "dangling" cannot list resource "pods" in API group "" at the cluster scope: RBAC: clusterrole.rbac.authorization.k8s.io "never-made" not found',
      );
  });

  test('access reviews', async () => {
    const ask = async (kind: string, spec: unknown, metadata: object = {}) =>
      (await api.post(kind, { metadata, spec })).body;
    expect(
      (
        await ask(`${authorization}/selfsubjectaccessreviews`, {
          resourceAttributes: { verb: 'get', resource: 'pods' },
        })
      ).status,
    ).toEqual({ allowed: true });
    expect(
      (
        await ask(`${authorization}/subjectaccessreviews`, {
          user: 'joe',
          resourceAttributes: { verb: 'get', resource: 'pods' },
        })
      ).status,
    ).toEqual({ allowed: false });
    expect(
      (
        await ask(`${authorization}/subjectaccessreviews`, {
          user: 'joe',
          groups: ['system:authenticated'],
          nonResourceAttributes: { verb: 'get', path: '/api' },
        })
      ).status,
    ).toEqual({
      allowed: true,
      reason:
        'RBAC: allowed by ClusterRoleBinding "system:discovery" of ClusterRole "system:discovery" to Group "system:authenticated"',
    });
    const message = async (kind: string, spec: unknown): Promise<string | undefined> =>
      (await ask(kind, spec)).message;
    expect(
      await message(`${authorization}/subjectaccessreviews`, { resourceAttributes: { verb: 'get' } }),
    ).toBe(
      '.authorization.k8s.io "" is invalid: spec.user: Invalid value: "": at least one of user or group must be specified',
    );
    expect(await message(`${authorization}/selfsubjectaccessreviews`, {})).toBe(
      '.authorization.k8s.io "" is invalid: spec.resourceAttributes: Invalid value: "null": exactly one of nonResourceAttributes or resourceAttributes must be specified',
    );
    expect(
      await message(`${authorization}/namespaces/x/localsubjectaccessreviews`, {
        user: 'joe',
        resourceAttributes: { verb: 'get', namespace: 'y' },
      }),
    ).toContain('must match metadata.namespace');
    expect(await message(`${authorization}/selfsubjectrulesreviews`, {})).toBe('no namespace on request');
    expect((await api.get(`${authorization}/subjectaccessreviews`)).status).toBe(405);
  });

  test('rules of somebody', async () => {
    const reader = new Requests(server(), { kind: 'certificate', user: 'nobody' });
    const { body } = await reader.post(`${authorization}/selfsubjectrulesreviews`, { spec: { namespace } });
    expect(body.status).toMatchObject({
      incomplete: false,
      resourceRules: expect.arrayContaining([
        {
          verbs: ['create'],
          apiGroups: ['authorization.k8s.io'],
          resources: ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'],
        },
      ]),
      nonResourceRules: expect.arrayContaining([
        { verbs: ['get'], nonResourceURLs: ['/healthz', '/livez', '/readyz', '/version', '/version/'] },
      ]),
    });
  });

  describe('tokens', () => {
    const review = async (token: string, audiences?: string[]) =>
      (
        await api.post('/apis/authentication.k8s.io/v1/tokenreviews', {
          spec: { token, ...(audiences === undefined ? {} : { audiences }) },
        })
      ).body.status as {
        authenticated?: boolean;
        audiences?: string[];
        user: { username?: string; extra?: Record<string, string[]> };
      };
    const request = (spec: object, account = 'default') =>
      api.post(`/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`, { spec });

    test('are for the audiences they were asked for', async () => {
      const token = String(
        (await request({ audiences: ['a', 'b'], expirationSeconds: 600 })).body.status?.token,
      );
      expect(await review(token, ['b', 'c'])).toMatchObject({
        authenticated: true,
        audiences: ['b'],
        user: { username: `system:serviceaccount:${namespace}:default` },
      });
      expect((await review(token, ['c'])).authenticated).toBeUndefined();
      // Not for the API server itself.
      expect((await new Requests(server(), { kind: 'token', token }).get('/api')).status).toBe(401);
    });

    test('die with what they are bound to', async () => {
      const secrets = `/api/v1/namespaces/${namespace}/secrets`;
      await api.post(secrets, { metadata: { name: 'bound' } });
      const bound = await request({ boundObjectRef: { kind: 'Secret', apiVersion: 'v1', name: 'bound' } });
      const token = String(bound.body.status?.token);
      expect((await review(token)).authenticated).toBe(true);
      await api.delete(`${secrets}/bound`);
      // A real server keeps its verdict for some seconds.
      await expect.poll(async () => (await review(token)).authenticated, { timeout: 15_000 }).toBeUndefined();
    });

    test.each([
      [
        { expirationSeconds: 10 },
        422,
        'TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 10: may not specify a duration less than 10 minutes',
      ],
      [{ boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name: 'zz' } }, 404, 'pods "zz" not found'],
      [
        { boundObjectRef: { kind: 'ConfigMap', apiVersion: 'v1', name: 'zz' } },
        400,
        'cannot bind token to object of type /v1, Kind=ConfigMap',
      ],
    ])('are refused for %j', async (spec, code, message) => {
      expect((await request(spec)).body).toMatchObject({ code, message });
    });

    test('of accounts that are not there', async () => {
      expect((await request({}, 'zz')).body).toMatchObject({
        code: 404,
        message: 'serviceaccounts "zz" not found',
      });
    });

    test('nonsense is nobody', async () => {
      expect(await review('abc')).toEqual({
        user: {},
        error: expect.stringContaining('invalid bearer token'),
      });
    });
  });
});
