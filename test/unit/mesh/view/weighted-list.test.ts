import fc from 'fast-check';
import { expect, test } from 'vitest';
import { WeightedList } from '#mesh/view/weighted-list.js';

/** What every point of the total weight draws, in order. */
function drawn(list: WeightedList<string>, total: number): string[] {
  return Array.from({ length: total }, (_, point) => list.draw(() => (point + 0.5) / total) ?? 'nothing');
}

test('draws each item exactly as often as its weight says, whatever was added and removed before', () => {
  const step = fc.record({ name: fc.integer({ min: 0, max: 40 }), weight: fc.integer({ min: 1, max: 7 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const list = new WeightedList<string>();
      const model = new Map<string, number>();
      for (const { name, weight } of steps) {
        const item = `item ${name}`;
        // Present: out. Absent: in.
        if (model.delete(item)) {
          list.delete(item);
        } else {
          model.set(item, weight);
          list.add(item, weight);
        }
      }
      const total = [...model.values()].reduce((sum, weight) => sum + weight, 0);
      const counts = new Map<string, number>();
      for (const item of drawn(list, total)) counts.set(item, (counts.get(item) ?? 0) + 1);
      expect(counts).toEqual(model);
      expect(list.length).toBe(model.size);
    }),
  );
});

test('keeps the order in which items came', () => {
  const list = new WeightedList<string>();
  list.add('a', 1);
  list.add('b', 3);
  list.add('c', 1);
  expect(drawn(list, 5)).toEqual(['a', 'b', 'b', 'b', 'c']);
});

test('draws nothing from nothing, and what is left after the rest went', () => {
  const list = new WeightedList<string>();
  expect(list.draw(Math.random)).toBeUndefined();
  expect(list.drawOther(Math.random, () => false)).toBeUndefined();
  list.add('a', 2);
  list.add('b', 2);
  list.delete('a');
  list.delete('never there');
  expect(drawn(list, 2)).toEqual(['b', 'b']);
  list.delete('b');
  expect(list.draw(() => 0)).toBeUndefined();
});

test('takes the largest weights the wire has, and randoms at the edge', () => {
  const list = new WeightedList<string>();
  for (let i = 0; i < 1_000; i++) list.add(`item ${i}`, 2 ** 32 - 1);
  expect(list.draw(() => 0)).toBe('item 0');
  expect(list.draw(() => 1 - Number.EPSILON)).toBe('item 999');
  expect(list.draw(() => 1)).toBe('item 999');
});

test('draws another where it can, looking at no more items than are excluded', () => {
  const list = new WeightedList<string>();
  for (let i = 0; i < 3_000; i++) list.add(`item ${i}`, 1);
  const looked: string[] = [];
  const excluded = new Set(['item 10', 'item 11', 'item 12']);
  const other = list.drawOther(
    () => 10.5 / 3_000,
    (item) => {
      looked.push(item);
      return excluded.has(item);
    },
  );
  expect(other).toBe('item 13');
  expect(looked).toHaveLength(4);
  const alone = new WeightedList<string>();
  alone.add('a', 1);
  expect(alone.drawOther(Math.random, () => true)).toBe('a');
});
