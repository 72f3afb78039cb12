import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatGoDuration, goDurationMs, parseGoDuration } from '#base/time/duration.js';

// What Go 1.24 answers.
test.each([
  ['0', 0n],
  ['5s', 5_000_000_000n],
  ['1m0s', 60_000_000_000n],
  ['1h2m3.5s', 3_723_500_000_000n],
  ['-1.5h', -5_400_000_000_000n],
  ['+5s', 5_000_000_000n],
  ['.5s', 500_000_000n],
  ['5.s', 5_000_000_000n],
  ['1ns2us3\u00b5s4\u03bcs5ms', 5_009_001n],
  ['2h3h', 18_000_000_000_000n],
  ['0.3333333333333333333h', 1_200_000_000_000n],
  ['9223372036854775807ns', 9_223_372_036_854_775_807n],
  ['-9223372036854775808ns', -9_223_372_036_854_775_808n],
])('%s', (text, ns) => {
  expect(parseGoDuration(text)).toEqual({ ns });
});

test.each([
  ['', 'invalid duration ""'],
  ['3', 'missing unit in duration "3"'],
  ['1m5', 'missing unit in duration "1m5"'],
  ['-', 'invalid duration "-"'],
  ['s', 'invalid duration "s"'],
  ['.', 'invalid duration "."'],
  ['.s', 'invalid duration ".s"'],
  ['abc', 'invalid duration "abc"'],
  ['1d', 'unknown unit "d" in duration "1d"'],
  ['1 s', 'unknown unit " s" in duration "1 s"'],
  ['9223372036854775808ns', 'invalid duration "9223372036854775808ns"'],
  ['3000000h', 'invalid duration "3000000h"'],
])('%j is none', (text, problem) => {
  expect(parseGoDuration(text)).toEqual({ problem: `time: ${problem}` });
  expect(goDurationMs(text)).toBeUndefined();
});

test.each([
  [0n, '0s'],
  [1n, '1ns'],
  [1_100n, '1.1µs'],
  [2_200_000n, '2.2ms'],
  [3_300_000_000n, '3.3s'],
  [245_000_000_000n, '4m5s'],
  [245_001_000_000n, '4m5.001s'],
  [18_367_001_000_000n, '5h6m7.001s'],
  [3_600_000_000_000n, '1h0m0s'],
  [-1n, '-1ns'],
])('%d ns are written %s', (ns, text) => {
  expect(formatGoDuration(ns)).toBe(text);
});

test('what is written is read back', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n) + 1n, max: 2n ** 63n - 1n }), (ns) => {
      expect(parseGoDuration(formatGoDuration(ns))).toEqual({ ns });
    }),
  );
});
