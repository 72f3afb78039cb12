import { expect, test } from 'vitest';
import type { Pod } from '#base/kube/types.js';
import { imageTag } from '#mesh/inspect/mesh-versions.js';

const digest = `sha256:${'a'.repeat(64)}`;

test.each([
  ['meshctl/cni:0.1.0', '0.1.0'],
  ['localhost:5000/mesh/cni:0.1.0', '0.1.0'],
  [`r.test:5000/mesh/cni:0.1.0@${digest}`, '0.1.0'],
  [`r.test:5000/mesh/cni@${digest}`, digest],
  ['localhost:5000/mesh/cni', 'localhost:5000/mesh/cni'],
])('%s is version %s', (image, version) => {
  const pod: Pod = { metadata: { name: 'p' }, spec: { containers: [{ name: 'c', image }] } } as Pod;
  expect(imageTag(pod)).toBe(version);
});
