import { describe, expect, it } from 'vitest';
import { nextRun, parseCron } from '#sandbox/base/cron-schedule.js';
import { desiredSlices } from '#sandbox/cluster/controllers/service/endpoint-model.js';
import { desiredSubsets } from '#sandbox/cluster/controllers/service/endpoint-subsets.js';
import { chooseAddresses } from '#sandbox/cluster/controllers/service/load-balancer.js';
import { statefulPlan } from '#sandbox/cluster/controllers/apps/stateful-rollout.js';
import { budgetStatus } from '#sandbox/cluster/controllers/disruption/disruption-budget.js';
import type { StatefulSet } from '#sandbox/cluster/objects.js';
import type { Pod } from '#base/kube/types.js';
import { makePod, makeService } from './objects.js';

describe('stateful sets', () => {
  const set = (spec: Partial<StatefulSet['spec']> = {}): StatefulSet => ({
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name: 'db', namespace: 'ns' },
    spec: { replicas: 3, selector: {}, template: { spec: { containers: [] } }, ...spec },
  });
  const plan = (pods: Pod[], o: { spec?: Partial<StatefulSet['spec']>; updated?: string[] } = {}) => {
    const { toCreate, toDelete } = statefulPlan({
      set: set(o.spec),
      pods,
      isUpdated: (pod) => (o.updated ?? ['db-0', 'db-1', 'db-2', 'db-3']).includes(pod.metadata.name),
      nowMs: Date.now(),
    });
    return [toCreate, toDelete.map((pod) => pod.metadata.name)];
  };
  const up = (n: number) => makePod({ name: `db-${n}` });

  it('creates in order, each when the one before is up', () => {
    expect(plan([])).toEqual([[0], []]);
    expect(plan([makePod({ name: 'db-0', ready: false })])).toEqual([[], []]);
    expect(plan([up(0)])).toEqual([[1], []]);
    expect(plan([], { spec: { podManagementPolicy: 'Parallel' } })).toEqual([[0, 1, 2], []]);
  });

  it('shrinks from the top, one at a time', () => {
    expect(plan([up(0), up(1), up(2)], { spec: { replicas: 1 } })).toEqual([[], ['db-2']]);
    const leaving = makePod({ name: 'db-2', terminating: true });
    expect(plan([up(0), up(1), leaving], { spec: { replicas: 1 } })).toEqual([[], []]);
  });

  it('updates from the top down to the partition', () => {
    const all = [up(0), up(1), up(2)];
    expect(plan(all, { updated: [] })).toEqual([[], ['db-2']]);
    expect(plan(all, { updated: ['db-2'] })).toEqual([[], ['db-1']]);
    const spec = { updateStrategy: { rollingUpdate: { partition: 2 } } };
    expect(plan(all, { updated: ['db-2'], spec })).toEqual([[], []]);
    expect(plan(all, { updated: [], spec: { updateStrategy: { type: 'OnDelete' } } })).toEqual([[], []]);
  });

  it('replaces a broken pod by the template that repairs it', () => {
    const broken = makePod({ name: 'db-0', ready: false });
    expect(plan([broken], { updated: [] })).toEqual([[], ['db-0']]);
  });
});

describe('cron', () => {
  const after = Date.parse('2026-03-28T23:58:30Z');
  it.each([
    ['* * * * *', 'UTC', '2026-03-28T23:59:00.000Z'],
    ['*/15 8-10 * * mon-fri', 'UTC', '2026-03-30T08:00:00.000Z'],
    ['0 0 1 * *', 'UTC', '2026-04-01T00:00:00.000Z'],
    ['@yearly', 'UTC', '2027-01-01T00:00:00.000Z'],
    // Either day field may match when both are given.
    ['0 12 13 * fri', 'UTC', '2026-04-03T12:00:00.000Z'],
    // The clock in Berlin goes from 02:00 to 03:00 on 29 March 2026.
    ['30 3 * * *', 'Europe/Berlin', '2026-03-29T01:30:00.000Z'],
    ['0 0 * * 7', 'UTC', '2026-03-29T00:00:00.000Z'],
  ])('%s in %s', (text, zone, expected) => {
    const schedule = parseCron(text);
    const next = schedule === undefined ? undefined : nextRun(schedule, after, zone);
    expect(next === undefined ? undefined : new Date(next).toISOString()).toBe(expected);
  });

  it.each(['', '* * * *', '60 * * * *', '5-1 * * * *', '*/0 * * * *', 'a * * * *', '1-2-3 * * * *'])(
    'refuses %j',
    (text) => {
      expect(parseCron(text)).toBeUndefined();
    },
  );
});

describe('endpoints', () => {
  const service = makeService('s', { ports: [{ name: 'web', port: 80, targetPort: 'http' }] });
  const withPort = (
    name: string,
    ip: string,
    containerPort: number,
    o: { ready?: boolean; terminating?: boolean } = {},
  ) =>
    makePod({
      name,
      ip,
      ...o,
      spec: { containers: [{ name: 'm', image: 'i', ports: [{ name: 'http', containerPort }] }] },
    });

  it('group pods by the number behind a named port, and leave out those without it', () => {
    const pods = [
      withPort('a', '10.0.0.1', 8080),
      withPort('b', '10.0.0.2', 9090),
      makePod({ name: 'c', ip: '10.0.0.3' }),
    ];
    const slices = desiredSlices({ service, pods, node: () => undefined });
    expect(slices.map((slice) => [slice.ports[0]?.port, slice.endpoints.length])).toEqual([
      [8080, 1],
      [9090, 1],
    ]);
  });

  it('tell ready, serving and terminating apart', () => {
    const pods = [
      withPort('a', '10.0.0.1', 80),
      withPort('b', '10.0.0.2', 80, { ready: false }),
      withPort('c', '10.0.0.3', 80, { terminating: true }),
    ];
    const [slice] = desiredSlices({ service, pods, node: () => undefined });
    expect(slice?.endpoints.map((each) => each.conditions)).toEqual([
      { ready: true, serving: true, terminating: false },
      { ready: false, serving: false, terminating: false },
      { ready: false, serving: true, terminating: true },
    ]);
    const [subset] = desiredSubsets(slice === undefined ? [] : [slice]);
    expect(subset?.addresses?.map((each) => each.ip)).toEqual(['10.0.0.1']);
    expect(subset?.notReadyAddresses?.map((each) => each.ip)).toEqual(['10.0.0.2']);
    const eager = makeService('s', { ...service.spec, publishNotReadyAddresses: true });
    const [all] = desiredSlices({ service: eager, pods, node: () => undefined });
    expect(all?.endpoints.every((each) => each.conditions?.ready === true)).toBe(true);
  });

  it('split into slices of a hundred, and leave one empty slice behind', () => {
    const pods = Array.from({ length: 250 }, (_, i) => withPort(`p${i}`, `10.0.${i >> 8}.${i & 255}`, 80));
    const slices = desiredSlices({ service, pods, node: () => undefined });
    expect(slices.map((slice) => slice.endpoints.length)).toEqual([100, 100, 50]);
    expect(desiredSlices({ service, pods: [], node: () => undefined })).toHaveLength(1);
  });

  it('have no pods that ended or have no address', () => {
    const pods = [makePod({ name: 'x' }), makePod({ name: 'y', ip: '10.0.0.1', phase: 'Succeeded' })];
    const [slice] = desiredSlices({ service: makeService('s'), pods, node: () => undefined });
    expect(slice?.endpoints).toEqual([]);
  });
});

describe('small controllers', () => {
  it('choose load balancer addresses', () => {
    const taken = new Set(['172.18.200.1']);
    const choose = (o: { wanted?: string; current?: string[]; families?: string[] }): string[] | undefined =>
      chooseAddresses({
        families: o.families ?? ['IPv4'],
        wanted: o.wanted,
        current: o.current ?? [],
        taken: new Set(taken),
      });
    expect(choose({})).toEqual(['172.18.200.2']);
    expect(choose({ current: ['172.18.200.9'] })).toEqual(['172.18.200.9']);
    expect(choose({ wanted: '172.18.200.1' })).toBeUndefined();
    expect(choose({ wanted: '8.8.8.8' })).toBeUndefined();
    expect(choose({ families: ['IPv6', 'IPv4'], wanted: '172.18.200.7' })).toEqual([
      'fd00:172:18:200::1',
      '172.18.200.7',
    ]);
  });

  it('count allowed disruptions, and evicted pods no more until they are overdue', () => {
    const pods = [makePod({ name: 'a' }), makePod({ name: 'b' }), makePod({ name: 'c', ready: false })];
    const nowMs = Date.parse('2026-01-01T00:10:00Z');
    const of = (disruptedPods: Record<string, string>) =>
      budgetStatus(
        {
          apiVersion: 'policy/v1',
          kind: 'PodDisruptionBudget',
          metadata: { name: 'b' },
          spec: { minAvailable: 1 },
          status: { disruptedPods },
        },
        { pods, demand: { expectedPods: 3, desiredHealthy: 1, unmanaged: [] }, nowMs },
      );
    expect(of({}).status).toMatchObject({ currentHealthy: 2, disruptionsAllowed: 1, disruptedPods: {} });
    const evicted = { a: '2026-01-01T00:09:00Z', gone: '2026-01-01T00:09:00Z' };
    const { status, recheckInMs } = of(evicted);
    expect(status).toMatchObject({ currentHealthy: 1, disruptionsAllowed: 0 });
    expect(status.disruptedPods).toEqual({ a: '2026-01-01T00:09:00Z' });
    expect(recheckInMs).toBe(60_001);
    const late = of({ a: '2026-01-01T00:07:00Z' });
    expect(late.overdue.map((pod) => pod.metadata.name)).toEqual(['a']);
    expect(late.status).toMatchObject({ currentHealthy: 2, disruptedPods: {} });
  });
});
