import { describe, expect, it } from 'vitest';
import {
  judgeNode,
  pinToNode,
  rollingPlan,
} from '../../../../src/sandbox/cluster/controllers/apps/daemon-rollout.js';
import {
  evictionInMs,
  wantedTaints,
} from '../../../../src/sandbox/cluster/controllers/node/node-lifecycle.js';
import { describeFailure, placePod } from '../../../../src/sandbox/cluster/scheduler/placement.js';
import { nodeMatches } from '../../../../src/kube/node-selector.js';
import { parseQuantity } from '../../../../src/kube/quantity.js';
import { tolerates } from '../../../../src/sandbox/cluster/scheduler/node-fit.js';
import type { DaemonSet } from '../../../../src/kube/types.js';
import { makeNode, makePod } from './objects.js';

const a = makeNode('a');
const b = makeNode('b');

describe('placement', () => {
  it('spreads the pods of one owner', () => {
    const sibling = makePod({ name: 'x-1', node: 'a', owner: 'x' });
    const others = [1, 2, 3].map((n) => makePod({ name: `y-${n}`, node: 'b', owner: 'y' }));
    const placed = placePod(makePod({ name: 'x-2', owner: 'x' }), [
      { node: a, pods: [sibling] },
      { node: b, pods: others },
    ]);
    expect(placed).toEqual({ node: 'b' });
  });

  it('gives every reason with its count', () => {
    const tainted = makeNode('c', { spec: { taints: [{ key: 'k', value: 'v', effect: 'NoSchedule' }] } });
    const cordoned = makeNode('d', { spec: { unschedulable: true } });
    const full = makeNode('e', { labels: { x: 'y' }, allocatable: { cpu: '500m', pods: '10' } });
    const pod = makePod({
      spec: {
        nodeSelector: { x: 'y' },
        containers: [{ name: 'm', image: 'i', resources: { requests: { cpu: '1' } } }],
      },
    });
    const placed = placePod(
      pod,
      [a, tainted, cordoned, full].map((node) => ({ node, pods: [] })),
    );
    expect('reasons' in placed && describeFailure(placed.reasons, 4)).toBe(
      "0/4 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match Pod's node affinity/selector, " +
        '1 node(s) had untolerated taint {k: v}, 1 node(s) were unschedulable.',
    );
  });

  it('keeps required anti-affinity in both directions', () => {
    const term = { labelSelector: { matchLabels: { app: 'db' } }, topologyKey: 'kubernetes.io/hostname' };
    const podAntiAffinity = { requiredDuringSchedulingIgnoredDuringExecution: [term] };
    const db = makePod({ name: 'db-1', node: 'a', labels: { app: 'db' } });
    const shy = makePod({ name: 'shy', labels: { app: 'shy' }, spec: { affinity: { podAntiAffinity } } });
    expect(
      placePod(shy, [
        { node: a, pods: [db] },
        { node: b, pods: [] },
      ]),
    ).toEqual({ node: 'b' });
    const shyThere = makePod({ name: 'shy', node: 'a', spec: { affinity: { podAntiAffinity } } });
    const newDb = makePod({ name: 'db-2', labels: { app: 'db' } });
    expect(
      placePod(newDb, [
        { node: a, pods: [shyThere] },
        { node: b, pods: [] },
      ]),
    ).toEqual({ node: 'b' });
  });

  it('lets the first pod of an affinity group in', () => {
    const term = { labelSelector: { matchLabels: { app: 'web' } }, topologyKey: 'kubernetes.io/hostname' };
    const podAffinity = { requiredDuringSchedulingIgnoredDuringExecution: [term] };
    const web = makePod({ labels: { app: 'web' }, spec: { affinity: { podAffinity } } });
    expect(placePod(web, [{ node: a, pods: [] }])).toEqual({ node: 'a' });
    const first = makePod({ name: 'w', node: 'b', labels: { app: 'web' } });
    expect(
      placePod(web, [
        { node: a, pods: [] },
        { node: b, pods: [first] },
      ]),
    ).toEqual({ node: 'b' });
  });

  it('does not put two pods with the same host port on a node', () => {
    const spec = { containers: [{ name: 'm', image: 'i', ports: [{ containerPort: 80, hostPort: 80 }] }] };
    const there = makePod({ name: 'one', node: 'a', spec });
    const placed = placePod(makePod({ name: 'two', spec }), [{ node: a, pods: [there] }]);
    expect('reasons' in placed).toBe(true);
  });
});

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
