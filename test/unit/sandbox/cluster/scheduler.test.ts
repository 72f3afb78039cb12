import { describe, expect, it } from 'vitest';
import type { Node, Pod } from '#base/kube/types.js';
import type { ClusterView, VolumeView } from '#sandbox/cluster/scheduler/cluster-view.js';
import { requestOf } from '#sandbox/cluster/scheduler/filters/resources.js';
import { describeFailure, placePod, type Placement } from '#sandbox/cluster/scheduler/placement.js';
import { planPreemption } from '#sandbox/cluster/scheduler/preemption.js';
import type { PodDisruptionBudget } from '#sandbox/cluster/objects.js';
import { makeNode, makePod } from './objects.js';

const a = makeNode('a');
const b = makeNode('b');

const noVolumes: VolumeView = {
  claim: () => undefined,
  volume: () => undefined,
  storageClass: () => undefined,
  all: () => [],
};

function view(...nodes: [Node, ...Pod[]][]): ClusterView {
  const labels: Record<string, Record<string, string>> = { ns: {}, other: { team: 'red' } };
  return {
    nodes: nodes.map(([node, ...pods]) => ({ node, pods })),
    namespaceLabels: (name) => labels[name],
    volumes: noVolumes,
  };
}

function reasonsOf(placement: Placement): string {
  return 'refusals' in placement ? describeFailure(placement.refusals) : `placed on ${placement.node}`;
}

describe('placement', () => {
  it('spreads the pods of one owner', () => {
    const sibling = makePod({ name: 'x-1', node: 'a', owner: 'x' });
    const others = [1, 2, 3].map((n) => makePod({ name: `y-${n}`, node: 'b', owner: 'y' }));
    const placed = placePod(makePod({ name: 'x-2', owner: 'x' }), view([a, sibling], [b, ...others]));
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
    expect(reasonsOf(placePod(pod, view([a], [tainted], [cordoned], [full])))).toBe(
      "0/4 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match Pod's node affinity/selector, " +
        '1 node(s) had untolerated taint {k: v}, 1 node(s) were unschedulable.',
    );
  });

  it('keeps required anti-affinity in both directions', () => {
    const term = { labelSelector: { matchLabels: { app: 'db' } }, topologyKey: 'kubernetes.io/hostname' };
    const podAntiAffinity = { requiredDuringSchedulingIgnoredDuringExecution: [term] };
    const db = makePod({ name: 'db-1', node: 'a', labels: { app: 'db' } });
    const shy = makePod({ name: 'shy', labels: { app: 'shy' }, spec: { affinity: { podAntiAffinity } } });
    expect(placePod(shy, view([a, db], [b]))).toEqual({ node: 'b' });
    const shyThere = makePod({ name: 'shy', node: 'a', spec: { affinity: { podAntiAffinity } } });
    const newDb = makePod({ name: 'db-2', labels: { app: 'db' } });
    expect(placePod(newDb, view([a, shyThere], [b]))).toEqual({ node: 'b' });
  });

  it('lets the first pod of an affinity group in', () => {
    const term = { labelSelector: { matchLabels: { app: 'web' } }, topologyKey: 'kubernetes.io/hostname' };
    const podAffinity = { requiredDuringSchedulingIgnoredDuringExecution: [term] };
    const web = makePod({ labels: { app: 'web' }, spec: { affinity: { podAffinity } } });
    expect(placePod(web, view([a]))).toEqual({ node: 'a' });
    const first = makePod({ name: 'w', node: 'b', labels: { app: 'web' } });
    expect(placePod(web, view([a], [b, first]))).toEqual({ node: 'b' });
  });

  it('does not put two pods with the same host port on a node', () => {
    const spec = { containers: [{ name: 'm', image: 'i', ports: [{ containerPort: 80, hostPort: 80 }] }] };
    const there = makePod({ name: 'one', node: 'a', spec });
    const placed = placePod(makePod({ name: 'two', spec }), view([a, there]));
    expect(reasonsOf(placed)).toBe(
      "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.",
    );
  });

  it('counts sidecars beside init containers, and the overhead of the runtime', () => {
    const of = (name: string, cpu: string, restartPolicy?: string) => ({
      name,
      image: 'i',
      resources: { requests: { cpu } },
      ...(restartPolicy === undefined ? {} : { restartPolicy }),
    });
    const spec = {
      initContainers: [of('early', '3'), of('proxy', '1', 'Always'), of('late', '4')],
      containers: [of('main', '2')],
      overhead: { cpu: '500m' },
    };
    expect(requestOf(makePod({ spec }), 'cpu')).toBeCloseTo(5.5);
  });

  it('refuses a resource no node has', () => {
    const spec = {
      containers: [{ name: 'm', image: 'i', resources: { requests: { 'example.com/gpu': '1' } } }],
    };
    const node = makeNode('n', { allocatable: { cpu: '4' } });
    expect(reasonsOf(placePod(makePod({ spec }), view([node])))).toBe(
      '0/1 nodes are available: 1 Insufficient example.com/gpu.',
    );
  });

  it('follows preferred pod affinity and namespace selectors', () => {
    const podAffinityTerm = {
      labelSelector: { matchLabels: { app: 'cache' } },
      topologyKey: 'kubernetes.io/hostname',
      namespaceSelector: { matchLabels: { team: 'red' } },
    };
    const affinity = {
      podAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 10, podAffinityTerm }] },
    };
    const cache = makePod({ name: 'cache', node: 'b', labels: { app: 'cache' } });
    const red = { ...cache, metadata: { ...cache.metadata, namespace: 'other' } };
    const pod = makePod({ spec: { affinity } });
    expect(placePod(pod, view([a], [b, red]))).toEqual({ node: 'b' });
    expect(placePod(pod, view([a], [b, cache]))).toEqual({ node: 'a' });
  });
});

describe('topology spread', () => {
  const zoned = (name: string, zone: string): Node =>
    makeNode(name, { labels: { 'topology.kubernetes.io/zone': zone } });
  const constraint = {
    maxSkew: 1,
    topologyKey: 'topology.kubernetes.io/zone',
    labelSelector: { matchLabels: { app: 'web' } },
  };
  const web = (name: string, o: { node?: string; constraints?: object } = {}): Pod =>
    makePod({
      name,
      labels: { app: 'web' },
      ...(o.node === undefined ? {} : { node: o.node }),
      spec: {
        topologySpreadConstraints: [{ ...constraint, whenUnsatisfiable: 'DoNotSchedule', ...o.constraints }],
      },
    });

  it('keeps the skew between zones, counting all nodes of a zone', () => {
    const nodes: [Node, ...Pod[]][] = [
      [zoned('e1', 'east'), web('1', { node: 'e1' })],
      [zoned('e2', 'east')],
      [zoned('w1', 'west'), makePod({ name: 'busy', node: 'w1' }), makePod({ name: 'busy-2', node: 'w1' })],
    ];
    expect(placePod(web('2'), view(...nodes))).toEqual({ node: 'w1' });
  });

  it('waits for enough domains, and refuses nodes without the label', () => {
    const nodes: [Node, ...Pod[]][] = [[zoned('e1', 'east'), web('1', { node: 'e1' })], [makeNode('bare')]];
    expect(reasonsOf(placePod(web('2', { constraints: { minDomains: 2 } }), view(...nodes)))).toBe(
      "0/2 nodes are available: 1 node(s) didn't match pod topology spread constraints, " +
        "1 node(s) didn't match pod topology spread constraints (missing required label).",
    );
    expect(placePod(web('2'), view(...nodes))).toEqual({ node: 'e1' });
  });

  it('prefers the emptier zone when it only should', () => {
    const soft = { whenUnsatisfiable: 'ScheduleAnyway' };
    const nodes: [Node, ...Pod[]][] = [
      [zoned('a1', 'east'), web('1', { node: 'a1' })],
      [zoned('b1', 'west')],
    ];
    expect(placePod(web('2', { constraints: soft }), view(...nodes))).toEqual({ node: 'b1' });
  });

  it('counts only pods of the same revision with matchLabelKeys', () => {
    const pod = web('2', { constraints: { matchLabelKeys: ['pod-template-hash'] } });
    const next = {
      ...pod,
      metadata: { ...pod.metadata, labels: { app: 'web', 'pod-template-hash': 'new' } },
    };
    const old = web('1', { node: 'w1' });
    const nodes: [Node, ...Pod[]][] = [
      [zoned('e1', 'east'), makePod({ node: 'e1' })],
      [zoned('w1', 'west'), old],
    ];
    expect('node' in placePod(next, view(...nodes))).toBe(true);
    expect(placePod(pod, view(...nodes))).toEqual({ node: 'e1' });
  });
});

describe('preemption', () => {
  const small = (name: string): Node => makeNode(name, { allocatable: { cpu: '2', pods: '10' } });
  const sized = (name: string, o: { node?: string; cpu: string; priority?: number; policy?: string }): Pod =>
    makePod({
      name,
      labels: { name },
      ...(o.node === undefined ? {} : { node: o.node }),
      spec: {
        containers: [{ name: 'm', image: 'i', resources: { requests: { cpu: o.cpu } } }],
        priority: o.priority ?? 0,
        ...(o.policy === undefined ? {} : { preemptionPolicy: o.policy }),
      },
    });
  const budgetFor = (name: string): PodDisruptionBudget => ({
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { name, namespace: 'ns' },
    spec: { selector: { matchLabels: { name } } },
    status: { disruptionsAllowed: 0 },
  });
  const attempt = (pod: Pod, cluster: ClusterView, budgets: PodDisruptionBudget[] = []) => {
    const placement = placePod(pod, cluster);
    if ('node' in placement) throw new Error('it fits without preemption');
    const outcome = planPreemption(pod, { view: cluster, refusals: placement.refusals, budgets });
    return 'failure' in outcome
      ? outcome.failure
      : { node: outcome.node, victims: outcome.victims.map((each) => each.metadata.name) };
  };

  it('takes the least important victims, and only as many as needed', () => {
    const cluster = view(
      [small('a'), sized('low', { node: 'a', cpu: '1' }), sized('mid', { node: 'a', cpu: '1', priority: 5 })],
      [small('b'), sized('high', { node: 'b', cpu: '2', priority: 9 })],
    );
    expect(attempt(sized('new', { cpu: '1', priority: 10 }), cluster)).toEqual({
      node: 'a',
      victims: ['low'],
    });
  });

  it('spares what a disruption budget protects when there is another way', () => {
    const cluster = view(
      [small('a'), sized('guarded', { node: 'a', cpu: '2' })],
      [small('b'), sized('free', { node: 'b', cpu: '2', priority: 3 })],
    );
    const pod = sized('new', { cpu: '1', priority: 10 });
    expect(attempt(pod, cluster, [budgetFor('guarded')])).toEqual({ node: 'b', victims: ['free'] });
  });

  it('says why nothing can be done', () => {
    const taken = sized('taken', { node: 'a', cpu: '2', priority: 10 });
    const cordoned = makeNode('c', { spec: { unschedulable: true }, allocatable: { cpu: '2' } });
    const cluster = view([small('a'), taken], [cordoned, sized('x', { node: 'c', cpu: '1' })]);
    expect(attempt(sized('new', { cpu: '1', priority: 10 }), cluster)).toBe(
      '0/2 nodes are available: 1 No preemption victims found for incoming pod, ' +
        '1 Preemption is not helpful for scheduling.',
    );
    expect(attempt(sized('new', { cpu: '1', priority: 11, policy: 'Never' }), cluster)).toBe(
      'not eligible due to preemptionPolicy=Never.',
    );
  });
});
