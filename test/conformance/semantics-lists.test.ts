import { beforeAll, expect, test } from 'vitest';
import { type Answer, namesOf, Requests } from './semantics-requests.js';
import { describeServers } from './servers.js';

describeServers('lists', (server) => {
  let api: Requests;
  let base: string;
  /** Of the list the paging tests begin with. */
  let first: Answer;
  const listed = (query: string): Promise<Answer> => api.get(`${base}?labelSelector=odd&${query}`);

  beforeAll(async () => {
    api = new Requests(server());
    base = `/api/v1/namespaces/${await server().namespace('lists')}/configmaps`;
    for (let i = 0; i < 7; i++) {
      const created = await api.post(base, { metadata: { name: `p${i}`, labels: { odd: String(i % 2) } } });
      expect(created.status).toBe(201);
    }
    first = await listed('limit=4');
    // From here on the list is another one.
    await api.patch(`${base}/p6`, 'merge', { metadata: { labels: { odd: 'x' } } });
    await api.delete(`${base}/p5`);
    await api.post(base, { metadata: { name: 'p55', labels: { odd: '0' } } });
  });

  test('later pages show what was there when the first was read', async () => {
    expect(namesOf(first)).toEqual(['p0', 'p1', 'p2', 'p3']);
    const rest = await listed(`limit=4&continue=${first.body.metadata.continue}`);
    expect(namesOf(rest)).toEqual(['p4', 'p5', 'p6']);
    expect(rest.body.metadata.resourceVersion).toBe(first.body.metadata.resourceVersion);
    expect(rest.body.metadata.continue).toBeUndefined();
    expect(namesOf(await listed(''))).toEqual(['p0', 'p1', 'p2', 'p3', 'p4', 'p55', 'p6']);
  });

  test('who reports an event in the newer form is its source', async () => {
    const namespace = base.split('/')[4] ?? '';
    const regarding = { kind: 'Pod', name: 'p', namespace };
    const made = await api.post(`/apis/events.k8s.io/v1/namespaces/${namespace}/events`, {
      metadata: { name: 'newer' },
      regarding,
      eventTime: '2026-01-02T03:04:05.000000Z',
      reportingController: 'me.example.com/it',
      reportingInstance: 'i',
      action: 'Do',
      reason: 'Done',
      type: 'Normal',
    });
    expect(made.status).toBe(201);
    const events = `/api/v1/namespaces/${namespace}/events`;
    expect(namesOf(await api.get(`${events}?fieldSelector=source=me.example.com/it`))).toEqual(['newer']);
    expect(namesOf(await api.get(`${events}?fieldSelector=source=other`))).toEqual([]);
  });

  test('what remains is counted where nothing is left out', async () => {
    expect(first.body.metadata.remainingItemCount).toBeUndefined();
    const { items, metadata } = (await api.get(`${base}?limit=2`)).body;
    const all = namesOf(await api.get(base));
    expect((items?.length ?? 0) + (metadata.remainingItemCount ?? 0)).toBe(all.length);
  });

  test('an exact revision is shown as it was', async () => {
    const rv = first.body.metadata.resourceVersion;
    const then = await listed(`resourceVersion=${rv}&resourceVersionMatch=Exact`);
    expect(namesOf(then)).toEqual(['p0', 'p1', 'p2', 'p3', 'p4', 'p5', 'p6']);
    expect(then.body.metadata.resourceVersion).toBe(rv);
    const now = await listed(`resourceVersion=${rv}&resourceVersionMatch=NotOlderThan`);
    expect(namesOf(now)).toContain('p55');
  });

  test('revision 0 takes no notice of the limit', async () => {
    const all = await listed('resourceVersion=0&limit=2');
    expect(namesOf(all)).toHaveLength(7);
    expect(all.body.metadata.continue).toBeUndefined();
  });

  test('a revision that is not reached yet is a timeout to be tried again', async () => {
    for (const path of [`${base}?resourceVersion=99999999`, `${base}/p1?resourceVersion=99999999`]) {
      const answer = await api.get(path);
      expect(answer.status).toBe(504);
      expect(answer.headers['retry-after']).toBe('1');
      expect(answer.body).toMatchObject({
        reason: 'Timeout',
        message: expect.stringMatching(/^Timeout: Too large resource version: 99999999, current: \d+$/),
        details: { causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }] },
      });
    }
  });

  test.each([
    ['resourceVersionMatch=Exact', 'resourceVersionMatch is forbidden unless resourceVersion is provided'],
    [
      'resourceVersion=0&resourceVersionMatch=Exact',
      'resourceVersionMatch "exact" is forbidden for resourceVersion "0"',
    ],
    ['sendInitialEvents=true', 'sendInitialEvents is forbidden for list'],
  ])('options that contradict each other are refused: %s', async (query, detail) => {
    const answer = await listed(query);
    expect(answer.status).toBe(422);
    expect(answer.body.reason).toBe('Invalid');
    expect(answer.body.message).toContain(`ListOptions.meta.k8s.io "" is invalid: `);
    expect(answer.body.message).toContain(`Forbidden: ${detail}`);
  });

  test('an unknown match names those there are', async () => {
    expect((await listed('resourceVersion=1&resourceVersionMatch=Foo')).body.message).toBe(
      'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Unsupported value: "Foo": supported values: "Exact", "NotOlderThan", ""',
    );
  });

  test.each([
    ['limit=x', 'strconv.ParseInt: parsing "x": invalid syntax'],
    ['timeoutSeconds=x', 'strconv.ParseInt: parsing "x": invalid syntax'],
    ['continue=abc', /^invalid continue token: continue key is not valid: /],
  ])('%s is a bad request', async (query, message) => {
    const answer = await listed(query);
    expect(answer.status).toBe(400);
    expect(answer.body.message).toMatch(message);
  });

  test('a token goes with no other revision', async () => {
    const answer = await listed(`continue=${first.body.metadata.continue}&resourceVersion=1`);
    expect(answer.body).toMatchObject({
      code: 400,
      message: 'specifying resource version is not allowed when using continue',
    });
  });

  test.each([
    ['odd=1', ['p1', 'p3']],
    ['odd==1', ['p1', 'p3']],
    ['odd in (1,x)', ['p1', 'p3', 'p6']],
    ['odd notin (0),odd', ['p1', 'p3', 'p6']],
    ['odd,odd!=0', ['p1', 'p3', 'p6']],
    ['odd>0', ['p1', 'p3']],
    ['odd<1', ['p0', 'p2', 'p4', 'p55']],
    ['  odd = 1 , odd ', ['p1', 'p3']],
    ['odd in ()', []],
    ['odd,!odd', []],
  ])('labels: %s', async (selector, names) => {
    const answer = await api.get(`${base}?labelSelector=${encodeURIComponent(selector)}`);
    expect(namesOf(answer)).toEqual(names);
  });

  test.each([
    ['a in b', "unable to parse requirement: found 'b', expected: '('"],
    ['a=b=c', "found '=', expected: ',' or 'end of string'"],
    ['=x', "found '=', expected: !, identifier, or 'end of string'"],
    ['!', "unable to parse requirement: found '', expected: identifier"],
    ['a b', "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"],
    ['a in (b', "unable to parse requirement: found '', expected: ',' or ')'"],
    ['a=b,', "found '', expected: identifier after ','"],
    [
      'a>x',
      "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer",
    ],
    [
      `a=${'x'.repeat(64)}`,
      `unable to parse requirement: values[0][a]: Invalid value: "${'x'.repeat(64)}": must be no more than 63 characters`,
    ],
  ])('labels: %s is no selector', async (selector, message) => {
    const answer = await api.get(`${base}?labelSelector=${encodeURIComponent(selector)}`);
    expect(answer.status).toBe(400);
    // One of the parser's messages lacks a comma in Kubernetes.
    expect(answer.body.message?.replace("', expected: '('", "' expected: '('")).toBe(
      message.replace("', expected: '('", "' expected: '('"),
    );
  });

  test('fields: names select everywhere, others where the kind has them', async () => {
    expect(namesOf(await api.get(`${base}?fieldSelector=metadata.name=p1`))).toEqual(['p1']);
    expect(namesOf(await listed('fieldSelector=metadata.name!=p1,metadata.name!=p2'))).toEqual([
      'p0',
      'p3',
      'p4',
      'p55',
      'p6',
    ]);
    expect((await api.get(`${base}?fieldSelector=data.x=1`)).body.message).toBe(
      '"data.x" is not a known field selector: only "metadata.name", "metadata.namespace"',
    );
    expect((await api.get('/api/v1/pods?fieldSelector=spec.image=1')).body.message).toBe(
      'field label not supported: spec.image',
    );
  });

  test.each([
    [
      'pods',
      [
        'spec.nodeName',
        'spec.restartPolicy',
        'spec.schedulerName',
        'spec.serviceAccountName',
        'spec.hostNetwork',
        'status.phase',
        'status.podIP',
        'status.nominatedNodeName',
      ],
    ],
    [
      'events',
      [
        'involvedObject.kind',
        'involvedObject.namespace',
        'involvedObject.name',
        'involvedObject.uid',
        'involvedObject.apiVersion',
        'involvedObject.resourceVersion',
        'involvedObject.fieldPath',
        'reason',
        'reportingComponent',
        'source',
        'type',
      ],
    ],
    ['secrets', ['type']],
    ['nodes', ['spec.unschedulable']],
    ['namespaces', ['status.phase']],
    ['services', ['spec.clusterIP', 'spec.type']],
  ])('fields of %s', async (resource, fields) => {
    for (const field of fields) {
      expect({
        field,
        status: (await api.get(`/api/v1/${resource}?fieldSelector=${field}=x`)).status,
      }).toEqual({
        field,
        status: 200,
      });
    }
  });

  test('a field that is not set has the zero value of its type', async () => {
    const created = await api.post('/api/v1/nodes', { metadata: { name: 'zero' } });
    expect(created.status).toBe(201);
    const found = await api.get('/api/v1/nodes?fieldSelector=spec.unschedulable=false');
    expect(namesOf(found)).toContain('zero');
    await api.delete('/api/v1/nodes/zero');
  });

  test('only the metadata, when asked for', async () => {
    const accept = 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io';
    const { body } = await api.get(`${base}?labelSelector=odd=1`, { accept });
    expect(body).toMatchObject({ kind: 'PartialObjectMetadataList', apiVersion: 'meta.k8s.io/v1' });
    expect(body.items?.[0]).toMatchObject({ kind: 'PartialObjectMetadata', metadata: { name: 'p1' } });
    const one = await api.get(`${base}/p1`, { accept });
    expect(one.status).toBe(406);
  });

  test('deletes what selectors choose', async () => {
    const deleted = await api.delete(`${base}?labelSelector=odd=1`);
    expect(deleted.body).toMatchObject({ kind: 'ConfigMapList' });
    expect(namesOf(deleted)).toEqual(['p1', 'p3']);
    expect(namesOf(await listed(''))).toEqual(['p0', 'p2', 'p4', 'p55', 'p6']);
    const dry = await api.delete(`${base}?labelSelector=odd&dryRun=All`);
    expect(dry.status).toBe(200);
    expect(namesOf(await listed(''))).toHaveLength(5);
  });
});
