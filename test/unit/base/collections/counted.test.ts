import { expect, it } from 'vitest';
import { counted } from '#base/collections/counted.js';

it.each([
  [0, 'pod', '0 pods'],
  [1, 'pod', '1 pod'],
  [2, 'pod', '2 pods'],
  [1, 'more policy', '1 more policy'],
  [3, 'more policy', '3 more policies'],
  [2, 'process', '2 processes'],
  [2, 'Gateway', '2 Gateways'],
])('%i %s: %s', (count, noun, text) => expect(counted(count, noun)).toBe(text));
