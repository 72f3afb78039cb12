import { connect, type ClientHttp2Session } from 'node:http2';
import { gunzipSync } from 'node:zlib';
import { request } from 'node:https';
import { parse } from 'yaml';
import { beforeAll, expect, test } from 'vitest';
import { Requests } from './semantics-requests.js';
import { describeServers } from './servers.js';

describeServers('HTTP', (server) => {
  let api: Requests;
  let base: string;
  let token: string;
  beforeAll(async () => {
    api = new Requests(server());
    const namespace = await server().namespace('http');
    base = `/api/v1/namespaces/${namespace}/configmaps`;
    await api.post(base, { metadata: { name: 'a' }, data: { k: 'v' } });
    await api.post('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      metadata: { name: `all-${namespace}` },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
      subjects: [{ kind: 'ServiceAccount', namespace, name: 'default' }],
    });
    const answer = await api.post(`/api/v1/namespaces/${namespace}/serviceaccounts/default/token`, {
      spec: {},
    });
    token = String(answer.body.status?.token);
  });

  test('many watches and requests share one HTTP/2 connection', async () => {
    const session: ClientHttp2Session = connect(server().url, { ca: server().api.caPem });
    try {
      const open = (path: string) => session.request({ ':path': path, authorization: `Bearer ${token}` });
      const watches = Array.from({ length: 20 }, () => {
        const stream = open(`${base}?watch=1&timeoutSeconds=20&resourceVersion=0`);
        let text = '';
        stream.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        return { stream, text: () => text };
      });
      await api.post(base, { metadata: { name: 'shared' } });
      await expect
        .poll(() => watches.filter((w) => w.text().includes('"name":"shared"')).length, { timeout: 10_000 })
        .toBe(20);
      for (const { stream } of watches) stream.close();
      expect(session.alpnProtocol).toBe('h2');
    } finally {
      session.close();
    }
  });

  test('answers in YAML', async () => {
    const answer = await api.get(`${base}/a`, { accept: 'application/yaml' });
    expect(answer.headers['content-type']).toBe('application/yaml');
    expect(parse(answer.text)).toMatchObject({
      kind: 'ConfigMap',
      metadata: { name: 'a' },
      data: { k: 'v' },
    });
    const created = await api.post(base, 'metadata: {name: from-yaml}\ndata: {n: "1"}\n', {
      'content-type': 'application/yaml',
    });
    expect(created.status).toBe(201);
  });

  test('compresses what is large', async () => {
    await api.post(base, { metadata: { name: 'large' }, data: { k: 'x'.repeat(300_000) } });
    const read = (encoding: string) =>
      new Promise<{ encoding: string | undefined; bytes: Buffer }>((resolve, reject) => {
        const headers = { authorization: `Bearer ${token}`, 'accept-encoding': encoding };
        request(
          `${server().url}${base}/large`,
          { ca: server().api.caPem, headers, agent: false },
          (response) => {
            const chunks: Buffer[] = [];
            response.on('data', (c: Buffer) => chunks.push(c));
            response.on('end', () =>
              resolve({ encoding: response.headers['content-encoding'], bytes: Buffer.concat(chunks) }),
            );
          },
        )
          .once('error', reject)
          .end();
      });
    const packed = await read('gzip');
    expect(packed.encoding).toBe('gzip');
    expect(packed.bytes.length).toBeLessThan(30_000);
    expect(JSON.parse(gunzipSync(packed.bytes).toString())).toMatchObject({ metadata: { name: 'large' } });
    const plain = await read('identity');
    expect(plain.encoding).toBeUndefined();
    expect(plain.bytes.length).toBeGreaterThan(300_000);
  });

  test.each([
    [
      'text/html',
      '406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, application/vnd.kubernetes.protobuf',
    ],
    [
      'application/cbor',
      '406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, application/vnd.kubernetes.protobuf',
    ],
    [
      'application/json;as=Table;v=v2;g=meta.k8s.io',
      'only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf',
    ],
    [
      'application/json;as=Foo;v=v1;g=meta.k8s.io',
      'only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf',
    ],
  ])('cannot answer in %s', async (accept, message) => {
    expect((await api.get(`${base}/a`, { accept })).body).toMatchObject({
      code: 406,
      reason: 'NotAcceptable',
      message,
    });
  });

  test.each([
    ['text/html, */*', 'ConfigMap'],
    ['application/json;as=Table;v=v1;g=meta.k8s.io, application/json', 'Table'],
    ['application/json;as=Foo;v=v1;g=meta.k8s.io, application/json', 'ConfigMap'],
    ['application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io', 'PartialObjectMetadata'],
  ])('answers %s with a %s', async (accept, kind) => {
    expect((await api.get(`${base}/a`, { accept })).body.kind).toBe(kind);
  });

  test.each(['text/plain', 'application/cbor'])('takes no %s', async (type) => {
    expect((await api.post(base, 'x', { 'content-type': type })).body).toMatchObject({
      code: 415,
      reason: 'UnsupportedMediaType',
      message:
        'the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf',
    });
  });

  test('has no table of a review', async () => {
    const reviews = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
    const review = { spec: { nonResourceAttributes: { path: '/', verb: 'get' } } };
    const table = 'application/json;as=Table;v=v1;g=meta.k8s.io';
    expect((await api.post(reviews, review, { accept: table })).status).toBe(406);
    const either = await api.post(reviews, review, { accept: `${table}, application/json` });
    expect(either.body.kind).toBe('SelfSubjectAccessReview');
  });

  test('takes long URLs, as of commands to execute', async () => {
    const answer = await api.get(`${base}/nope?command=${'a'.repeat(100_000)}`);
    expect(answer.body).toMatchObject({ code: 404, details: { name: 'nope' } });
  });

  test('takes no body beyond its limit', async () => {
    const answer = await api.post(base, { metadata: { name: 'huge' }, data: { k: 'x'.repeat(3_200_000) } });
    expect(answer.status).toBe(413);
    expect(answer.body).toMatchObject({
      reason: 'RequestEntityTooLarge',
      message: 'Request entity too large: limit is 3145728',
    });
  });

  test('tells objects, resources and pages that are not there apart', async () => {
    expect((await api.get(`${base}/nope`)).body).toMatchObject({
      code: 404,
      message: 'configmaps "nope" not found',
      details: { name: 'nope', kind: 'configmaps' },
    });
    const unknown = {
      code: 404,
      reason: 'NotFound',
      message: 'the server could not find the requested resource',
      details: {},
    };
    expect((await api.get('/api/v1/nope')).body).toMatchObject(unknown);
    expect((await api.get('/api/v9/pods')).body).toMatchObject(unknown);
    for (const path of ['/nope', '/apis/nope/v1/x']) {
      const answer = await api.get(path);
      expect({ path, status: answer.status, text: answer.text }).toEqual({
        path,
        status: 404,
        text: '404 page not found\n',
      });
    }
  });

  test('every answer has an audit id', async () => {
    expect((await api.get('/version')).headers['audit-id']).toMatch(/^[-0-9a-f]{36}$/);
    expect((await api.get('/version', { 'audit-id': 'my-own' })).headers['audit-id']).toBe('my-own');
  });

  test.each(['healthz', 'livez', 'readyz'])('/%s, as a whole and in its parts', async (endpoint) => {
    expect((await api.get(`/${endpoint}`)).text).toBe('ok');
    const verbose = await api.get(`/${endpoint}?verbose`);
    expect(verbose.text).toContain('[+]ping ok\n');
    expect(verbose.text).toContain('[+]etcd ok\n');
    expect(verbose.text).toContain(`${endpoint} check passed`);
    expect((await api.get(`/${endpoint}/ping`)).text).toBe('ok');
    expect((await api.get(`/${endpoint}/etcd`)).status).toBe(200);
    expect((await api.get(`/${endpoint}/nope`)).status).toBe(404);
    expect((await api.get(`/${endpoint}?verbose&exclude=etcd`)).text).toContain('[+]etcd excluded: ok\n');
  });

  test('health checks as metrics', async () => {
    await api.get('/livez');
    const { text } = await api.get('/metrics/slis');
    expect(text).toMatch(/^kubernetes_healthcheck\{name="ping",type="livez"\} 1$/m);
    expect(text).toMatch(
      /^kubernetes_healthchecks_total\{(?=[^}]*name="ping")(?=[^}]*status="success")[^}]*\} \d/m,
    );
  });

  test('metrics under the names that dashboards read', async () => {
    const { text } = await api.get('/metrics');
    for (const name of [
      'apiserver_request_total{',
      'apiserver_request_duration_seconds_bucket{',
      'apiserver_longrunning_requests{',
      'apiserver_current_inflight_requests{',
      'apiserver_storage_objects{',
      'process_resident_memory_bytes ',
      'process_cpu_seconds_total ',
    ]) {
      expect(text).toContain(name);
    }
    expect(text).toMatch(
      /apiserver_request_total\{[^}]*resource="configmaps"[^}]*verb="POST"|apiserver_request_total\{[^}]*verb="POST"[^}]*resource="configmaps"/,
    );
  });

  test('prints for people when asked', async () => {
    expect((await api.get(`${base}/a?pretty=true`)).text).toMatch(/^\{\n {2}"/);
    expect((await api.get(`${base}/a`, { 'user-agent': 'curl/8' })).text).toMatch(/^\{\n {2}"/);
    expect((await api.get(`${base}/a`, { 'user-agent': 'kubectl/v1' })).text).not.toContain('\n ');
  });

  test('a timeout that is no duration is refused', async () => {
    expect((await api.get(`${base}/a?timeout=abc`)).status).toBe(400);
    for (const timeout of ['10s', '1m0s', '1h2m3.5s', '900ms', '0', '-5s'])
      expect((await api.get(`${base}/a?timeout=${timeout}`)).status, timeout).toBe(200);
    const refused = await api.get(`${base}/a?timeout=30`);
    expect([refused.status, refused.body.message]).toEqual([
      400,
      expect.stringContaining('time: missing unit in duration "30"'),
    ]);
  });
});
