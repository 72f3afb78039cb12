import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Graph } from '#mesh/controller/graph/graph.js';
import { LabelIndex, Selection, type Labeled, type Selector } from '#mesh/controller/graph/selection.js';

interface Named extends Selector {
  readonly name: string;
}

function setUp() {
  const graph = new Graph(
    () => undefined,
    (key, error) => {
      throw new Error(`computing ${key} failed`, { cause: error });
    },
  );
  const members = graph.source<Labeled & { readonly key: string }>();
  const selectors = graph.source<Named>();
  const selection = new Selection({
    selecting: selectors,
    selectorOf: (selector) => (Object.keys(selector.labels).length === 0 ? undefined : selector),
    members: new LabelIndex(members),
  });
  const computed: string[] = [];
  const selected = graph.derive({
    name: 'selected',
    from: members,
    follows: [selection],
    compute: (member, reader) => {
      computed.push(member.key);
      const names = selection.get(member.key, member, reader).map(({ name }) => name);
      return [{ key: member.key, value: names.sort() }];
    },
  });
  return { graph, members, selectors, selected, computed };
}

const label = fc.constantFrom('x', 'y');
const labelsOf = fc.dictionary(fc.constantFrom('app', 'tier', 'hash'), label, {
  maxKeys: 3,
  noNullPrototype: true,
});
const namespaceOf = fc.constantFrom('n', 'o');

test('whatever comes, changes and goes: each member knows exactly the selectors that match it', () => {
  const change = fc.oneof(
    fc.record({
      kind: fc.constant('member' as const),
      key: fc.constantFrom('1', '2', '3'),
      of: fc.option(fc.record({ namespace: namespaceOf, labels: labelsOf }), { nil: undefined }),
    }),
    fc.record({
      kind: fc.constant('selector' as const),
      key: fc.constantFrom('s', 't', 'u'),
      of: fc.option(fc.record({ namespace: fc.option(namespaceOf, { nil: undefined }), labels: labelsOf }), {
        nil: undefined,
      }),
    }),
  );
  fc.assert(
    fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
      const { graph, members, selectors, selected } = setUp();
      for (const { kind, key, of } of changes) {
        if (kind === 'member') members.set(key, of === undefined ? undefined : { ...of, key });
        else selectors.set(key, of === undefined ? undefined : { ...of, name: key });
        graph.flush();
        for (const [memberKey, member] of members.entries()) {
          const expected = selectors
            .list()
            .filter(
              ({ namespace, labels }) =>
                Object.keys(labels).length > 0 &&
                (namespace === undefined || namespace === member.namespace) &&
                Object.entries(labels).every(([name, value]) => member.labels[name] === value),
            );
          expect(selected.get(memberKey)).toEqual(expected.map(({ name }) => name).sort());
        }
      }
    }),
  );
});

test('a selector touches the members it matches or matched, whatever else they share', () => {
  const { graph, members, selectors, computed } = setUp();
  for (let i = 0; i < 20; i++) {
    members.set(`m${i}`, {
      key: `m${i}`,
      namespace: 'n',
      labels: { team: 'shop', app: `app-${i % 10}`, hash: String(i) },
    });
  }
  graph.flush();
  const touches = (selector: Named | undefined) => {
    computed.length = 0;
    selectors.set('s', selector);
    graph.flush();
    return computed.toSorted();
  };
  const of = (labels: Record<string, string>, namespace: string | undefined = 'n'): Named => ({
    name: 's',
    namespace,
    labels,
  });
  expect(touches(of({ team: 'shop', app: 'app-3' }))).toEqual(['m13', 'm3']);
  expect(touches(of({ team: 'shop', app: 'app-4' }))).toEqual(['m13', 'm14', 'm3', 'm4']);
  expect(touches(of({ team: 'shop', app: 'app-4' }, 'elsewhere'))).toEqual(['m14', 'm4']);
  expect(touches(of({ app: 'app-5' }, undefined))).toEqual(['m15', 'm5']);
  expect(touches(undefined)).toEqual(['m15', 'm5']);
});
