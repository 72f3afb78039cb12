import { expect, test } from 'vitest';
import { Graph } from '#mesh/controller/graph/graph.js';

// One object that a computation could not read ended the flush, and with it the process; what else was stale
// by then was never computed.
test('an input that cannot be computed keeps its last value, and the others are computed', () => {
  const failed: string[] = [];
  const graph = new Graph(
    () => undefined,
    (key) => failed.push(key),
  );
  const numbers = graph.source<string>();
  const divisors = graph.source<number>();
  const parsed = graph.derive({
    name: 'parsed',
    from: numbers,
    compute: (text, reader) => [
      { key: text.slice(0, 1), value: BigInt(text.slice(1)) * BigInt(divisors.get('d', reader) ?? 1) },
    ],
  });
  for (const key of ['a', 'b', 'c']) numbers.set(key, `${key}1`);
  graph.flush();
  numbers.set('a', 'anonsense');
  numbers.set('b', 'b2');
  graph.flush();
  expect(failed).toEqual(['a']);
  expect(['a', 'b', 'c'].map((key) => parsed.get(key))).toEqual([1n, 2n, 1n]);
  // It is tried again when something it read changes, and recovers with its input.
  numbers.set('a', 'a5');
  divisors.set('d', 2);
  graph.flush();
  expect(failed).toEqual(['a']);
  expect(parsed.get('a')).toBe(10n);
});

test('several listeners of one collection all hear, once for each flush', () => {
  const graph = new Graph(
    () => undefined,
    () => undefined,
  );
  const source = graph.source<number>();
  const heard: string[] = [];
  graph.onFlush(source, (keys) => heard.push(`first ${[...keys].join()}`));
  graph.onFlush(source, (keys) => heard.push(`second ${[...keys].join()}`));
  graph.flush();
  source.set('a', 1);
  source.set('b', 1);
  source.set('b', 2);
  graph.flush();
  source.set('b', 2);
  graph.flush();
  expect(heard).toEqual(['first a,b', 'second a,b']);
});
