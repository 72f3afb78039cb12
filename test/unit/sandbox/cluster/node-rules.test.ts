import { describe, expect, it } from 'vitest';
import { judgeNode, pinToNode, rollingPlan } from '#sandbox/cluster/controllers/apps/daemon-rollout.js';
import { evictionInMs, wantedTaints } from '#sandbox/cluster/controllers/node/node-lifecycle.js';
import { nodeMatches } from '#base/kube/node-selector.js';
import { parseQuantity } from '#sandbox/base/quantity.js';
import { tolerates } from '#sandbox/cluster/controllers/tolerations.js';
import type { DaemonSet } from '#base/kube/types.js';
import { makeNode, makePod } from './objects.js';

const a = makeNode('a');
const b = makeNode('b');

describe('tolerations and affinity', () => {
  const taint = { key: 'k', value: 'v', effect: 'NoSchedule' };
  it.each([
    [{ operator: 'Exists' }, true],
    [{ key: 'k', operator: 'Exists' }, true],
    [{ key: 'k', value: 'v' }, true],
    [{ key: 'k', value: 'w' }, false],
    [{ key: 'k', operator: 'Exists', effect: 'NoExecute' }, false],
    [{ key: '' }, false],
  ])('%j -> %s', (toleration, expected) => {
    expect(tolerates(toleration, taint)).toBe(expected);
  });

  it('matches terms with any, requirements with all, and fields', () => {
    const affinity = (terms: object[]) => ({
      nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms } },
    });
    const onA = { matchFields: [{ key: 'metadata.name', operator: 'In', values: ['a'] }] };
    const gpu = { matchExpressions: [{ key: 'gpu', operator: 'Gt', values: ['3'] }] };
    expect(nodeMatches(makePod({ spec: { affinity: affinity([onA, gpu]) } }).spec, a)).toBe(true);
    expect(nodeMatches(makePod({ spec: { affinity: affinity([onA, gpu]) } }).spec, b)).toBe(false);
    expect(
      nodeMatches(
        makePod({ spec: { affinity: affinity([gpu]) } }).spec,
        makeNode('g', { labels: { gpu: '4' } }),
      ),
    ).toBe(true);
    expect(nodeMatches(makePod({ spec: { affinity: affinity([{}]) } }).spec, a)).toBe(false);
  });

  it('reads quantities', () => {
    expect(parseQuantity('250m')).toBeCloseTo(0.25);
    expect(parseQuantity('64Mi')).toBe(64 * 2 ** 20);
    expect(parseQuantity('1e3')).toBe(1000);
    expect(parseQuantity('2')).toBe(2);
    expect(parseQuantity('lots')).toBeUndefined();
  });
});

describe('daemon sets', () => {
  const set = (o: { spec?: object; strategy?: object } = {}): DaemonSet => ({
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name: 'ds', namespace: 'ns' },
    spec: {
      selector: {},
      template: { spec: { containers: [], ...o.spec } },
      ...(o.strategy === undefined
        ? {}
        : { updateStrategy: { type: 'RollingUpdate', rollingUpdate: o.strategy } }),
    },
  });

  it('stays on cordoned and unreachable nodes, leaves on other NoExecute taints', () => {
    const cordoned = makeNode('n', {
      spec: { taints: [{ key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }] },
    });
    expect(judgeNode(set(), cordoned)).toEqual({ shouldRun: true, shouldStay: true });
    const lost = makeNode('n', {
      spec: { taints: [{ key: 'node.kubernetes.io/unreachable', effect: 'NoExecute' }] },
    });
    expect(judgeNode(set(), lost)).toEqual({ shouldRun: true, shouldStay: true });
    const reserved = makeNode('n', { spec: { taints: [{ key: 'x', effect: 'NoSchedule' }] } });
    expect(judgeNode(set(), reserved)).toEqual({ shouldRun: false, shouldStay: true });
    const drained = makeNode('n', { spec: { taints: [{ key: 'x', effect: 'NoExecute' }] } });
    expect(judgeNode(set(), drained)).toEqual({ shouldRun: false, shouldStay: false });
  });

  it("pins a pod to its node without losing the user's affinity", () => {
    const expression = { key: 'zone', operator: 'In', values: ['z'] };
    const spec = pinToNode(
      {
        containers: [],
        affinity: {
          nodeAffinity: {
            requiredDuringSchedulingIgnoredDuringExecution: {
              nodeSelectorTerms: [{ matchExpressions: [expression] }],
            },
          },
        },
      },
      'a',
    );
    expect(
      spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms,
    ).toEqual([
      {
        matchExpressions: [expression],
        matchFields: [{ key: 'metadata.name', operator: 'In', values: ['a'] }],
      },
    ]);
  });

  it('replaces one available pod at a time, broken ones at once', () => {
    const old = (node: string, ready: boolean) => ({
      node,
      current: [],
      old: [makePod({ name: node, node, ready })],
    });
    const plan = rollingPlan(set(), [old('a', true), old('b', true), old('c', true)], Date.now());
    expect(plan.toDelete.map((pod) => pod.metadata.name)).toEqual(['a']);
    const withBroken = rollingPlan(set(), [old('a', true), old('b', false)], Date.now());
    expect(withBroken.toDelete.map((pod) => pod.metadata.name)).toEqual(['b']);
  });

  it('with surge, starts the new pod first and removes the old one when it is up', () => {
    const strategy = { maxSurge: 1, maxUnavailable: 0 };
    const old = makePod({ name: 'old', node: 'a' });
    expect(rollingPlan(set({ strategy }), [{ node: 'a', current: [], old: [old] }], Date.now())).toEqual({
      toDelete: [],
      toSurge: ['a'],
    });
    const starting = makePod({ name: 'new', node: 'a', ready: false });
    expect(
      rollingPlan(set({ strategy }), [{ node: 'a', current: [starting], old: [old] }], Date.now()),
    ).toEqual({
      toDelete: [],
      toSurge: [],
    });
    const up = makePod({ name: 'new', node: 'a' });
    expect(
      rollingPlan(set({ strategy }), [{ node: 'a', current: [up], old: [old] }], Date.now()).toDelete,
    ).toEqual([old]);
  });
});

describe('node taints', () => {
  it('follow conditions', () => {
    const node = makeNode('n');
    expect(wantedTaints(node)).toEqual([]);
    const unknown = { ...node, status: { conditions: [{ type: 'Ready', status: 'Unknown' as const }] } };
    expect(wantedTaints(unknown).map((taint) => taint.key)).toEqual(
      Array(2).fill('node.kubernetes.io/unreachable'),
    );
  });

  it('drive pods away when their patience ends', () => {
    const taint = { key: 'k', effect: 'NoExecute', timeAdded: '2026-01-01T00:00:00Z' };
    const now = Date.parse('2026-01-01T00:01:00Z');
    const patient = (seconds?: number) =>
      makePod({
        spec: {
          tolerations: [
            {
              key: 'k',
              operator: 'Exists',
              ...(seconds === undefined ? {} : { tolerationSeconds: seconds }),
            },
          ],
        },
      });
    expect(evictionInMs(makePod({}), [taint], now)).toBe(0);
    expect(evictionInMs(patient(), [taint], now)).toBeUndefined();
    expect(evictionInMs(patient(300), [taint], now)).toBe(240_000);
    expect(evictionInMs(patient(30), [taint], now)).toBe(0);
  });
});
