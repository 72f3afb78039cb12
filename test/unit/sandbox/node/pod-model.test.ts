import { describe, expect, test } from 'vitest';
import { type DownwardContext, fieldValue, resourceValue } from '#sandbox/node/model/downward.js';
import { expandVariables } from '#sandbox/node/model/expand.js';
import { parseQuantity } from '#sandbox/base/quantity.js';
import { makeContainer, makePod } from './make-pod.js';

describe('variable expansion', () => {
  test.each([
    ['$(A)', '1'],
    ['x$(A)y$(B)', 'x1ytwo'],
    ['$(MISSING)', '$(MISSING)'],
    ['$$(A)', '$(A)'],
    ['$$$(A)', '$1'],
    ['$A ${A} $(', '$A ${A} $('],
    ['$(toString)', '$(toString)'],
  ])('%s becomes %s', (text, expected) => {
    expect(expandVariables(text, { A: '1', B: 'two' })).toBe(expected);
  });
});

describe('quantities', () => {
  test.each([
    ['500m', 0.5],
    ['1Gi', 2 ** 30],
    ['2', 2],
    [3, 3],
    ['1e3', 1000],
    ['64M', 64e6],
    ['x', undefined],
    ['1Zi', undefined],
    [undefined, undefined],
  ])('%s is %s', (quantity, expected) => {
    expect(parseQuantity(quantity)).toBe(expected);
  });
});

describe('downward API', () => {
  const context = (o: Partial<DownwardContext> = {}): DownwardContext => ({
    pod: makePod({ metadata: { labels: { b: '2', a: 'x"y' }, annotations: { 'k/e': 'v' } } }),
    podIps: ['10.244.1.2'],
    nodeName: 'node-1',
    nodeIps: ['172.18.0.2'],
    allocatable: { cpu: 2, memoryBytes: 1024 },
    ...o,
  });

  test.each([
    ['metadata.name', 'p'],
    ['metadata.namespace', 'ns'],
    ['metadata.labels', 'a="x\\"y"\nb="2"'],
    ["metadata.labels['b']", '2'],
    ["metadata.annotations['k/e']", 'v'],
    ["metadata.labels['none']", ''],
    ['spec.nodeName', 'node-1'],
    ['spec.serviceAccountName', 'default'],
    ['status.hostIP', '172.18.0.2'],
    ['status.podIP', '10.244.1.2'],
    ['status.phase', undefined],
  ])('%s', (path, expected) => {
    expect(fieldValue(path, context())).toBe(expected);
  });

  test('resources round up to the divisor and fall back to the node', () => {
    const container = makeContainer({ resources: { limits: { cpu: '500m', memory: '1Mi' } } });
    expect(resourceValue({ resource: 'limits.cpu' }, container, context())).toBe('1');
    expect(resourceValue({ resource: 'limits.cpu', divisor: '1m' }, container, context())).toBe('500');
    expect(resourceValue({ resource: 'requests.memory', divisor: '1Ki' }, container, context())).toBe('1024');
    expect(resourceValue({ resource: 'limits.memory' }, makeContainer({}), context())).toBe('1024');
    expect(resourceValue({ resource: 'limits.gpu' }, container, context())).toBeUndefined();
  });
});
