import { expect, test } from 'vitest';
import { matchesFormat } from '#sandbox/apiserver/schema/formats.js';

test.each(['0', '1m0s', '-1h2m3.5s', '10us', '22 ns', '3 hours', '2days', '1 wk 2 d'])('%s lasts', (text) => {
  expect(matchesFormat(text, 'duration')).toBe(true);
});

test.each(['', '5', 'soon', '1m5', '5 parsecs', '2 days ago', '1.5 days'])('%j is no duration', (text) => {
  expect(matchesFormat(text, 'duration')).toBe(false);
});
