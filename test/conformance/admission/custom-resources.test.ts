import { afterAll, beforeAll, expect, test } from 'vitest';
import { type JsonObject, objectOf, objectsOf, stringOf } from '#sandbox/base/json.js';
import { eventually } from '../../harness/cluster.js';
import { WebhookServer } from '../../harness/webhook-server.js';
import { describeServers, type RawAnswer } from '../servers.js';

const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const mergePatch = { 'content-type': 'application/merge-patch+json' };
const group = 'conformance.example.com';

interface Version extends JsonObject {
  name: string;
}

const version = (name: string, spec: JsonObject, more: JsonObject = {}): Version => ({
  name,
  served: true,
  storage: true,
  schema: { openAPIV3Schema: { type: 'object', properties: { spec } } },
  ...more,
});

const definition = (
  plural: string,
  kind: string,
  versions: Version[],
  spec: JsonObject = {},
): JsonObject => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `${plural}.${group}` },
  spec: { group, names: { plural, kind }, scope: 'Namespaced', versions, ...spec },
});

describeServers('custom resources', (server) => {
  let hooks: WebhookServer;
  let namespace: string;
  beforeAll(async () => {
    hooks = await WebhookServer.start();
    namespace = await server().namespace('custom');
  });
  afterAll(() => hooks.stop());

  const send = (method: string, path: string, body?: JsonObject): Promise<RawAnswer> =>
    server().raw({
      method,
      path,
      ...(body === undefined ? {} : { body }),
      ...(method === 'PATCH' ? { headers: mergePatch } : {}),
    });
  const at = (plural: string, v: string, name = ''): string =>
    `/apis/${group}/${v}/namespaces/${namespace}/${plural}${name === '' ? '' : `/${name}`}`;
  const messageOf = (answer: RawAnswer): string => answer.json<{ message: string }>().message;
  const statusOf = async (plural: string): Promise<JsonObject> =>
    objectOf((await send('GET', `${definitions}/${plural}.${group}`)).json<JsonObject>().status);
  const conditionsOf = async (plural: string): Promise<Record<string, string>> =>
    Object.fromEntries(
      objectsOf((await statusOf(plural)).conditions).map((c) => [
        stringOf(c.type),
        `${stringOf(c.status)} ${stringOf(c.reason)}`,
      ]),
    );
  async function define(body: JsonObject): Promise<void> {
    const made = await send('POST', definitions, body);
    expect(made.status, made.text).toBe(201);
    const [plural = ''] = stringOf(objectOf(body.metadata).name).split('.');
    await eventually(async () => expect((await conditionsOf(plural)).Established).toMatch(/^True/), {
      timeoutMs: 15_000,
    });
    const versions = objectsOf(objectOf(body.spec).versions).map((v) => stringOf(v.name));
    for (const v of versions) {
      await eventually(async () => expect((await send('GET', at(plural, v))).status).toBe(200), {
        timeoutMs: 15_000,
      });
    }
  }
  const object = (kind: string, v: string, name: string, spec: JsonObject): JsonObject => ({
    apiVersion: `${group}/${v}`,
    kind,
    metadata: { name },
    spec,
  });

  test('a webhook converts between versions', async () => {
    const convert = (o: JsonObject, to: string): JsonObject => {
      const { host, port, address } = objectOf(o.spec);
      const [h, p] = stringOf(address).split(':');
      const spec = to.endsWith('/v2')
        ? { address: `${stringOf(host)}:${JSON.stringify(port)}` }
        : { host: h, port: Number(p) };
      return {
        ...o,
        apiVersion: to,
        spec: address !== undefined && to.endsWith('/v2') ? objectOf(o.spec) : spec,
      };
    };
    let isBroken = false;
    hooks.on('/convert', ({ review }) => {
      const { objects, desiredAPIVersion } = objectOf(review.request);
      if (isBroken) return { response: { result: { status: 'Failed', message: 'out of order' } } };
      const convertedObjects = objectsOf(objects).map((o) => convert(o, stringOf(desiredAPIVersion)));
      return { response: { result: { status: 'Success' }, convertedObjects } };
    });
    const v1 = version(
      'v1',
      { type: 'object', properties: { host: { type: 'string' }, port: { type: 'integer' } } },
      { storage: false },
    );
    const v2 = version('v2', { type: 'object', properties: { address: { type: 'string' } } });
    const clientConfig = { url: `${hooks.url}/convert`, caBundle: hooks.caBundle };
    const conversion = { strategy: 'Webhook', webhook: { conversionReviewVersions: ['v1'], clientConfig } };
    await define(definition('ends', 'End', [v1, v2], { conversion }));
    const made = await send('POST', at('ends', 'v1'), object('End', 'v1', 'a', { host: 'h', port: 80 }));
    expect(made.json()).toMatchObject({ apiVersion: `${group}/v1`, spec: { host: 'h', port: 80 } });
    expect((await send('GET', at('ends', 'v2', 'a'))).json()).toMatchObject({
      apiVersion: `${group}/v2`,
      spec: { address: 'h:80' },
    });
    await send('PATCH', at('ends', 'v2', 'a'), { spec: { address: 'i:81' } });
    const list = (await send('GET', at('ends', 'v1'))).json<{ items: JsonObject[] }>();
    expect(list.items).toMatchObject([{ apiVersion: `${group}/v1`, spec: { host: 'i', port: 81 } }]);
    const patched = await send('PATCH', at('ends', 'v1', 'a'), { spec: { port: 82 } });
    expect(patched.json()).toMatchObject({ spec: { host: 'i', port: 82 } });
    isBroken = true;
    await send('PATCH', at('ends', 'v2', 'a'), { metadata: { labels: { changed: 'yes' } } });
    const failed = await send('GET', at('ends', 'v1', 'a'));
    expect([failed.status, messageOf(failed)]).toEqual([
      500,
      `conversion webhook for ${group}/v2, Kind=End failed: out of order`,
    ]);
    expect((await send('GET', at('ends', 'v2', 'a'))).status).toBe(200);
    isBroken = false;
  });

  test('what is stored is read by the schema of today', async () => {
    const v1 = (spec: JsonObject): Version => version('v1', spec);
    const text = { type: 'string' };
    await define(
      definition('aged', 'Aged', [v1({ type: 'object', properties: { gone: text, kept: text } })]),
    );
    await send('POST', at('aged', 'v1'), object('Aged', 'v1', 'a', { gone: 'g', kept: 'k' }));
    const later = { type: 'object', properties: { kept: text, came: { ...text, default: 'c' } } };
    await send('PATCH', `${definitions}/aged.${group}`, { spec: { versions: [v1(later)] } });
    await eventually(
      async () =>
        expect((await send('GET', at('aged', 'v1', 'a'))).json<JsonObject>().spec).toEqual({
          kept: 'k',
          came: 'c',
        }),
      { timeoutMs: 15_000 },
    );
    const listed = (await send('GET', at('aged', 'v1'))).json<{ items: JsonObject[] }>();
    expect(listed.items).toMatchObject([{ spec: { kept: 'k', came: 'c' } }]);
  });

  test('embedded objects have all fields of metadata, whatever their schema names', async () => {
    const template = {
      type: 'object',
      'x-kubernetes-embedded-resource': true,
      properties: { metadata: { type: 'object', properties: { name: { type: 'string', maxLength: 5 } } } },
    };
    await define(definition('hulls', 'Hull', [version('v1', { type: 'object', properties: { template } })]));
    const embedded = { apiVersion: 'v1', kind: 'Sub', metadata: { name: 'sub', namespace: 'n', odd: 'o' } };
    const hull = object('Hull', 'v1', 'a', { template: embedded });
    const refused = await send('POST', `${at('hulls', 'v1')}?fieldValidation=Strict`, hull);
    expect(refused.status).toBe(400);
    expect(messageOf(refused)).toMatch(/strict decoding error: unknown field "spec.template.metadata.odd"$/);
    const made = await send('POST', at('hulls', 'v1'), hull);
    expect(made.json<JsonObject>().spec).toEqual({
      template: { ...embedded, metadata: { name: 'sub', namespace: 'n' } },
    });
  });

  test('a configuration that gives a key twice is refused with its line', async () => {
    await define(
      definition('loose', 'Loose', [
        version('v1', { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }),
      ]),
    );
    const body = `apiVersion: ${group}/v1\nkind: Loose\nmetadata:\n  name: a\nspec:\n  foo: a\n  foo: b\n`;
    const applied = await server().raw({
      method: 'PATCH',
      path: `${at('loose', 'v1', 'a')}?fieldManager=m&fieldValidation=Strict`,
      headers: { 'content-type': 'application/apply-patch+yaml' },
      body,
    });
    expect([applied.status, messageOf(applied)]).toEqual([
      400,
      'error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  line 7: key "foo" already set in map',
    ]);
    const posted = await server().raw({
      method: 'POST',
      path: `${at('loose', 'v1')}?fieldValidation=Strict`,
      headers: { 'content-type': 'application/yaml' },
      body,
    });
    expect(posted.status).toBe(400);
    expect(messageOf(posted)).toContain('line 7: key "foo" already set in map');
  });

  test('versions without conversion show what their schema knows', async () => {
    const v1 = version(
      'v1',
      { type: 'object', properties: { old: { type: 'string', default: 'o' }, both: { type: 'string' } } },
      { storage: false, deprecated: true },
    );
    const v2 = version('v2', {
      type: 'object',
      properties: { now: { type: 'string', default: 'n' }, both: { type: 'string' } },
    });
    await define(definition('pairs', 'Pair', [v1, v2]));
    const made = await send('POST', at('pairs', 'v1'), object('Pair', 'v1', 'p', { both: 'b' }));
    // What is stored is what the storage version knows.
    expect(made.json<JsonObject>().spec).toEqual({ both: 'b' });
    expect(made.headers.warning).toContain(`${group}/v1 Pair is deprecated; use ${group}/v2 Pair`);
    expect((await send('GET', at('pairs', 'v2', 'p'))).json<JsonObject>().spec).toEqual({
      both: 'b',
      now: 'n',
    });
    const dropped = await send('PATCH', `${definitions}/pairs.${group}`, {
      spec: { versions: [{ ...v1, storage: true }] },
    });
    expect(messageOf(dropped)).toContain(
      'status.storedVersions[0]: Invalid value: "v2": must appear in spec.versions',
    );
  });

  test('rules compare with what was, and tolerate what stays', async () => {
    const spec = (max: number): JsonObject => ({
      type: 'object',
      properties: {
        name: {
          type: 'string',
          maxLength: max,
          'x-kubernetes-validations': [{ rule: 'self == oldSelf', message: 'name is immutable' }],
        },
        size: {
          type: 'integer',
          'x-kubernetes-validations': [{ rule: `self < ${max * 10}`, message: 'too big' }],
        },
        note: { type: 'string' },
      },
    });
    await define(definition('boxes', 'Box', [version('v1', spec(5))]));
    await send('POST', at('boxes', 'v1'), object('Box', 'v1', 'b', { name: 'abcde', size: 40 }));
    const renamed = await send('PATCH', at('boxes', 'v1', 'b'), { spec: { name: 'other' } });
    expect(messageOf(renamed)).toBe(
      `Box.${group} "b" is invalid: spec.name: Invalid value: "string": name is immutable`,
    );
    const tightened = definition('boxes', 'Box', [version('v1', spec(3))]);
    await send('PATCH', `${definitions}/boxes.${group}`, { spec: objectOf(tightened.spec) });
    await eventually(
      async () =>
        expect(
          (await send('POST', `${at('boxes', 'v1')}?dryRun=All`, object('Box', 'v1', 'c', { name: 'abcd' })))
            .status,
        ).toBe(422),
      { timeoutMs: 10_000 },
    );
    const unrelated = await send('PATCH', at('boxes', 'v1', 'b'), { spec: { note: 'kept' } });
    expect(unrelated.status, unrelated.text).toBe(200);
    expect(unrelated.headers.warning).toContain('too big');
    expect(messageOf(await send('PATCH', at('boxes', 'v1', 'b'), { spec: { size: 50 } }))).toBe(
      `Box.${group} "b" is invalid: spec.size: Invalid value: "integer": too big`,
    );
  });

  test('an integer has 64 bits, whatever its format says', async () => {
    const spec = { type: 'object', properties: { n: { type: 'integer', format: 'int32', minimum: 1 } } };
    await define(definition('sums', 'Sum', [version('v1', spec)]));
    const path = `${at('sums', 'v1')}?dryRun=All`;
    const tried = async (n: number): Promise<string> => {
      const answer = await send('POST', path, object('Sum', 'v1', 's', { n }));
      return `${n} ${answer.status === 201 ? 'taken' : messageOf(answer)}`;
    };
    expect([await tried(2 ** 31), await tried(2 ** 53), await tried(2 ** 65)]).toEqual([
      `${2 ** 31} taken`,
      `${2 ** 53} taken`,
      `${2 ** 65} Sum.${group} "s" is invalid: spec.n: Invalid value: "number": spec.n in body must be of type integer: "number"`,
    ]);
  });

  test('a value of another type is none of the enumerated ones either', async () => {
    const spec = { type: 'object', properties: { s: { type: 'string', enum: ['a', 'b'] } } };
    await define(definition('picks', 'Pick', [version('v1', spec)]));
    const answer = await send('POST', at('picks', 'v1'), object('Pick', 'v1', 'p', { s: 1 }));
    const { causes = [] } = answer.json<{ details: { causes?: { reason: string; message: string }[] } }>()
      .details;
    expect(causes.map((c) => `${c.reason} ${c.message}`).toSorted()).toEqual([
      'FieldValueNotSupported Unsupported value: 1: supported values: "a", "b"',
      'FieldValueTypeInvalid Invalid value: "integer": spec.s in body must be of type string: "integer"',
    ]);
  });

  test('a name is given once', async () => {
    const anything = { type: 'object' };
    await define(definition('cups', 'Cup', [version('v1', anything)]));
    await send('POST', definitions, definition('mugs', 'Cup', [version('v1', anything)]));
    await eventually(
      async () =>
        expect(await conditionsOf('mugs')).toEqual({
          NamesAccepted: 'False ListKindConflict',
          Established: 'False NotAccepted',
        }),
      { timeoutMs: 10_000 },
    );
    expect((await send('GET', at('mugs', 'v1'))).status).toBe(404);
    await send('DELETE', `${definitions}/cups.${group}`);
    await eventually(async () => expect((await send('GET', at('mugs', 'v1'))).status).toBe(200), {
      timeoutMs: 15_000,
    });
  });

  test('definitions that cannot work are refused', async () => {
    const refused = async (spec: JsonObject, more: JsonObject = {}): Promise<string> => {
      const body = definition('wrongs', 'Wrong', [version('v1', spec, more)]);
      const answer = await send('POST', `${definitions}?dryRun=All`, body);
      expect(answer.status).toBe(422);
      const prefix = `CustomResourceDefinition.apiextensions.k8s.io "wrongs.${group}" is invalid: `;
      return messageOf(answer)
        .replace(prefix, '')
        .replace('spec.validation.openAPIV3Schema.properties[spec]', '@');
    };
    const field = (schema: JsonObject): JsonObject => ({ type: 'object', properties: { a: schema } });
    expect([
      await refused(field({})),
      await refused(field({ type: 'array' })),
      await refused(field({ type: 'string', default: 5 })),
      await refused(field({ type: 'string', pattern: '(?=a)' })),
      await refused(
        field({
          type: 'array',
          items: { type: 'object', properties: { k: { type: 'string' } } },
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['k'],
        }),
      ),
      await refused(field({ type: 'integer', 'x-kubernetes-validations': [{ rule: 'self.x > 1' }] })),
      await refused(field({ type: 'integer' }), { selectableFields: [{ jsonPath: '.spec.b' }] }),
      await refused(field({ type: 'integer' }), {
        additionalPrinterColumns: [{ name: 'A', type: 'text', jsonPath: '.spec.a' }],
      }),
    ]).toEqual([
      '@.properties[a].type: Required value: must not be empty for specified object fields',
      '@.properties[a].items: Required value: must be specified',
      '@.properties[a].default: Invalid value: "integer":  in body must be of type string: "integer"',
      '@.properties[a].pattern: Invalid value: "(?=a)": must be a valid regular expression, but isn\'t: error parsing regexp: invalid or unsupported Perl syntax: `(?=`',
      '@.properties[a].items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property',
      `@.properties[a].x-kubernetes-validations[0].rule: Invalid value: apiextensions.ValidationRule{Rule:"self.x > 1", Message:"", MessageExpression:"", Reason:(*apiextensions.FieldValueErrorReason)(nil), FieldPath:"", OptionalOldSelf:(*bool)(nil)}: compilation failed: ERROR: <input>:1:5: type 'int' does not support field selection\n | self.x > 1\n | ....^`,
      'spec.selectableFields[0].jsonPath: Invalid value: ".spec.b": is an invalid path: does not refer to a valid field',
      'spec.additionalPrinterColumns[0].type: Invalid value: "text": must be one of boolean,date,integer,number,string',
    ]);
  });

  test('rules that could cost too much are refused', async () => {
    const attempt = async (more: JsonObject): Promise<RawAnswer> => {
      const { maxItems, maxLength } = more;
      const items = { type: 'string', ...(maxLength === undefined ? {} : { maxLength }) };
      const list = { type: 'array', items, ...(maxItems === undefined ? {} : { maxItems }) };
      const rule = { rule: 'self.l.all(x, self.l.all(y, x != y))', message: 'all differ' };
      const spec = { type: 'object', properties: { l: list }, 'x-kubernetes-validations': [rule] };
      return send('POST', `${definitions}?dryRun=All`, definition('costs', 'Cost', [version('v1', spec)]));
    };
    const refused = await attempt({});
    expect([refused.status, messageOf(refused)]).toEqual([
      422,
      expect.stringContaining(
        'Forbidden: estimated rule cost exceeds budget by factor of more than 100x (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)',
      ),
    ]);
    expect((await attempt({ maxItems: 50, maxLength: 50 })).status).toBe(201);
  });

  test.each([
    [
      'self.all(x, x == "a")',
      { type: 'array', items: { type: 'string' } },
      '201; 422 more than 100,more than 100; 422 1.6',
    ],
    [
      'self.all(x, x.contains("abc") && x != "")',
      { type: 'array', items: { type: 'string', maxLength: 100 } },
      '422 4.7; 422 more than 100,more than 100; 422 14.2,1.415576',
    ],
    [
      'self.exists(x, has(x.a) && x.a > 3)',
      { type: 'array', items: { type: 'object', properties: { a: { type: 'integer' } } } },
      '201; 422 more than 100,more than 100; 422 2.5',
    ],
    [
      'self.exists_one(x, x in ["a", "b"] || x.startsWith("c"))',
      { type: 'array', items: { type: 'string' } },
      '422 1.8; 422 more than 100,more than 100; 422 5.3',
    ],
    [
      'self.filter(x, x > 1).map(y, y + 1) == []',
      { type: 'array', items: { type: 'integer' } },
      '422 4.6; 422 more than 100,more than 100; 422 13.7,1.368392',
    ],
    [
      'self.all(k, self[k].matches("^[a-z]+$") ? k != "x" : self[k] + k == "y")',
      { type: 'object', additionalProperties: { type: 'string', maxLength: 20 }, maxProperties: 500_000 },
      '422 1.9; 422 more than 100,more than 100; 422 5.6',
    ],
    [
      'self.map(x, x > 1, {"a": x}).size() == 0',
      { type: 'array', items: { type: 'integer' }, maxItems: 800_000 },
      '422 3.6; 422 more than 100,more than 100; 422 10.8,1.080000',
    ],
    ['self.matches("(a|b)+c")', { type: 'string' }, '201; 422 more than 100,more than 100; 201'],
    ['self < "a" + self || !(self != self)', { type: 'string' }, '201; 422 more than 100,more than 100; 201'],
    [
      'self.a.all(x, self.b.exists(y, x < y))',
      {
        type: 'object',
        properties: {
          a: { type: 'array', maxItems: 2_000, items: { type: 'string', enum: ['a', 'bcd'] } },
          b: { type: 'array', maxItems: 1_000, items: { type: 'string', maxLength: 10 } },
        },
      },
      '422 1.401200; 422 more than 100,more than 100; 422 4.2',
    ],
    [
      'self.all(x, x < timestamp("2020-01-01T00:00:00Z") && x != self[0] && self[0] > x)',
      { type: 'array', items: { type: 'string', format: 'date-time' }, maxItems: 400_000 },
      '201; 422 more than 100,more than 100; 422 2.0',
    ],
  ])('%s costs what it costs', async (rule, schema, expected) => {
    const part = { ...schema, 'x-kubernetes-validations': [{ rule }] };
    const list = { type: 'array', items: part };
    const shown: string[] = [];
    for (const spec of [part, list, { ...list, maxItems: 3 }]) {
      const body = definition('costs', 'Cost', [version('v1', { type: 'object', properties: { p: spec } })]);
      const answer = await send('POST', `${definitions}?dryRun=All`, body);
      const factors = [
        ...(answer.json<{ message?: string }>().message ?? '').matchAll(
          /by factor of (more than \S+|[\d.]+)x/g,
        ),
      ];
      shown.push(`${answer.status} ${factors.map(([, f]) => f).join(',')}`.trim());
    }
    expect(shown.join('; ')).toBe(expected);
  });
});
