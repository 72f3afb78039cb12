import { beforeAll, expect, test } from 'vitest';
import { Requests } from './semantics-requests.js';
import { describeServers } from './servers.js';

let count = 0;

describeServers('writes', (server) => {
  let api: Requests;
  let namespace: string;
  let base: string;
  beforeAll(async () => {
    api = new Requests(server());
    namespace = await server().namespace('writes');
    base = `/api/v1/namespaces/${namespace}/configmaps`;
  });
  const fresh = async (extra: object = {}): Promise<string> => {
    const name = `o${count++}`;
    const created = await api.post(base, { metadata: { name, ...extra } });
    expect(created.status).toBe(201);
    return `${base}/${name}`;
  };

  test('creates once', async () => {
    const path = await fresh();
    const name = path.split('/').at(-1);
    expect((await api.post(base, { metadata: { name } })).body).toMatchObject({
      code: 409,
      reason: 'AlreadyExists',
      message: `configmaps "${name}" already exists`,
      details: { name, kind: 'configmaps' },
    });
  });

  test('makes up the rest of a name', async () => {
    const names = new Set<string>();
    for (let i = 0; i < 5; i++) {
      const { body } = await api.post(base, { metadata: { generateName: 'made-' } });
      expect(body.metadata.name).toMatch(/^made-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
      names.add(body.metadata.name);
    }
    expect(names.size).toBe(5);
    const long = await api.post(base, { metadata: { generateName: 'x'.repeat(70) } });
    expect(long.body.metadata.name).toHaveLength(63);
  });

  test.each([
    [
      { metadata: {} },
      422,
      'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required',
    ],
    [
      { metadata: { name: 5 } },
      400,
      'ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ObjectMeta.metadata.name of type string',
    ],
    [
      { metadata: { name: 'z' }, data: { a: 1 } },
      400,
      'ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ConfigMap.data of type string',
    ],
    [
      { metadata: { name: 'z' }, data: [] },
      400,
      'ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal array into Go struct field ConfigMap.data of type map[string]string',
    ],
    [
      { metadata: { name: 'z', finalizers: ['x'] } },
      422,
      'ConfigMap "z" is invalid: metadata.finalizers[0]: Invalid value: "x": name is neither a standard finalizer name nor is it fully qualified',
    ],
    [
      { metadata: { name: 'z', labels: { a: 'b c' } } },
      422,
      /^ConfigMap "z" is invalid: metadata\.labels: Invalid value: "b c": a valid label must be/,
    ],
    [
      { metadata: { name: 'z', ownerReferences: [{}] } },
      422,
      'ConfigMap "z" is invalid: [metadata.ownerReferences.apiVersion: Invalid value: "": version must not be empty, metadata.ownerReferences.kind: Invalid value: "": kind must not be empty, metadata.ownerReferences.name: Invalid value: "": name must not be empty, metadata.ownerReferences.uid: Invalid value: "": uid must not be empty]',
    ],
    [
      { metadata: { name: 'z', namespace: 'other' } },
      400,
      'the namespace of the provided object does not match the namespace sent on the request',
    ],
  ])('refuses %j', async (body, code, message) => {
    const answer = await api.post(base, body);
    expect(answer.status).toBe(code);
    if (typeof message === 'string') expect(answer.body.message).toBe(message);
    else expect(answer.body.message).toMatch(message);
  });

  test.each([
    [
      '{',
      "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: unexpected end of JSON input ({)",
    ],
    [
      '',
      "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: unexpected end of JSON input (<empty>)",
    ],
    [
      'a: b',
      "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: invalid character 'a' looking for beginning of value (613a2062)",
    ],
  ])('%s is no JSON', async (body, message) => {
    expect((await api.post(base, body)).body).toMatchObject({ code: 400, reason: 'BadRequest', message });
  });

  test('new objects name no revision; what admission says comes first', async () => {
    const body = { metadata: { name: 'dated', resourceVersion: '5' } };
    const dated = await api.post(base, body);
    expect(dated.body).toMatchObject({
      code: 500,
      message: 'resourceVersion should not be set on objects to be created',
    });
    expect(dated.body.reason).toBeUndefined();
    const claim = { spec: { containers: [{ name: 'c', image: 'i' }], serviceAccountName: 'nobody' } };
    const refused = await api.post(base.replace('configmaps', 'pods'), { ...body, ...claim });
    expect(refused.body.code).toBe(403);
  });

  test('unknown and repeated fields warn, or refuse when asked to', async () => {
    const body = '{"metadata":{"name":"strict","labels":{},"labels":{"a":"b"}},"foo":1}';
    const strict = await api.post(`${base}?fieldValidation=Strict`, body);
    expect(strict.body).toMatchObject({
      code: 400,
      message:
        'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: duplicate field "metadata.labels", unknown field "foo"',
    });
    const warned = await api.post(`${base}?dryRun=All`, body);
    expect(warned.status).toBe(201);
    expect(warned.headers.warning).toBe(
      '299 - "duplicate field \\"metadata.labels\\"", 299 - "unknown field \\"foo\\""',
    );
    const mixed = '{"foo":1,"metadata":{"name":"strict","labels":{},"labels":{"a":"b"}}}';
    expect((await api.post(`${base}?fieldValidation=Strict`, mixed)).body.message).toMatch(
      /unknown field "foo", duplicate field "metadata.labels"$/,
    );
    const ignored = await api.post(`${base}?dryRun=All&fieldValidation=Ignore`, body);
    expect(ignored.headers.warning).toBeUndefined();
  });

  test.each([
    [
      'fieldValidation=Foo',
      'fieldValidation: Unsupported value: "Foo": supported values: "", "Ignore", "Strict", "Warn"',
    ],
    ['dryRun=foo', 'dryRun: Unsupported value: []string{"foo"}: supported values: "All"'],
    [`fieldManager=${'x'.repeat(130)}`, 'fieldManager: Too long: may not be more than 128 bytes'],
  ])('refuses the option %s', async (query, detail) => {
    const answer = await api.post(`${base}?${query}`, { metadata: { name: 'never' } });
    expect(answer.body).toMatchObject({
      code: 422,
      message: `CreateOptions.meta.k8s.io "" is invalid: ${detail}`,
    });
  });

  test('dry runs keep nothing', async () => {
    const made = await api.post(`${base}?dryRun=All`, { metadata: { name: 'dry' } });
    expect(made.body.metadata.uid).toMatch(/^[-0-9a-f]{36}$/);
    expect((await api.get(`${base}/dry`)).status).toBe(404);
    const path = await fresh();
    const before = (await api.get(path)).body.metadata.resourceVersion;
    expect((await api.patch(`${path}?dryRun=All`, 'merge', { data: { a: '1' } })).body.data).toEqual({
      a: '1',
    });
    expect((await api.delete(`${path}?dryRun=All`)).status).toBe(200);
    const after = (await api.get(path)).body;
    expect(after.data).toBeUndefined();
    expect(after.metadata.resourceVersion).toBe(before);
  });

  test('updates need the latest version, where they name one', async () => {
    const path = await fresh();
    const { body } = await api.get(path);
    expect((await api.put(path, { ...body, data: { a: '1' } })).status).toBe(200);
    const stale = await api.put(path, { ...body, data: { a: '2' } });
    expect(stale.body).toMatchObject({
      code: 409,
      reason: 'Conflict',
      message: `Operation cannot be fulfilled on configmaps "${body.metadata.name}": the object has been modified; please apply your changes to the latest version and try again`,
    });
    expect((await api.put(path, { metadata: { name: body.metadata.name }, data: { a: '3' } })).status).toBe(
      200,
    );
    // Zero is no version of anything.
    const metadata = { ...body.metadata, resourceVersion: '0' };
    expect((await api.put(path, { metadata, data: { a: '4' } })).status).toBe(200);
    const made = await api.post(base, { metadata: { generateName: 'zero-', resourceVersion: '0' } });
    expect(made.status).toBe(201);
    expect((await api.put(path, { data: { a: '4' } })).body.message).toBe(
      `the name of the object (${body.metadata.name} based on URL) was undeterminable: name must be provided`,
    );
    expect((await api.put(path, { metadata: { name: 'other' } })).body.message).toBe(
      `the name of the object (other) does not match the name on the URL (${body.metadata.name})`,
    );
    const replaced = await api.put(path, { metadata: { name: body.metadata.name, uid: 'foo' } });
    expect(replaced.body).toMatchObject({ code: 409 });
    expect(replaced.body.message).toContain(
      `Precondition failed: UID in precondition: foo, UID in object meta: ${body.metadata.uid}`,
    );
    expect((await api.put(`${base}/missing`, { metadata: { name: 'missing' } })).status).toBe(404);
  });

  test('only a deletion begins a deletion', async () => {
    const path = await fresh();
    const { name } = (await api.get(path)).body.metadata;
    const refusal = async (metadata: object): Promise<string | undefined> =>
      (await api.patch(path, 'merge', { metadata })).body.message;
    expect(await refusal({ deletionTimestamp: '2020-01-01T00:00:00Z' })).toBe(
      `ConfigMap "${name}" is invalid: metadata.deletionTimestamp: Invalid value: 2020-01-01 00:00:00 +0000 UTC: field is immutable`,
    );
    expect(await refusal({ deletionGracePeriodSeconds: 5 })).toBe(
      `ConfigMap "${name}" is invalid: metadata.deletionGracePeriodSeconds: Invalid value: 5: field is immutable`,
    );
    const born = await api.patch(path, 'merge', { metadata: { creationTimestamp: '2020-01-01T00:00:00Z' } });
    expect(born.body.metadata.creationTimestamp).not.toBe('2020-01-01T00:00:00Z');
  });

  test('an update that changes nothing makes no new version', async () => {
    const path = await fresh({ labels: { a: 'b' } });
    const { metadata } = (await api.get(path)).body;
    const patched = await api.patch(path, 'merge', { metadata: { labels: { a: 'b' } } });
    expect(patched.body.metadata.resourceVersion).toBe(metadata.resourceVersion);
  });

  test('deletes what is meant, and only that', async () => {
    const path = await fresh();
    const { uid, name } = (await api.get(path)).body.metadata;
    const other = await api.delete(path, { preconditions: { uid: 'x' } });
    expect(other.body).toMatchObject({
      code: 409,
      message: `Operation cannot be fulfilled on ConfigMap "${name}": the UID in the precondition (x) does not match the UID in record (${uid}). The object might have been deleted and then recreated`,
    });
    expect((await api.delete(path, { preconditions: { resourceVersion: '1' } })).status).toBe(409);
    expect((await api.delete(path, { preconditions: { uid } })).body).toMatchObject({
      kind: 'Status',
      status: 'Success',
      details: { name, kind: 'configmaps', uid },
    });
    expect((await api.delete(path)).body).toMatchObject({
      code: 404,
      message: `configmaps "${name}" not found`,
    });
  });

  test.each([
    [
      { propagationPolicy: 'X' },
      422,
      'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: "X": supported values: "Foreground", "Background", "Orphan", "nil"',
    ],
    [
      { propagationPolicy: 'Orphan', orphanDependents: true },
      422,
      'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Invalid value: "Orphan": orphanDependents and deletionPropagation cannot be both set',
    ],
    [
      { dryRun: ['x'] },
      422,
      'DeleteOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: []string{"x"}: supported values: "All"',
    ],
  ])('refuses to delete with %j', async (options, code, message) => {
    const path = await fresh();
    expect((await api.delete(path, options)).body).toMatchObject({ code, message });
    expect((await api.get(path)).status).toBe(200);
  });

  test('finalizers keep an object, marked, until they are gone', async () => {
    const path = await fresh({ finalizers: ['x/y'] });
    const marked = await api.delete(path);
    expect(marked.body.metadata).toMatchObject({ deletionGracePeriodSeconds: 0, finalizers: ['x/y'] });
    const { deletionTimestamp } = marked.body.metadata;
    expect((await api.delete(path)).body.metadata.deletionTimestamp).toBe(deletionTimestamp);
    const added = await api.patch(path, 'merge', { metadata: { finalizers: ['x/y', 'new/one'] } });
    expect(added.body).toMatchObject({ code: 422 });
    expect((await api.patch(path, 'merge', { metadata: { finalizers: null } })).status).toBe(200);
    expect((await api.get(path)).status).toBe(404);
  });

  test.each([
    ['services', { spec: { ports: [{ port: 1 }] } }, 'Service'],
    ['serviceaccounts', {}, 'ServiceAccount'],
    ['secrets', {}, 'Status'],
    ['resourcequotas', { spec: {} }, 'ResourceQuota'],
    ['limitranges', { spec: { limits: [] } }, 'Status'],
    ['endpoints', {}, 'Status'],
  ])('the deletion of %s is answered as upstream', async (resource, rest, kind) => {
    const path = `/api/v1/namespaces/${namespace}/${resource}`;
    expect((await api.post(path, { ...rest, metadata: { name: 'answered' } })).status).toBe(201);
    expect((await api.delete(`${path}/answered`)).body.kind).toBe(kind);
  });

  test.each([
    ['POST', '/a'],
    ['PUT', ''],
    ['PATCH', ''],
    ['OPTIONS', ''],
    ['OPTIONS', '/a'],
  ])('%s %s is no method here', async (method, rest) => {
    const answer = await api.send(method, `${base}${rest}`, method === 'OPTIONS' ? undefined : {});
    expect(answer.body).toMatchObject({
      code: 405,
      reason: 'MethodNotAllowed',
      message: 'the server does not allow this method on the requested resource',
    });
  });

  test('across namespaces there is only reading; namespaces go one by one', async () => {
    expect((await api.post('/api/v1/configmaps', { metadata: { name: 'a' } })).status).toBe(405);
    expect((await api.delete('/api/v1/configmaps')).status).toBe(405);
    expect((await api.delete('/api/v1/namespaces')).status).toBe(405);
  });
});
