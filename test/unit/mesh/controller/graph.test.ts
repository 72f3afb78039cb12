import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Graph } from '#mesh/controller/graph/graph.js';

interface Item {
  readonly group: string;
  readonly size: number;
}

function setUp() {
  const computed: string[] = [];
  const graph = new Graph(
    () => undefined,
    (key, error) => {
      throw new Error(`computing ${key} failed`, { cause: error });
    },
  );
  const items = graph.source<Item>();
  const owners = graph.source<{ readonly group: string; readonly factor: number }>();
  const byGroup = items.index(({ group }) => [group]);
  const totals = graph.derive({
    name: 'totals',
    from: owners,
    compute: (owner, reader) => {
      computed.push(owner.group);
      const sum = byGroup.get(owner.group, reader).reduce((total, { size }) => total + size, 0);
      return [{ key: owner.group, value: sum * owner.factor }];
    },
  });
  const labels = graph.derive({
    name: 'labels',
    from: owners,
    compute: (owner, reader) => [
      { key: owner.group, value: `${owner.group}=${totals.get(owner.group, reader)}` },
    ],
  });
  return { graph, items, owners, totals, labels, computed };
}

test('a change recomputes what read it and nothing else', () => {
  const { graph, items, owners, labels, computed } = setUp();
  owners.set('a', { group: 'a', factor: 1 });
  owners.set('b', { group: 'b', factor: 2 });
  items.set('1', { group: 'a', size: 3 });
  graph.flush();
  expect(labels.list()).toEqual(['a=3', 'b=0']);
  computed.length = 0;
  items.set('2', { group: 'b', size: 5 });
  items.set('3', { group: 'b', size: 1 });
  graph.flush();
  expect(computed).toEqual(['b']);
  expect(labels.list()).toEqual(['a=3', 'b=12']);
  computed.length = 0;
  items.set('2', { group: 'b', size: 5 });
  graph.flush();
  expect(computed).toEqual([]);
});

test('an object that moves touches the group it left and the one it joined', () => {
  const { graph, items, owners, labels } = setUp();
  owners.set('a', { group: 'a', factor: 1 });
  owners.set('b', { group: 'b', factor: 1 });
  items.set('1', { group: 'a', size: 3 });
  graph.flush();
  items.set('1', { group: 'b', size: 3 });
  graph.flush();
  expect(labels.list()).toEqual(['a=0', 'b=3']);
});

test('listeners hear the keys whose value changed, each of several listeners the same', () => {
  const { graph, items, owners, totals } = setUp();
  const heard: string[][] = [[], []];
  for (const list of heard) graph.onFlush(totals, (changed) => list.push(...changed));
  owners.set('a', { group: 'a', factor: 0 });
  owners.set('b', { group: 'b', factor: 1 });
  expect(graph.flush()).toEqual(new Map(Object.entries({ totals: 2, labels: 2 })));
  expect(heard).toEqual([
    ['a', 'b'],
    ['a', 'b'],
  ]);
  for (const list of heard) list.length = 0;
  // The factor 0 keeps a's total the same although its input changed.
  items.set('1', { group: 'a', size: 3 });
  items.set('2', { group: 'b', size: 3 });
  graph.flush();
  expect(heard).toEqual([['b'], ['b']]);
  for (const list of heard) list.length = 0;
  owners.set('b', undefined);
  graph.flush();
  expect(heard).toEqual([['b'], ['b']]);
  expect(totals.get('b')).toBeUndefined();
});

test('however changes arrive, the result is that of computing from scratch', () => {
  const change = fc.record({
    key: fc.constantFrom('1', '2', '3'),
    group: fc.constantFrom('a', 'b', undefined),
    size: fc.nat(5),
    flush: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
      const incremental = setUp();
      const scratch = setUp();
      for (const { graph: _graph, owners } of [incremental, scratch]) {
        owners.set('a', { group: 'a', factor: 1 });
        owners.set('b', { group: 'b', factor: 2 });
      }
      for (const { key, group, size, flush } of changes) {
        const item = group === undefined ? undefined : { group, size };
        incremental.items.set(key, item);
        scratch.items.set(key, item);
        if (flush) incremental.graph.flush();
      }
      incremental.graph.flush();
      scratch.graph.flush();
      expect(incremental.labels.list()).toEqual(scratch.labels.list());
    }),
  );
});
