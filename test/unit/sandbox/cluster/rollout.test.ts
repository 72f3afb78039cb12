import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  resizeSteps,
  rollingSteps,
  rolloutBounds,
  type RolloutSets,
  sizeOf,
} from '#sandbox/cluster/controllers/apps/deployment-rollout.js';
import { newRevisionAnnotations } from '#sandbox/cluster/controllers/apps/deployment-revisions.js';
import { deploymentStatus } from '#sandbox/cluster/controllers/apps/deployment-status.js';
import { canonicalJson, hashOf } from '#sandbox/cluster/controllers/template-hash.js';
import { resolveIntOrPercent } from '#sandbox/cluster/controllers/int-or-percent.js';
import type { ReplicaSet } from '#base/kube/types.js';
import { makeDeployment, makeSet } from './objects.js';

describe('rolling update', () => {
  it('bounds default to a quarter, surge rounded up and unavailability down', () => {
    expect(rolloutBounds(makeDeployment({ replicas: 5 }))).toEqual({
      desired: 5,
      maxSurge: 2,
      maxUnavailable: 1,
    });
  });

  it('counts revisions with all their 64 bits', () => {
    const name = 'deployment.kubernetes.io/revision';
    const old = makeSet('old', { size: 1 });
    old.metadata.annotations = { [name]: '3546343826724305832' };
    expect(newRevisionAnnotations(makeDeployment({}), [old])).toEqual({ [name]: '3546343826724305833' });
  });

  it('lets one pod be unavailable when both limits come to zero', () => {
    const strategy = { type: 'RollingUpdate', rollingUpdate: { maxSurge: 0, maxUnavailable: 0 } };
    expect(rolloutBounds(makeDeployment({ replicas: 3, strategy })).maxUnavailable).toBe(1);
  });

  it('ends for any bounds, never with too many or too few pods on the way', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 0, max: 20 }),
        fc.integer({ min: 0, max: 20 }),
        (replicas, maxSurge, maxUnavailable) => {
          const bounds = rolloutBounds(
            makeDeployment({
              replicas,
              strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge, maxUnavailable } },
            }),
          );
          let current = makeSet('new', { size: 0 });
          let old = makeSet('old', { size: replicas });
          for (let step = 0; step < 100; step++) {
            const steps = rollingSteps(bounds, { current, old: [old] });
            if (steps.length === 0 && sizeOf(current) === replicas && sizeOf(old) === 0) return;
            expect(steps.length).toBeGreaterThan(0);
            for (const { set, replicas: size } of steps) {
              // Every pod becomes available before the next step.
              if (set === current) current = makeSet('new', { size });
              else old = makeSet('old', { size });
            }
            expect(sizeOf(current) + sizeOf(old)).toBeLessThanOrEqual(replicas + bounds.maxSurge);
            expect(sizeOf(current) + sizeOf(old)).toBeGreaterThanOrEqual(replicas - bounds.maxUnavailable);
          }
          throw new Error('did not end');
        },
      ),
    );
  });

  it('does not take available pods away while new ones are not up', () => {
    const bounds = rolloutBounds(
      makeDeployment({ replicas: 4, strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } } }),
    );
    const sets = { current: makeSet('new', { size: 1, available: 0 }), old: [makeSet('old', { size: 4 })] };
    expect(rollingSteps(bounds, sets)).toEqual([]);
  });

  it('removes broken old pods first', () => {
    const bounds = rolloutBounds(
      makeDeployment({ replicas: 4, strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 1 } } }),
    );
    const broken = makeSet('broken', { size: 1, available: 0 });
    const sets = {
      current: makeSet('new', { size: 1, available: 0 }),
      old: [makeSet('old', { size: 3 }), broken],
    };
    expect(rollingSteps(bounds, sets)).toEqual([{ set: broken, replicas: 0 }]);
  });

  it('shares a new size among the sets of a rollout under way', () => {
    const bounds = rolloutBounds(
      makeDeployment({ replicas: 10, strategy: { rollingUpdate: { maxSurge: 2 } } }),
    );
    const sets: { current: ReplicaSet; old: ReplicaSet[] } = {
      current: makeSet('new', { size: 3, desired: 5 }),
      old: [makeSet('old', { size: 3, desired: 5 })],
    };
    const steps = resizeSteps(bounds, sets) ?? [];
    expect(steps.reduce((n, step) => n + step.replicas, 0)).toBe(12);
    expect(steps.map((step) => step.replicas)).toEqual([6, 6]);
  });

  it('rounds shares, and the largest set takes what that leaves over', () => {
    const sizes = (replicas: number, sets: RolloutSets): Record<string, number> =>
      Object.fromEntries(
        (resizeSteps(rolloutBounds(makeDeployment({ replicas })), sets) ?? []).map((step) => [
          step.set.metadata.name,
          step.replicas,
        ]),
      );
    const half = {
      current: makeSet('new', { size: 5, available: 0, desired: 10, max: 13 }),
      old: [makeSet('old', { size: 8, desired: 10, max: 13 })],
    };
    expect(sizes(30, half)).toEqual({ old: 23, new: 15 });
    const strategy = { type: 'RollingUpdate', rollingUpdate: { maxSurge: 3, maxUnavailable: 2 } };
    const steps = resizeSteps(rolloutBounds(makeDeployment({ replicas: 30, strategy })), half) ?? [];
    expect(steps.map((step) => step.replicas)).toEqual([20, 13]);
    expect(sizes(0, half)).toEqual({ old: 0, new: 0 });
  });

  it('resizes a paused deployment also from nothing, and finishes off a rollout that is done', () => {
    const bounds = rolloutBounds(makeDeployment({ replicas: 3 }));
    const idle = { current: makeSet('new', { size: 0, desired: 0 }), old: [makeSet('old', { size: 0 })] };
    expect(resizeSteps(bounds, idle)).toBeUndefined();
    expect(resizeSteps(bounds, idle, { isPaused: true })).toEqual([{ set: idle.current, replicas: 3 }]);
    const done = {
      current: makeSet('new', { size: 3, desired: 3 }),
      old: [makeSet('old', { size: 1, desired: 2 })],
    };
    expect(resizeSteps(bounds, done)).toEqual([{ set: done.old[0], replicas: 0 }]);
  });

  it('is not a resize when the recorded size is current', () => {
    const bounds = rolloutBounds(makeDeployment({ replicas: 5 }));
    expect(
      resizeSteps(bounds, { current: makeSet('new', { size: 5, desired: 5 }), old: [] }),
    ).toBeUndefined();
  });
});

describe('deployment status', () => {
  const base = { isNewRevision: false, nowMs: Date.parse('2026-01-01T00:10:00Z') };

  it('times out when nothing moves for the progress deadline', () => {
    const progressing = {
      type: 'Progressing',
      status: 'True' as const,
      reason: 'ReplicaSetUpdated',
      lastUpdateTime: '2026-01-01T00:00:00Z',
    };
    const counts = { replicas: 1, updatedReplicas: 1, readyReplicas: 0, availableReplicas: 0 };
    const deployment = makeDeployment(
      { replicas: 1, progressDeadlineSeconds: 60 },
      { ...counts, conditions: [progressing] },
    );
    const status = deploymentStatus({
      ...base,
      deployment,
      sets: { current: makeSet('new', { size: 1, available: 0 }), old: [] },
      bounds: rolloutBounds(deployment),
    });
    expect(status.conditions?.find((c) => c.type === 'Progressing')).toMatchObject({
      status: 'False',
      reason: 'ProgressDeadlineExceeded',
    });
  });

  it('stays complete when a pod of a finished rollout dies', () => {
    const progressing = { type: 'Progressing', status: 'True' as const, reason: 'NewReplicaSetAvailable' };
    const deployment = makeDeployment(
      { replicas: 2 },
      { replicas: 2, updatedReplicas: 2, availableReplicas: 2, conditions: [progressing] },
    );
    const status = deploymentStatus({
      ...base,
      deployment,
      sets: { current: makeSet('new', { size: 2, available: 1 }), old: [] },
      bounds: rolloutBounds(deployment),
    });
    expect(status.conditions?.find((c) => c.type === 'Progressing')?.reason).toBe('NewReplicaSetAvailable');
  });
});

describe('template hash', () => {
  it('does not depend on the order of keys or on absent fields', () => {
    expect(hashOf({ a: 1, b: { c: [1, { d: 2 }] } })).toBe(
      hashOf({ b: { c: [1, { d: 2 }] }, e: undefined, a: 1 }),
    );
    expect(hashOf({ a: 1 })).not.toBe(hashOf({ a: 2 }));
    expect(hashOf({ a: 1 })).toMatch(/^[bcdfghjklmnpqrstvwxz2456789]{10}$/);
    expect(canonicalJson({ b: 1, a: null })).toBe('{"b":1}');
  });
});

describe('counts and percentages', () => {
  it.each([
    [3, 10, 'up', 3],
    ['25%', 10, 'up', 3],
    ['25%', 10, 'down', 2],
    ['100%', 7, 'down', 7],
    ['4', 10, 'down', 4],
    ['a lot', 10, 'up', 0],
  ] as const)('%s of %d rounded %s is %d', (value, total, rounding, expected) => {
    expect(resolveIntOrPercent(value, total, rounding)).toBe(expected);
  });
});
