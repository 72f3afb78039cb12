import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Answer, type Body, type ManagedFields, Requests } from './semantics-requests.js';
import { describeServers } from './servers.js';

let count = 0;

/** Who owns what: `manager[/subresource] operation` to its fields. */
function owners(body: Body): Record<string, unknown> {
  const key = (m: ManagedFields): string =>
    `${m.manager}${m.subresource === undefined ? '' : `/${m.subresource}`} ${m.operation}`;
  return Object.fromEntries((body.metadata.managedFields ?? []).map((m) => [key(m), m.fieldsV1]));
}

describeServers('server-side apply', (server) => {
  let api: Requests;
  let namespace: string;
  beforeAll(async () => {
    api = new Requests(server());
    namespace = await server().namespace('apply');
  });

  describe('of a ConfigMap', () => {
    let name: string;
    let path: string;
    beforeEach(() => {
      name = `c${count++}`;
      path = `/api/v1/namespaces/${namespace}/configmaps/${name}`;
    });
    const apply = (
      manager: string,
      rest: { data?: unknown; metadata?: object },
      query = '',
    ): Promise<Answer> =>
      api.apply(
        path,
        manager,
        { apiVersion: 'v1', kind: 'ConfigMap', ...rest, metadata: { name, ...rest.metadata } },
        query,
      );

    test('creates, then owns what it names', async () => {
      const created = await apply('m1', { data: { a: '1', b: '2' }, metadata: { labels: { l: '1' } } });
      expect(created.status).toBe(201);
      expect(owners(created.body)).toEqual({
        'm1 Apply': { 'f:data': { 'f:a': {}, 'f:b': {} }, 'f:metadata': { 'f:labels': { 'f:l': {} } } },
      });
      const again = await apply('m1', { data: { a: '1', b: '2' }, metadata: { labels: { l: '1' } } });
      expect(again.status).toBe(200);
      expect(again.body.metadata.resourceVersion).toBe(created.body.metadata.resourceVersion);
    });

    test('a plain write owns what it made, and the maps that came with it', async () => {
      await api.post(path.replace(/\/[^/]*$/, '?fieldManager=u'), {
        metadata: { name, labels: { l: '1' } },
        data: { a: '1' },
      });
      const patched = await api.patch(`${path}?fieldManager=v`, 'merge', { data: { a: '2', b: '2' } });
      expect(owners(patched.body)).toEqual({
        'u Update': { 'f:data': {}, 'f:metadata': { 'f:labels': { '.': {}, 'f:l': {} } } },
        'v Update': { 'f:data': { 'f:a': {}, 'f:b': {} } },
      });
    });

    test('conflicts are told one by one, and force takes the fields', async () => {
      await apply('m1', { data: { a: '1', b: '2' }, metadata: { labels: { l: '1' } } });
      const one = await apply('m2', { data: { a: '2', c: '3' } });
      expect(one.body).toMatchObject({
        code: 409,
        reason: 'Conflict',
        message: 'Apply failed with 1 conflict: conflict with "m1": .data.a',
        details: {
          causes: [{ reason: 'FieldManagerConflict', message: 'conflict with "m1"', field: '.data.a' }],
        },
      });
      const three = await apply('m2', { data: { a: '2', b: '9' }, metadata: { labels: { l: '2' } } });
      expect(three.body.message).toBe(
        'Apply failed with 3 conflicts: conflicts with "m1":\n- .data.a\n- .data.b\n- .metadata.labels.l',
      );
      const forced = await apply('m2', { data: { a: '2', c: '3' } }, '&force=true');
      expect(forced.body.data).toEqual({ a: '2', b: '2', c: '3' });
      expect(owners(forced.body)).toEqual({
        'm1 Apply': { 'f:data': { 'f:b': {} }, 'f:metadata': { 'f:labels': { 'f:l': {} } } },
        'm2 Apply': { 'f:data': { 'f:a': {}, 'f:c': {} } },
      });
    });

    test('an updater is named with its version', async () => {
      await apply('m1', { data: { a: '1' } });
      await api.patch(`${path}?fieldManager=u`, 'merge', { data: { a: '2' } });
      expect((await apply('m1', { data: { a: '3' } })).body.message).toBe(
        'Apply failed with 1 conflict: conflict with "u" using v1: .data.a',
      );
    });

    test('the same value is shared, not contested', async () => {
      await apply('m1', { data: { a: '1' } });
      const shared = await apply('m2', { data: { a: '1' } });
      expect(owners(shared.body)).toEqual({
        'm1 Apply': { 'f:data': { 'f:a': {} } },
        'm2 Apply': { 'f:data': { 'f:a': {} } },
      });
      // One of the two lets go: the value stays.
      expect((await apply('m1', { data: { b: '1' } })).body.data).toEqual({ a: '1', b: '1' });
    });

    test('what is applied no more goes, unless somebody else owns it', async () => {
      await apply('m1', { data: { a: '1', b: '2', c: '3' } });
      await api.patch(`${path}?fieldManager=u`, 'merge', { data: { c: '9' } });
      const less = await apply('m1', { data: { a: '1' } });
      expect(less.body.data).toEqual({ a: '1', c: '9' });
    });

    test('finalizers are a set, owners a list by uid', async () => {
      const owner = async (of: string): Promise<object> => {
        const made = await api.post(path.replace(/\/[^/]*$/, ''), { metadata: { name: `${name}-${of}` } });
        const { uid } = made.body.metadata;
        return { apiVersion: 'v1', kind: 'ConfigMap', name: `${name}-${of}`, uid };
      };
      const [first, second] = [await owner('first'), await owner('second')];
      await apply('m1', { metadata: { finalizers: ['a/b'], ownerReferences: [first] } });
      const both = await apply('m2', { metadata: { finalizers: ['a/b', 'c/d'], ownerReferences: [second] } });
      expect(both.body.metadata).toMatchObject({
        finalizers: ['a/b', 'c/d'],
        ownerReferences: [first, second],
      });
      const left = await apply('m2', {});
      expect(left.body.metadata).toMatchObject({ finalizers: ['a/b'], ownerReferences: [first] });
      await apply('m1', {});
    });

    test('dry run shows and keeps nothing', async () => {
      const shown = await apply('m1', { data: { a: '1' } }, '&dryRun=All');
      expect(shown.status).toBe(201);
      expect(shown.body.data).toEqual({ a: '1' });
      expect((await api.get(path)).status).toBe(404);
    });

    test.each([
      ['{}', 'invalid object type: /, Kind='],
      ['{"apiVersion":"v1","kind":"Secret"}', 'invalid object type: /v1, Kind=Secret'],
      [
        '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"managedFields":[]}}',
        'metadata.managedFields must be nil',
      ],
      [
        '[]',
        'error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of type map[string]interface {}',
      ],
    ])('%s is no configuration', async (body, message) => {
      await apply('m1', {});
      expect((await api.apply(path, 'x', body)).body).toMatchObject({ code: 400, message });
    });

    test('says who applies', async () => {
      const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } };
      for (const query of ['', '?fieldManager=']) {
        expect((await api.patch(`${path}${query}`, 'apply', body)).body).toMatchObject({
          code: 422,
          message:
            'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
        });
      }
    });

    test('fields that nobody knows are refused', async () => {
      const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, foo: 1 };
      expect((await api.apply(path, 'x', body)).body.message).toMatch(
        /^failed to create typed patch object \(.*; \/v1, Kind=ConfigMap\): \.foo: field not declared in schema$/,
      );
    });

    test('an object that is not there has no uid', async () => {
      expect((await apply('x', { metadata: { uid: '1' } })).body).toMatchObject({
        code: 409,
        message: expect.stringContaining(
          'uid mismatch: the provided object specified uid 1, and no existing object was found',
        ),
      });
    });

    test('clients may hand ownership over, or have it forgotten', async () => {
      await api.post(path.replace(/\/[^/]*$/, '?fieldManager=kubectl-client-side-apply'), {
        metadata: { name },
        data: { a: '1' },
      });
      const entry = {
        manager: 'kubectl',
        operation: 'Apply',
        apiVersion: 'v1',
        time: '2020-01-01T00:00:00Z',
        fieldsType: 'FieldsV1',
        fieldsV1: { 'f:data': { 'f:a': {} } },
      };
      const moved = await api.patch(path, 'json', [
        { op: 'replace', path: '/metadata/managedFields', value: [entry] },
      ]);
      expect(owners(moved.body)).toEqual({ 'kubectl Apply': entry.fieldsV1 });
      expect((await apply('kubectl', {})).body.data).toBeUndefined();
      const reset = await api.patch(path, 'merge', { metadata: { managedFields: [{}] } });
      expect(reset.body.metadata.managedFields).toBeUndefined();
    });
  });

  describe('of a Deployment', () => {
    let name: string;
    let path: string;
    beforeEach(() => {
      name = `d${count++}`;
      path = `/apis/apps/v1/namespaces/${namespace}/deployments/${name}`;
    });
    const apply = (manager: string, spec: unknown, query = '', subresource = ''): Promise<Answer> =>
      api.apply(
        `${path}${subresource}`,
        manager,
        { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name }, spec },
        query,
      );
    const spec = (containers: object[], more: object = {}): object => ({
      ...more,
      selector: { matchLabels: { a: 'b' } },
      template: { metadata: { labels: { a: 'b' } }, spec: { containers } },
    });

    test('lists by key are owned item by item', async () => {
      await apply(
        'm1',
        spec([{ name: 'c', image: 'i', env: [{ name: 'x', value: '1' }], ports: [{ containerPort: 80 }] }], {
          replicas: 1,
        }),
      );
      const conflicting = {
        replicas: 2,
        template: { spec: { containers: [{ name: 'c', image: 'z', env: [{ name: 'x', value: '2' }] }] } },
      };
      expect((await apply('m2', conflicting)).body.message).toBe(
        'Apply failed with 3 conflicts: conflicts with "m1":\n- .spec.replicas\n- .spec.template.spec.containers[name="c"].image\n- .spec.template.spec.containers[name="c"].env[name="x"].value',
      );
      const added = await apply('m2', { template: { spec: { containers: [{ name: 'n', image: 'k' }] } } });
      expect(owners(added.body)['m2 Apply']).toEqual({
        'f:spec': {
          'f:template': {
            'f:spec': { 'f:containers': { 'k:{"name":"n"}': { '.': {}, 'f:image': {}, 'f:name': {} } } },
          },
        },
      });
      expect(owners(added.body)['m1 Apply']).toMatchObject({
        'f:spec': {
          'f:template': {
            'f:spec': {
              'f:containers': {
                'k:{"name":"c"}': {
                  'f:ports': {
                    'k:{"containerPort":80,"protocol":"TCP"}': { '.': {}, 'f:containerPort': {} },
                  },
                },
              },
            },
          },
        },
      });
      const removed = await apply('m2', {});
      const { containers } = (removed.body.spec as { template: { spec: { containers: { name: string }[] } } })
        .template.spec;
      expect(containers.map((c) => c.name)).toEqual(['c']);
    });

    test('what scales owns the number, under its subresource', async () => {
      await apply('m1', spec([{ name: 'c', image: 'i' }], { replicas: 1 }));
      const scaled = await api.patch(`${path}/scale?fieldManager=s`, 'merge', { spec: { replicas: 5 } });
      expect(scaled.body).toMatchObject({
        kind: 'Scale',
        apiVersion: 'autoscaling/v1',
        spec: { replicas: 5 },
      });
      const { body } = await api.get(path);
      expect(owners(body)['s/scale Update']).toEqual({ 'f:spec': { 'f:replicas': {} } });
      expect((await apply('m1', spec([{ name: 'c', image: 'i' }], { replicas: 1 }))).body.message).toBe(
        'Apply failed with 1 conflict: conflict with "s" with subresource "scale" using apps/v1: .spec.replicas',
      );
      const without = await apply('m1', spec([{ name: 'c', image: 'i' }]));
      expect(without.body.spec?.replicas).toBe(5);
      const applied = await api.apply(
        `${path}/scale`,
        'h',
        { apiVersion: 'autoscaling/v1', kind: 'Scale', metadata: { name }, spec: { replicas: 6 } },
        '&force=true',
      );
      expect(applied.body.spec).toEqual({ replicas: 6 });
    });

    test('status is applied and owned apart', async () => {
      await apply('m1', spec([{ name: 'c', image: 'i' }]));
      const status = { replicas: 3, conditions: [{ type: 'X', status: 'True' }] };
      const applied = await api.apply(`${path}/status`, 'st', {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name },
        spec: { replicas: 9 },
        status,
      });
      expect(applied.body.spec?.replicas).toBe(1);
      expect(applied.body.status).toMatchObject({ replicas: 3 });
      expect(owners(applied.body)['st/status Apply']).toEqual({
        'f:status': {
          'f:replicas': {},
          'f:conditions': { 'k:{"type":"X"}': { '.': {}, 'f:status': {}, 'f:type': {} } },
        },
      });
    });
  });

  test('kubectl takes over what it applied from its own side', async () => {
    const t = server();
    const file = t.file(
      'ssa.yaml',
      `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ssa, namespace: ${namespace}}\ndata: {a: "1", b: "2"}\n`,
    );
    await t.ok(['apply', '-f', file]);
    const smaller = t.file(
      'ssa2.yaml',
      `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ssa, namespace: ${namespace}}\ndata: {a: "2"}\n`,
    );
    await t.ok(['apply', '--server-side', '-f', smaller]);
    const { body } = await api.get(`/api/v1/namespaces/${namespace}/configmaps/ssa`);
    expect(body.data).toEqual({ a: '2' });
    expect(Object.keys(owners(body)).filter((o) => o.includes('client-side'))).toEqual([]);
    expect(owners(body)['kubectl Apply']).toMatchObject({ 'f:data': { 'f:a': {} } });
  });
});
