import { expect, it } from 'vitest';
import { nearMiss } from '#base/errors/near-miss.js';

it.each([
  ['instal', ['install', 'uninstall'], 'install'],
  ['wiat', ['wait', 'waypoint'], 'wait'],
  ['Profle', ['profile'], 'profile'],
  ['banana', ['install', 'version'], undefined],
  ['x', [], undefined],
])('%s', (word, candidates, expected) => {
  expect(nearMiss(word, candidates)).toBe(expected);
});
