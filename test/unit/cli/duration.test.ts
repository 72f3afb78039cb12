import { expect, it } from 'vitest';
import { formatDuration, parseDurationMs } from '#cli/duration.js';

it.each([
  ['30s', 30_000],
  ['2m', 120_000],
  ['1m30s', 90_000],
  ['500ms', 500],
  ['1.5h', 5_400_000],
  ['45', 45_000],
  ['0s', undefined],
  ['-1s', undefined],
  ['25h', undefined],
  ['soon', undefined],
  ['', undefined],
])('parses %s', (text, expected) => {
  expect(parseDurationMs(text)).toBe(expected);
});

it.each([
  [850, '850ms'],
  [3_240, '3.2s'],
  [42_000, '42s'],
  [185_000, '3m05s'],
])('formats %d', (ms, expected) => {
  expect(formatDuration(ms)).toBe(expected);
});
