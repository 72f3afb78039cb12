import { expect, test } from 'vitest';
import { refusalFix } from '#mesh/inspect/pod-trouble.js';

test.each([
  [
    'pods "ztunnel-x" is forbidden: exceeded quota: tight, requested: pods=1, used: pods=0, limited: pods=0',
    /kubectl edit resourcequota tight -n shop/,
  ],
  [
    'pods "wp" is forbidden: failed quota: cpu: must specify limits.cpu',
    /kubectl edit resourcequota cpu -n shop/,
  ],
  [
    'pods "istio-cni-node-x" is forbidden: violates PodSecurity "restricted:latest": privileged',
    /kubectl label namespace shop --overwrite pod-security.kubernetes.io\/enforce=privileged/,
  ],
])('a refusal has its fix: %s', (message, fix) => {
  expect(refusalFix([message], 'shop')).toMatch(fix);
});

test('what refuses for another reason is not guessed at', () => {
  expect(refusalFix(['admission webhook "x" denied the request'], 'shop')).toBeUndefined();
  expect(refusalFix([], 'shop')).toBeUndefined();
});
