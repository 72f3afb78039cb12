import { beforeAll, expect, test } from 'vitest';
import { Requests } from './semantics-requests.js';
import { describeServers } from './servers.js';

let count = 0;

describeServers('subresources', (server) => {
  let api: Requests;
  let namespace: string;
  let pods: string;
  beforeAll(async () => {
    api = new Requests(server());
    namespace = await server().namespace('sub');
    pods = `/api/v1/namespaces/${namespace}/pods`;
    await api.post('/api/v1/nodes', { metadata: { name: 'sub-1' } });
  });
  const pod = async (spec: object = {}, labels: object = {}): Promise<string> => {
    const name = `p${count++}`;
    const made = await api.post(pods, {
      metadata: { name, labels },
      spec: { containers: [{ name: 'c', image: 'i' }], ...spec },
    });
    expect(made.status).toBe(201);
    return name;
  };

  test('binding puts a pod on a node, once', async () => {
    const name = await pod();
    const binding = { metadata: { name }, target: { kind: 'Node', name: 'sub-1' } };
    expect((await api.post(`${pods}/${name}/binding`, binding)).body).toMatchObject({
      kind: 'Status',
      status: 'Success',
      code: 201,
    });
    const { body } = await api.get(`${pods}/${name}`);
    expect(body.spec?.nodeName).toBe('sub-1');
    expect(body.status?.conditions).toMatchObject([{ type: 'PodScheduled', status: 'True' }]);
    expect((await api.post(`${pods}/${name}/binding`, binding)).body).toMatchObject({
      code: 409,
      message: `Operation cannot be fulfilled on pods/binding "${name}": pod ${name} is already assigned to node "sub-1"`,
    });
    expect((await api.post(`${pods}/zz/binding`, { ...binding, metadata: { name: 'zz' } })).status).toBe(404);
    expect((await api.get(`${pods}/${name}/binding`)).status).toBe(405);
    const other = await pod();
    const collected = await api.post(`/api/v1/namespaces/${namespace}/bindings`, {
      metadata: { name: other },
      target: { name: 'sub-1' },
    });
    expect(collected.status).toBe(201);
  });

  test('a status changes no labels of a deployment and no owners of a pod', async () => {
    const deployments = `/apis/apps/v1/namespaces/${namespace}/deployments`;
    const labels = { app: 'labeled' };
    await api.post(deployments, {
      metadata: { name: 'labeled', labels },
      spec: {
        replicas: 0,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i' }] } },
      },
    });
    const metadata = { labels: { app: 'other' }, annotations: { note: 'new' } };
    const { body } = await api.patch(`${deployments}/labeled/status`, 'merge', { metadata });
    expect(body.metadata).toMatchObject({ labels, annotations: { note: 'new' } });
    const name = await pod({ nodeName: 'sub-1' });
    const ownerReferences = [{ apiVersion: 'v1', kind: 'Node', name: 'sub-1', uid: 'u' }];
    const owned = await api.patch(`${pods}/${name}/status`, 'merge', {
      metadata: { ownerReferences, labels: { a: 'b' } },
    });
    expect(owned.body.metadata?.ownerReferences).toBeUndefined();
    expect(owned.body.metadata?.labels).toEqual({ a: 'b' });
  });

  test('eviction asks the disruption budget', async () => {
    const name = await pod({ nodeName: 'sub-1' }, { app: 'budgeted' });
    const budgets = `/apis/policy/v1/namespaces/${namespace}/poddisruptionbudgets`;
    await api.post(budgets, {
      metadata: { name: 'b' },
      spec: { minAvailable: 1, selector: { matchLabels: { app: 'budgeted' } } },
    });
    await api.patch(`${pods}/${name}/status`, 'merge', {
      status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
    });
    const evict = () =>
      api.post(`${pods}/${name}/eviction`, { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name } });
    const refused = await evict();
    expect(refused.headers['retry-after']).toBe('10');
    expect(refused.body).toMatchObject({
      code: 429,
      reason: 'TooManyRequests',
      message: "Cannot evict pod as it would violate the pod's disruption budget.",
      details: {
        causes: [
          {
            reason: 'DisruptionBudget',
            message: 'The disruption budget b is still being processed by the server.',
          },
        ],
      },
    });
    const status = {
      observedGeneration: 1,
      disruptionsAllowed: 0,
      currentHealthy: 1,
      desiredHealthy: 1,
      expectedPods: 1,
    };
    await api.patch(`${budgets}/b/status`, 'merge', { status });
    expect((await evict()).body.details?.causes?.[0]?.message).toBe(
      'The disruption budget b needs 1 healthy pods and has 1 currently',
    );
    await api.patch(`${budgets}/b/status`, 'merge', {
      status: { ...status, disruptionsAllowed: 1, desiredHealthy: 0 },
    });
    expect((await evict()).body).toMatchObject({ status: 'Success', code: 201 });
    const after = (await api.get(`${budgets}/b`)).body.status;
    expect(after?.disruptionsAllowed).toBe(0);
    expect(Object.keys(after?.disruptedPods as object)).toEqual([name]);
    const going = (await api.get(`${pods}/${name}`)).body;
    expect(going.metadata).toMatchObject({ deletionGracePeriodSeconds: 30 });
    expect(going.status?.conditions).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          type: 'DisruptionTarget',
          status: 'True',
          reason: 'EvictionByEvictionAPI',
          message: 'Eviction API: evicting',
        }),
      ]),
    );
  });

  test('evictions are for the pod in the path', async () => {
    const name = await pod();
    expect((await api.post(`${pods}/${name}/eviction`, { metadata: { name: 'other' } })).body).toMatchObject({
      code: 400,
      message: 'name in URL does not match name in Eviction object',
    });
    expect((await api.post(`${pods}/zz/eviction`, { metadata: { name: 'zz' } })).status).toBe(404);
    expect((await api.post(`${pods}/${name}/eviction?dryRun=All`, { metadata: { name } })).status).toBe(201);
    expect((await api.get(`${pods}/${name}`)).body.metadata.deletionTimestamp).toBeUndefined();
  });

  test('ephemeral containers are only added', async () => {
    const name = await pod();
    const path = `${pods}/${name}/ephemeralcontainers`;
    const added = await api.patch(path, 'strategic', {
      spec: { ephemeralContainers: [{ name: 'dbg', image: 'i' }] },
    });
    expect(added.body.spec?.ephemeralContainers).toMatchObject([
      { name: 'dbg', image: 'i', imagePullPolicy: 'Always', resources: {} },
    ]);
    // Defaults that a client leaves out are no change.
    const again = await api.patch(path, 'merge', {
      spec: { ephemeralContainers: [{ name: 'dbg', image: 'i' }] },
    });
    expect(again.status).toBe(200);
    const refusal = async (list: unknown): Promise<string | undefined> =>
      (await api.patch(path, 'merge', { spec: { ephemeralContainers: list } })).body.message;
    expect(await refusal(null)).toBe(
      `Pod "${name}" is invalid: spec.ephemeralContainers: Forbidden: existing ephemeral containers "dbg" may not be removed\n`,
    );
    expect(await refusal([{ name: 'c', image: 'i' }])).toContain(
      'spec.ephemeralContainers[0].name: Duplicate value: "c"',
    );
    const other = await api.patch(path, 'strategic', { spec: { containers: [{ name: 'c', image: 'zz' }] } });
    expect(other.body.spec?.containers).toMatchObject([{ image: 'i' }]);
  });

  test('scale reads and writes the number', async () => {
    const deployments = `/apis/apps/v1/namespaces/${namespace}/deployments`;
    await api.post(deployments, {
      metadata: { name: 'd' },
      spec: {
        replicas: 2,
        selector: { matchLabels: { a: 'b' } },
        template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i' }] } },
      },
    });
    const scale = await api.get(`${deployments}/d/scale`);
    expect(scale.body).toMatchObject({
      kind: 'Scale',
      apiVersion: 'autoscaling/v1',
      metadata: { name: 'd' },
      spec: { replicas: 2 },
      status: { replicas: 0, selector: 'a=b' },
    });
    const put = (replicas: number, metadata: object = {}) =>
      api.put(`${deployments}/d/scale`, {
        metadata: { name: 'd', namespace, ...metadata },
        spec: { replicas },
      });
    expect((await put(7)).body.spec).toEqual({ replicas: 7 });
    expect((await put(-1)).body).toMatchObject({ code: 422 });
    expect((await put(1, { resourceVersion: '1' })).body).toMatchObject({ code: 409 });
    expect((await api.put(`${deployments}/d/scale`, { spec: { replicas: 1 } })).status).toBe(400);
    const { body } = await api.get(`${deployments}/d`);
    expect(body.spec?.replicas).toBe(7);
    expect(body.metadata.generation).toBe(2);
    expect((await api.delete(`${deployments}/d/scale`)).status).toBe(405);
  });

  test('kubectl shows subresources in columns of their own', async () => {
    const shown = async (subresource: string): Promise<string[][]> => {
      const text = await server().ok([
        'get',
        'deployment',
        'd',
        '-n',
        namespace,
        '--subresource',
        subresource,
      ]);
      return text
        .trim()
        .split('\n')
        .map((line) => line.split(/\s+/));
    };
    const [columns, cells = []] = await shown('scale');
    expect(columns).toEqual(['NAME', 'DESIRED', 'AVAILABLE', 'AGE']);
    expect(cells.slice(0, 3)).toEqual(['d', '7', '0']);
    expect((await shown('status'))[0]).toEqual(['NAME', 'READY', 'UP-TO-DATE', 'AVAILABLE', 'AGE']);
    const accept = 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io';
    const path = `/apis/apps/v1/namespaces/${namespace}/deployments/d/scale`;
    const { body } = await api.get(path, { accept });
    expect(body).toMatchObject({ kind: 'PartialObjectMetadata', metadata: { name: 'd' } });
    expect(body.spec).toBeUndefined();
  });

  test('custom resources scale where their definition says', async () => {
    const group = `s${count++}.example.com`;
    const made = await api.post('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
      metadata: { name: `foos.${group}` },
      spec: {
        group,
        scope: 'Namespaced',
        names: { plural: 'foos', kind: 'Foo' },
        versions: [
          {
            name: 'v1',
            served: true,
            storage: true,
            subresources: {
              status: {},
              scale: {
                specReplicasPath: '.spec.count',
                statusReplicasPath: '.status.count',
                labelSelectorPath: '.status.sel',
              },
            },
            schema: {
              openAPIV3Schema: {
                type: 'object',
                properties: {
                  spec: { type: 'object', properties: { count: { type: 'integer' } } },
                  status: {
                    type: 'object',
                    properties: { count: { type: 'integer' }, sel: { type: 'string' } },
                  },
                },
              },
            },
          },
        ],
      },
    });
    expect(made.status).toBe(201);
    const foos = `/apis/${group}/v1/namespaces/${namespace}/foos`;
    await expect.poll(async () => (await api.get(foos)).status, { timeout: 10_000 }).toBe(200);
    await expect
      .poll(
        async () =>
          (
            await api.post(foos, {
              apiVersion: `${group}/v1`,
              kind: 'Foo',
              metadata: { name: 'f' },
              spec: { count: 3 },
            })
          ).status,
        { timeout: 10_000 },
      )
      .toBe(201);
    const unscaled = (await api.get(`${foos}/f`)).body;
    expect(unscaled.metadata.managedFields?.[0]?.fieldsV1).toEqual({ 'f:spec': { '.': {}, 'f:count': {} } });
    const refusal = async (body: unknown): Promise<string | undefined> =>
      (await api.post(foos, body)).body.message;
    expect(await refusal({ metadata: { name: 'g' } })).toContain("Object 'Kind' is missing in");
    expect(await refusal({ apiVersion: `${group}/v1`, kind: 'Bar', metadata: { name: 'g' } })).toBe(
      `Bar.${group} "g" is invalid: kind: Invalid value: "Bar": must be Foo`,
    );
    expect(
      (await api.put(`${foos}/f`, { apiVersion: `${group}/v1`, kind: 'Foo', metadata: { name: 'f' } })).body
        .message,
    ).toBe(
      `foos.${group} "f" is invalid: metadata.resourceVersion: Invalid value: 0x0: must be specified for an update`,
    );
    await api.patch(`${foos}/f/status`, 'merge', { status: { count: 2, sel: 'x=y' } });
    expect((await api.get(`${foos}/f/scale`)).body).toMatchObject({
      spec: { replicas: 3 },
      status: { replicas: 2, selector: 'x=y' },
    });
    expect((await api.patch(`${foos}/f/scale`, 'merge', { spec: { replicas: 5 } })).body.spec).toEqual({
      replicas: 5,
    });
    expect((await api.get(`${foos}/f`)).body).toMatchObject({
      spec: { count: 5 },
      status: { count: 2 },
      metadata: { generation: 2 },
    });
    await server().ok(['scale', '--replicas=6', `foos.${group}/f`, '-n', namespace]);
    expect((await api.get(`${foos}/f`)).body.spec).toEqual({ count: 6 });
    const shown = await server().ok(['get', `foos.${group}`, 'f', '-n', namespace, '--subresource=scale']);
    expect(shown).toMatch(/^NAME +DESIRED +AVAILABLE +AGE\nf +6 +2 +\S+\n$/);
  });

  test('status is written apart from the rest', async () => {
    const name = await pod();
    const path = `${pods}/${name}`;
    const patched = await api.patch(`${path}/status`, 'merge', {
      metadata: { labels: { a: 'b' } },
      spec: { activeDeadlineSeconds: 5 },
      status: { phase: 'Running' },
    });
    expect(patched.body.status?.phase).toBe('Running');
    expect(patched.body.spec?.activeDeadlineSeconds).toBeUndefined();
    const plain = await api.patch(path, 'merge', { status: { phase: 'Failed' } });
    expect(plain.body.status?.phase).toBe('Running');
    expect((await api.post(`${path}/status`, {})).status).toBe(405);
    expect((await api.delete(`${path}/status`)).status).toBe(405);
    expect((await api.get(`${path}/foo`)).status).toBe(404);
  });

  test.each([
    ['tailLines=x', 400, 'strconv.ParseInt: parsing "x": invalid syntax'],
    ['tailLines=-1', 422, 'tailLines: Invalid value: -1: must be greater than or equal to 0'],
    ['sinceSeconds=0', 422, 'sinceSeconds: Invalid value: 0: must be greater than 0'],
    ['limitBytes=0', 422, 'limitBytes: Invalid value: 0: must be greater than 0'],
    ['sinceTime=foo', 400, 'parsing time "foo" as "2006-01-02T15:04:05Z07:00": cannot parse "foo" as "2006"'],
    ['container=zz', 400, /^container zz is not valid for pod p\d+$/],
  ])('logs with %s', async (query, code, message) => {
    const { body } = await api.get(`${pods}/${await pod({ nodeName: 'sub-1' })}/log?${query}`);
    expect(body.code).toBe(code);
    if (typeof message === 'string') expect(body.message).toContain(message);
    else expect(body.message).toMatch(message);
  });

  test.each([
    ['services/nope/proxy/', 404, 'services "nope" not found'],
    ['pods/nope/proxy/', 404, 'pods "nope" not found'],
    ['services/ftp:a:b/proxy/', 400, 'invalid service request "ftp:a:b"'],
    ['services/a:b:c:d/proxy/', 400, 'invalid service request "a:b:c:d"'],
  ])('proxy to %s', async (path, code, message) => {
    expect((await api.get(`/api/v1/namespaces/${namespace}/${path}`)).body).toMatchObject({ code, message });
  });

  test('proxies lead to no address of the server itself', async () => {
    const name = await pod({ nodeName: 'sub-1' });
    await api.patch(`${pods}/${name}/status`, 'merge', {
      status: { podIP: '127.0.0.1', podIPs: [{ ip: '127.0.0.1' }] },
    });
    expect((await api.get(`${pods}/${name}:80/proxy/`)).body).toMatchObject({
      code: 400,
      message: 'address not allowed',
    });
  });

  test('services without endpoints are not available', async () => {
    const of = `/api/v1/namespaces/${namespace}`;
    await api.post(`${of}/services`, {
      metadata: { name: 'empty' },
      spec: { ports: [{ port: 80, name: 'web' }] },
    });
    // Without a selector nobody else keeps these.
    await api.post(`${of}/endpoints`, { metadata: { name: 'empty' } });
    const at = (name: string) => api.get(`${of}/services/${name}/proxy/`);
    expect((await at('empty:web')).body).toMatchObject({
      code: 503,
      reason: 'ServiceUnavailable',
      message: 'no endpoints available for service "empty"',
    });
    expect((await at('empty:zz')).body).toMatchObject({ code: 503 });
  });
});
