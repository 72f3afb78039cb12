import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Graph } from '#mesh/controller/graph/graph.js';

const fail = (key: string, error: unknown) => {
  throw new Error(`computing ${key} failed`, { cause: error });
};

interface Item {
  readonly group: string;
  readonly from: string;
}

test('a joined collection is at any time the union of its members, the earlier one in front', () => {
  const change = fc.record({
    member: fc.constantFrom(0, 1, 2),
    key: fc.constantFrom('k', 'l', 'm'),
    group: fc.constantFrom('a', 'b', undefined),
  });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
      const graph = new Graph(() => undefined, fail);
      const members = [graph.source<Item>(), graph.source<Item>(), graph.source<Item>()];
      const joined = graph.join(...members);
      const byGroup = joined.index(({ group }) => [group]);
      const groups = graph.source<string>();
      groups.set('a', 'a');
      groups.set('b', 'b');
      const found = graph.derive({
        name: 'found',
        from: groups,
        compute: (group, reader) => [
          {
            key: group,
            value: byGroup
              .get(group, reader)
              .map(({ from }) => from)
              .sort(),
          },
        ],
      });
      graph.flush();
      const expected = new Map<string, Map<string, Item>>(['k', 'l', 'm'].map((key) => [key, new Map()]));
      for (const { member, key, group } of changes) {
        const item = group === undefined ? undefined : { group, from: `${member}${key}` };
        members[member]?.set(key, item);
        if (item === undefined) expected.get(key)?.delete(String(member));
        else expected.get(key)?.set(String(member), item);
        const visible = [...expected].flatMap(([name, of]) => {
          const first = of.get('0') ?? of.get('1') ?? of.get('2');
          return first === undefined ? [] : [[name, first] as const];
        });
        expect(new Map(joined.entries())).toEqual(new Map(visible));
        expect(joined.size).toBe(visible.length);
        for (const [name, item] of visible) expect(joined.get(name)).toEqual(item);
        graph.flush();
        for (const group of ['a', 'b']) {
          const inGroup = visible.filter(([, item]) => item.group === group).map(([, item]) => item.from);
          expect(found.get(group)).toEqual(inGroup.sort());
        }
      }
    }),
  );
});

test('a change behind an earlier value is nobody else’s business', () => {
  const graph = new Graph(() => undefined, fail);
  const [front, behind] = [graph.source<string>(), graph.source<string>()];
  const joined = graph.join(front, behind);
  const told: unknown[] = [];
  joined.onChange((...change) => told.push(change));
  behind.set('k', 'behind');
  front.set('k', 'front');
  behind.set('k', 'changed');
  front.set('k', undefined);
  expect(told).toEqual([
    ['k', undefined, 'behind'],
    ['k', 'behind', 'front'],
    ['k', 'front', 'changed'],
  ]);
});
