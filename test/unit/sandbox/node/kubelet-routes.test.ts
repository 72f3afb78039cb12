import { expect, test } from 'vitest';
import { parsePodRoute } from '#sandbox/node/kubelet-api/pod-routes.js';

test('containers are named with and without the uid of their pod', () => {
  expect(parsePodRoute('/exec/ns/p/c')).toEqual({
    action: 'exec',
    pod: { namespace: 'ns', name: 'p', uid: undefined },
    container: 'c',
  });
  expect(parsePodRoute('/attach/ns/p/u/c')).toEqual({
    action: 'attach',
    pod: { namespace: 'ns', name: 'p', uid: 'u' },
    container: 'c',
  });
  expect(parsePodRoute('/containerLogs/ns/p/c')).toMatchObject({ action: 'containerLogs', container: 'c' });
});

test('port-forward is of a pod', () => {
  expect(parsePodRoute('/portForward/ns/p')).toEqual({
    action: 'portForward',
    pod: { namespace: 'ns', name: 'p', uid: undefined },
  });
  expect(parsePodRoute('/portForward/ns/p/u')).toMatchObject({ pod: { uid: 'u' } });
});

test.each([
  '/',
  '/exec',
  '/exec/ns/p',
  '/exec/ns/p/u/c/more',
  '/containerLogs/ns/p/u/c',
  '/portForward/ns/p/u/c',
  '/run/ns/p/c',
  '/exec//p/c',
  '/exec/ns/p/',
  '/exec/%E0%A4%A/p/c',
])('%s is no such path', (path) => {
  expect(parsePodRoute(path)).toBeUndefined();
});
