import { expect, it } from 'vitest';
import { isPublished, nodeStatus } from '#sandbox/node/kubelet/node/node-status.js';

const identity = {
  name: 'node-1',
  ips: ['172.18.0.2'],
  podCidrs: ['10.244.1.0/24'],
  bootId: 'b',
  kubeletVersion: 'v1',
  runtimeVersion: 'r',
};
const now = new Date('2026-01-01T00:00:00Z');

it('what others add to the capacity of a node can be allocated, and needs no report again', () => {
  const first = nodeStatus(identity, { problem: undefined, images: [], published: undefined, now });
  const capacity = { ...first.capacity, 'example.com/beard': '7', 'kubernetes.io/own': '1', cpu: '999' };
  const published = { ...first, capacity };
  const next = nodeStatus(identity, { problem: undefined, images: [], published, now });
  expect(next.allocatable).toEqual({ ...first.capacity, 'example.com/beard': '7' });
  expect(next.capacity).toEqual(next.allocatable);
  expect(isPublished(published, next)).toBe(false);
  const after = nodeStatus(identity, { problem: undefined, images: [], published: next, now });
  expect(isPublished(next, after)).toBe(true);
});
