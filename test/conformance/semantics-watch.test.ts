import { request } from 'node:https';
import { beforeAll, expect, test } from 'vitest';
import { type Body, Requests } from './semantics-requests.js';
import { describeServers } from './servers.js';

describeServers('watches', (server, kind) => {
  let api: Requests;
  let base: string;
  /** After three objects and before any change to them. */
  let since: string;

  beforeAll(async () => {
    api = new Requests(server());
    base = `/api/v1/namespaces/${await server().namespace('watches')}/configmaps`;
    for (const name of ['a', 'b', 'c']) await api.post(base, { metadata: { name, labels: { app: name } } });
    since = (await api.get(base)).body.metadata.resourceVersion;
    await api.patch(`${base}/a`, 'merge', { data: { k: '1' } });
    await api.patch(`${base}/b`, 'merge', { metadata: { labels: { app: 'a' } } });
    await api.patch(`${base}/b`, 'merge', { metadata: { labels: { app: 'b' } } });
    await api.delete(`${base}/c`);
  });

  const shown = (events: { type: string; object: { metadata: { name?: string } } }[]): string[] =>
    events.filter((e) => e.type !== 'BOOKMARK').map((e) => `${e.type} ${e.object.metadata.name}`);

  test('go on from a revision', async () => {
    expect(shown(await api.watch(`${base}?resourceVersion=${since}`))).toEqual([
      'MODIFIED a',
      'MODIFIED b',
      'MODIFIED b',
      'DELETED c',
    ]);
  });

  test('a selector turns changes of membership into additions and deletions', async () => {
    expect(shown(await api.watch(`${base}?resourceVersion=${since}&labelSelector=app=a`))).toEqual([
      'MODIFIED a',
      'ADDED b',
      'DELETED b',
    ]);
  });

  test('revision 0 begins with what exists', async () => {
    const events = await api.watch(`${base}?resourceVersion=0&labelSelector=app`);
    expect(shown(events).sort()).toEqual(['ADDED a', 'ADDED b']);
  });

  test('of one object', async () => {
    expect(shown(await api.watch(`${base}?fieldSelector=metadata.name=a&resourceVersion=0`))).toEqual([
      'ADDED a',
    ]);
    const old = await api.get(
      `${base.replace('/api/v1/', '/api/v1/watch/')}/a?timeoutSeconds=1&resourceVersion=0`,
    );
    expect(old.text.split('\n')[0]).toContain('"type":"ADDED"');
  });

  test('a deleted object is shown as it last was, at the revision of its deletion', async () => {
    const [last] = (await api.watch(`${base}?resourceVersion=${since}`)).slice(-1);
    expect(last).toMatchObject({
      type: 'DELETED',
      object: { metadata: { name: 'c', labels: { app: 'c' } } },
    });
    expect(Number(last?.object.metadata.resourceVersion)).toBeGreaterThan(Number(since));
  });

  test.each([
    [
      'resourceVersionMatch=NotOlderThan',
      'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided',
    ],
    ['sendInitialEvents=true', 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan'],
  ])('options that contradict each other are refused: %s', async (query, detail) => {
    const answer = await api.get(`${base}?watch=1&timeoutSeconds=1&${query}`);
    expect(answer.status).toBe(422);
    expect(answer.body.message).toBe(
      `ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: ${detail}`,
    );
  });

  // A real server needs an etcd that reports its progress for this.
  test.runIf(kind === 'embedded')(
    'lists by watching: what exists, then a bookmark that says so',
    async () => {
      const query = 'sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';
      const events = await api.watch(`${base}?${query}&labelSelector=app`);
      expect(events.map((e) => e.type).slice(0, 3)).toEqual(['ADDED', 'ADDED', 'BOOKMARK']);
      expect(events[2]?.object).toMatchObject({
        kind: 'ConfigMap',
        metadata: { annotations: { 'k8s.io/initial-events-end': 'true' } },
      });
      const blueprint = async (path: string, accept = 'application/json'): Promise<string> => {
        const { text } = await api.get(`${path}?${query}&watch=1&timeoutSeconds=1`, { accept });
        const lines = text
          .trimEnd()
          .split('\n')
          .map((l) => JSON.parse(l) as { type: string; object: Body });
        const { object } = lines.find((e) => e.type === 'BOOKMARK') ?? {};
        const annotations = object?.metadata.annotations as Record<string, string> | undefined;
        return Buffer.from(
          annotations?.['kubernetes.io/initial-events-list-blueprint'] ?? '',
          'base64',
        ).toString();
      };
      // Clients take it for the list they make, so it has its type and its encoding.
      expect(await blueprint(base)).toBe(
        '{"kind":"ConfigMapList","apiVersion":"v1","metadata":{},"items":null}\n',
      );
      expect(await blueprint(base, 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io')).toContain(
        '"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1"',
      );
      expect(Number(events[2]?.object.metadata.resourceVersion)).toBeGreaterThan(Number(since));
      const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io';
      expect((await api.get(`${base}?watch=1&${query}`, { accept })).status).toBe(406);
    },
  );

  test('shows tables', async () => {
    const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io';
    const answer = await api.get(`${base}?watch=1&timeoutSeconds=1&resourceVersion=${since}`, { accept });
    const events = answer.text
      .trim()
      .split('\n')
      .map(
        (line) =>
          JSON.parse(line) as {
            object: { kind: string; columnDefinitions: unknown[]; rows: { cells: unknown[] }[] };
          },
      );
    expect(events[0]?.object.kind).toBe('Table');
    expect(events[0]?.object.columnDefinitions.length).toBeGreaterThan(1);
    // Columns are described once.
    expect(events[1]?.object.columnDefinitions ?? []).toEqual([]);
    expect(events[1]?.object.rows[0]?.cells[0]).toBe('b');
  });

  test('changes arrive while they happen, on an open connection', async () => {
    const path = `${base}?watch=1&resourceVersion=${(await api.get(base)).body.metadata.resourceVersion}`;
    const { token } = await tokenFor();
    const seen = await new Promise<string>((resolve, reject) => {
      const open = request(
        `${server().url}${path}`,
        { ca: server().api.caPem, headers: { authorization: `Bearer ${token}` }, agent: false },
        (response) => {
          response.once('data', (chunk: Buffer) => {
            resolve(chunk.toString());
            open.destroy();
          });
          void api.post(base, { metadata: { name: 'live' } });
        },
      );
      open.once('error', reject);
      open.end();
    });
    expect(JSON.parse(seen)).toMatchObject({ type: 'ADDED', object: { metadata: { name: 'live' } } });
  });

  /** A token of an account that may read everything. */
  async function tokenFor(): Promise<{ token: string }> {
    const namespace = base.split('/')[4] ?? '';
    const bound = await api.post('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      metadata: { name: `reads-${namespace}` },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
      subjects: [{ kind: 'ServiceAccount', namespace, name: 'default' }],
    });
    expect(bound.status).toBe(201);
    const answer = await api.post(`/api/v1/namespaces/${namespace}/serviceaccounts/default/token`, {
      spec: {},
    });
    return { token: String(answer.body.status?.token) };
  }
});
