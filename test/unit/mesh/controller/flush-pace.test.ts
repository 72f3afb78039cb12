import { expect, test } from 'vitest';
import { FlushPace } from '#mesh/controller/model/flush-pace.js';

test('a lone change waits a moment for others, and changes without end not for ever', () => {
  const pace = new FlushPace();
  expect(pace.changed(1_000)).toBe(15);
  expect(pace.changed(1_010)).toBe(15);
  expect(pace.changed(1_090)).toBe(10);
  expect(pace.changed(1_200)).toBe(0);
  pace.began();
  expect(pace.changed(1_300)).toBe(15);
});

test('what costs much happens less often, within bounds; who comes after the rest is not held up', () => {
  const pace = new FlushPace();
  pace.began();
  pace.ended(1_000, 10);
  expect(pace.changed(1_001)).toBe(79);
  pace.began();
  pace.ended(2_000, 5_000);
  expect(pace.changed(2_100)).toBe(200);
  pace.began();
  expect(pace.changed(3_000)).toBe(15);
});
