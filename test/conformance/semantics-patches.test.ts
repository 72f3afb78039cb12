import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Answer, Requests } from './semantics-requests.js';
import { describeServers } from './servers.js';

const notApplicable = {
  code: 422,
  reason: 'Invalid',
  message: 'the server rejected our request due to an error in our request',
};
let count = 0;

describeServers('patches', (server) => {
  let api: Requests;
  let namespace: string;
  beforeAll(async () => {
    api = new Requests(server());
    namespace = await server().namespace('patches');
  });

  describe('of a ConfigMap', () => {
    let path: string;
    beforeEach(async () => {
      const name = `c${count++}`;
      path = `/api/v1/namespaces/${namespace}/configmaps/${name}`;
      const made = { metadata: { name, finalizers: ['a/b'] }, data: { a: '1', b: '2' } };
      await api.post(path.replace(/\/[^/]*$/, ''), made);
    });
    const json = (...operations: unknown[]): Promise<Answer> => api.patch(path, 'json', operations);
    const merge = (body: unknown): Promise<Answer> => api.patch(path, 'merge', body);
    const strategic = (body: unknown): Promise<Answer> => api.patch(path, 'strategic', body);

    test('JSON: all operations', async () => {
      const patched = await json(
        { op: 'test', path: '/data/a', value: '1' },
        { op: 'add', path: '/data/c', value: '3' },
        { op: 'replace', path: '/data/a', value: '9' },
        { op: 'move', from: '/data/b', path: '/data/d' },
        { op: 'copy', from: '/data/d', path: '/data/e' },
        { op: 'add', path: '/metadata/labels', value: { 'x/y': 'z' } },
        { op: 'replace', path: '/metadata/labels/x~1y', value: 'w' },
        { op: 'add', path: '/metadata/finalizers/0', value: 'c/d' },
      );
      expect(patched.status).toBe(200);
      expect(patched.body.data).toEqual({ a: '9', c: '3', d: '2', e: '2' });
      expect(patched.body.metadata).toMatchObject({ labels: { 'x/y': 'w' }, finalizers: ['c/d', 'a/b'] });
    });

    test.each([
      ['a failing test', { op: 'test', path: '/data/a', value: '9' }],
      ['the removal of nothing', { op: 'remove', path: '/data/zz' }],
      ['a path through nothing', { op: 'add', path: '/foo/bar', value: 'x' }],
      ['no pointer', { op: 'add', path: 'data', value: 'x' }],
      ['an unknown operation', { op: 'foo', path: '/data/q', value: 'x' }],
      ['a move of nothing', { op: 'move', from: '/data/nope', path: '/data/n' }],
    ])('JSON: %s does not apply', async (_what, operation) => {
      expect((await json(operation)).body).toMatchObject(notApplicable);
      expect((await api.get(path)).body.data).toEqual({ a: '1', b: '2' });
    });

    test('JSON: replacing nothing adds, copying nothing gives the empty value, nothing is null', async () => {
      const patched = await json(
        { op: 'replace', path: '/data/new', value: 'x' },
        { op: 'copy', from: '/data/nope', path: '/data/n' },
        { op: 'test', path: '/data/other', value: null },
      );
      expect(patched.body.data).toEqual({ a: '1', b: '2', new: 'x', n: '' });
    });

    test.each([
      [
        'json',
        '{"op":"add"}',
        'error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp',
      ],
      ['json', '{', 'error decoding patch: unexpected end of JSON input'],
      [
        'merge',
        '[]',
        'error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}',
      ],
      ['merge', 'x', "error decoding patch: invalid character 'x' looking for beginning of value"],
      ['strategic', '[]', 'json: cannot unmarshal array into Go value of type map[string]interface {}'],
      ['strategic', '{', 'unexpected end of JSON input'],
    ] as const)('%s: %s is no patch', async (type, body, message) => {
      expect((await api.patch(path, type, body)).body).toMatchObject({
        code: 400,
        reason: 'BadRequest',
        message,
      });
    });

    test('merge: null removes, what is not named stays', async () => {
      const patched = await merge({ data: { a: null, z: '26' }, metadata: { labels: { l: '1' } } });
      expect(patched.body.data).toEqual({ b: '2', z: '26' });
      expect((await merge({ metadata: { labels: null } })).body.metadata.labels).toBeUndefined();
    });

    test('merge: the identity of an object cannot be patched', async () => {
      expect((await merge({ metadata: { name: 'other' } })).body).toMatchObject({ code: 400 });
      expect((await merge({ metadata: { uid: 'other' } })).body).toMatchObject({
        code: 422,
        // The cause is told twice there.
        message: expect.stringContaining('metadata.uid: Invalid value: "other": field is immutable'),
      });
      expect((await merge({ metadata: { namespace: 'other' } })).body).toMatchObject({
        code: 400,
        message: 'the namespace of the provided object does not match the namespace sent on the request',
      });
      expect((await merge({ metadata: { resourceVersion: '1' } })).body).toMatchObject({
        code: 409,
        reason: 'Conflict',
      });
    });

    test('what a patch makes must still be of its kind', async () => {
      const refused = (await json({ op: 'add', path: '/data/d', value: 5 })).body;
      expect(refused).toMatchObject({ code: 422, reason: 'Invalid' });
      expect(refused.message).toMatch(
        /^ "" is invalid: patch: Invalid value: .*: json: cannot unmarshal number into Go struct field ConfigMap\.data of type string$/s,
      );
    });

    test('of another media type are refused', async () => {
      const answer = await api.send('PATCH', path, {}, { 'content-type': 'application/json' });
      expect(answer.body).toMatchObject({ code: 415, message: '415: Unsupported Media Type' });
    });

    test('force is for apply', async () => {
      const answer = await api.patch(`${path}?force=true`, 'json', []);
      expect(answer.body.message).toBe(
        'PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch',
      );
    });

    test('lists of words: added, removed, ordered', async () => {
      const finalizers = async (metadata: unknown): Promise<unknown> =>
        (await strategic({ metadata })).body.metadata.finalizers;
      expect(await finalizers({ finalizers: ['c/d'] })).toEqual(['c/d', 'a/b']);
      expect(await finalizers({ '$deleteFromPrimitiveList/finalizers': ['a/b'] })).toEqual(['c/d']);
      expect(
        await finalizers({ '$setElementOrder/finalizers': ['e/f', 'c/d'], finalizers: ['e/f'] }),
      ).toEqual(['e/f', 'c/d']);
      expect(await finalizers({ finalizers: null })).toBeUndefined();
    });
  });

  describe('of a Deployment', () => {
    let path: string;
    beforeEach(async () => {
      const name = `d${count++}`;
      path = `/apis/apps/v1/namespaces/${namespace}/deployments/${name}`;
      const env = [
        { name: 'x', value: '1' },
        { name: 'y', value: '2' },
      ];
      const made = await api.post(path.replace(/\/[^/]*$/, ''), {
        metadata: { name },
        spec: {
          selector: { matchLabels: { a: 'b' } },
          template: {
            metadata: { labels: { a: 'b' } },
            spec: {
              containers: [
                { name: 'c', image: 'i', env },
                { name: 'e', image: 'j' },
              ],
            },
          },
        },
      });
      expect(made.status).toBe(201);
    });
    interface Container {
      readonly name: string;
      readonly image: string;
      readonly env?: readonly { readonly name: string }[];
    }
    const containers = async (spec: unknown): Promise<readonly Container[]> => {
      const { body } = await api.patch(path, 'strategic', { spec: { template: { spec } } });
      expect(body.message).toBeUndefined();
      return (body.spec as { template: { spec: { containers: Container[] } } }).template.spec.containers;
    };

    test('items of lists merge by their key', async () => {
      const [first, second] = await containers({
        containers: [
          {
            name: 'c',
            image: 'i2',
            env: [
              { name: 'y', $patch: 'delete' },
              { name: 'z', value: '3' },
            ],
          },
        ],
      });
      expect(first).toMatchObject({ name: 'c', image: 'i2' });
      expect(first?.env?.map((e) => e.name)).toEqual(['z', 'x']);
      expect(second).toMatchObject({ name: 'e', image: 'j' });
    });

    test('items are deleted and lists replaced by directive', async () => {
      const names = (list: readonly Container[]): string[] => list.map((c) => c.name);
      expect(names(await containers({ containers: [{ name: 'e', $patch: 'delete' }] }))).toEqual(['c']);
      expect(
        names(await containers({ containers: [{ name: 'n', image: 'n' }, { $patch: 'replace' }] })),
      ).toEqual(['n']);
      expect(
        names(
          await containers({
            '$setElementOrder/containers': [{ name: 'm' }, { name: 'n' }],
            containers: [{ name: 'm', image: 'm' }],
          }),
        ),
      ).toEqual(['m', 'n']);
    });

    test('only the keys to retain stay', async () => {
      const patched = await api.patch(path, 'strategic', {
        spec: { strategy: { $retainKeys: ['type'], type: 'Recreate' } },
      });
      expect(patched.body.spec?.strategy).toEqual({ type: 'Recreate' });
    });
  });
});
