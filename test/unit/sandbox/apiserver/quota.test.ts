import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { podAmounts, isBestEffort } from '#sandbox/apiserver/admission/pods/pod-resources.js';
import { shown } from '#sandbox/apiserver/admission/pods/amounts.js';
import { isPodInScope } from '#sandbox/apiserver/admission/quota/scopes.js';
import { isCountedIn, unspecified, usageOf } from '#sandbox/apiserver/admission/quota/usage.js';
import type { JsonObject } from '#sandbox/base/json.js';
import type { ApiObject } from '#sandbox/apiserver/object.js';

const pods = { group: '', plural: 'pods' };
const container = (
  requests: JsonObject = {},
  limits: JsonObject = {},
  more: JsonObject = {},
): JsonObject => ({
  name: 'c',
  resources: { requests, limits },
  ...more,
});
const object = (kind: string, spec: JsonObject, more: JsonObject = {}): ApiObject => ({
  apiVersion: 'v1',
  kind,
  metadata: { name: 'x', namespace: 'n', uid: 'u', resourceVersion: '1', creationTimestamp: '' },
  spec,
  ...more,
});

describe('what pods use', () => {
  test('containers together, or an init container with the sidecars before it', () => {
    const spec = {
      containers: [container({ cpu: '100m' }), container({ cpu: '200m', memory: '1Gi' })],
      initContainers: [
        container({ cpu: '50m' }, {}, { restartPolicy: 'Always' }),
        container({ cpu: '2' }),
        container({ memory: '64Mi' }, {}, { restartPolicy: 'Always' }),
      ],
      overhead: { cpu: '10m' },
    };
    expect(shown(podAmounts(spec, 'requests'))).toBe('cpu=2060m,memory=1088Mi');
  });

  test('counts, requests and limits under every name quotas have for them', () => {
    const pod = object('Pod', {
      containers: [container({ cpu: '1', 'example.com/gpu': '2' }, { memory: '1Gi' })],
    });
    expect(shown(usageOf(pods, pod))).toBe(
      'count/pods=1,cpu=1,limits.memory=1Gi,pods=1,requests.cpu=1,requests.example.com/gpu=2',
    );
    const done = { ...pod, status: { phase: 'Succeeded' } };
    expect(shown(usageOf(pods, done))).toBe('count/pods=1');
  });

  test('every name that is used can be limited', () => {
    const amount = fc.integer({ min: 1, max: 1000 }).map((n) => `${n}m`);
    const names = fc.constantFrom('cpu', 'memory', 'ephemeral-storage', 'hugepages-2Mi', 'example.com/x');
    const amounts = fc.dictionary(names, amount);
    fc.assert(
      fc.property(fc.array(fc.tuple(amounts, amounts), { minLength: 1, maxLength: 4 }), (list) => {
        const pod = object('Pod', { containers: list.map(([r, l]) => container(r, l)) });
        for (const name of usageOf(pods, pod).keys()) expect(isCountedIn(pods, name)).toBe(true);
      }),
    );
  });

  test('containers that do not say what they use are named', () => {
    const pod = object('Pod', {
      containers: [container({ cpu: '1' }, { memory: '1Gi' }), { name: 'b', resources: {} }],
    });
    expect(unspecified(pod, ['requests.cpu', 'limits.memory', 'pods'])).toBe(
      'must specify limits.memory for: b; requests.cpu for: b',
    );
    expect(unspecified(pod, ['pods', 'requests.storage'])).toBeUndefined();
  });
});

describe('scopes', () => {
  const pod = (spec: JsonObject): ApiObject => object('Pod', spec);
  test('best effort, deadlines and priority', () => {
    expect(isBestEffort({ containers: [container({ 'example.com/x': '1' })] })).toBe(true);
    expect(isBestEffort({ containers: [container({}, { cpu: '1' })] })).toBe(false);
    const plain = { operator: 'Exists', values: [] };
    expect(isPodInScope({ scope: 'Terminating', ...plain }, pod({ activeDeadlineSeconds: 5 }))).toBe(true);
    expect(isPodInScope({ scope: 'NotTerminating', ...plain }, pod({}))).toBe(true);
    const critical = { scope: 'PriorityClass', operator: 'In', values: ['critical'] };
    expect(isPodInScope(critical, pod({ priorityClassName: 'critical' }))).toBe(true);
    expect(isPodInScope(critical, pod({}))).toBe(false);
    expect(isPodInScope({ ...critical, operator: 'DoesNotExist' }, pod({}))).toBe(true);
  });
});
