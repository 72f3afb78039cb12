import { describe, expect, it } from 'vitest';
import type { Pod } from '#base/kube/types.js';
import {
  completionIndexKey,
  indexFailureCountKey,
  indexRanges,
  parseIndexRanges,
} from '#sandbox/cluster/controllers/batch/job-indexes.js';
import { type JobPlan, jobPlan } from '#sandbox/cluster/controllers/batch/job-plan.js';
import { jobStatus } from '#sandbox/cluster/controllers/batch/job-status.js';
import { tallyJob, trackingFinalizer } from '#sandbox/cluster/controllers/batch/job-tally.js';
import type { Job, JobSpec } from '#sandbox/cluster/objects.js';
import { makePod } from './objects.js';

const now = Date.parse('2026-01-01T00:00:00Z');

function job(spec: Partial<JobSpec> = {}, status: Job['status'] = {}): Job {
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: 'j', namespace: 'ns' },
    spec: {
      completions: 2,
      parallelism: 2,
      backoffLimit: 1,
      template: { spec: { containers: [], restartPolicy: 'Never' } },
      ...spec,
    },
    status,
  };
}

interface PodTraits {
  readonly index?: number;
  readonly failures?: number;
  readonly exitCode?: number;
  readonly terminating?: boolean;
  readonly isCounted?: boolean;
  readonly disrupted?: boolean;
}

function pod(name: string, phase: string, o: PodTraits = {}): Pod {
  const made = makePod({
    name,
    phase,
    terminating: o.terminating ?? false,
    annotations: {
      ...(o.index === undefined ? {} : { [completionIndexKey]: String(o.index) }),
      ...(o.failures === undefined ? {} : { [indexFailureCountKey]: String(o.failures) }),
    },
  });
  const ended = { name: 'main', image: '', imageID: '', ready: false, restartCount: 0 };
  return {
    ...made,
    metadata: { ...made.metadata, finalizers: o.isCounted === true ? [] : [trackingFinalizer] },
    status: {
      ...made.status,
      ...(o.disrupted === true
        ? { conditions: [{ type: 'DisruptionTarget', status: 'True' as const }] }
        : {}),
      ...(o.exitCode === undefined
        ? {}
        : { containerStatuses: [{ ...ended, state: { terminated: { exitCode: o.exitCode } } }] }),
    },
  };
}

function plan(of: Job, ...pods: Pod[]): JobPlan {
  return jobPlan(of, tallyJob(of, pods), now);
}

describe('job plans', () => {
  it('runs as many as needed, and no more than that at the end', () => {
    expect(plan(job()).toCreate).toHaveLength(2);
    expect(plan(job(), pod('a', 'Succeeded'), pod('b', 'Running')).toCreate).toHaveLength(0);
    expect(plan(job(), pod('a', 'Succeeded'), pod('b', 'Failed')).toCreate).toHaveLength(1);
  });

  it('ends complete, or failed beyond the limit or the deadline', () => {
    expect(plan(job(), pod('a', 'Succeeded'), pod('b', 'Succeeded')).outcome?.type).toBe('Complete');
    const twice = plan(job(), pod('a', 'Failed'), pod('b', 'Failed'), pod('c', 'Running'));
    expect(twice.outcome?.reason).toBe('BackoffLimitExceeded');
    expect(twice.toDelete).toHaveLength(1);
    const startTime = new Date(now - 6000).toISOString();
    const late = job({ activeDeadlineSeconds: 5 }, { startTime });
    expect(plan(late, pod('a', 'Running')).outcome?.reason).toBe('DeadlineExceeded');
  });

  it('gives each index to one pod', () => {
    const indexed = job({ completionMode: 'Indexed', completions: 4, parallelism: 4 });
    expect(
      plan(indexed, pod('a', 'Succeeded', { index: 1 }), pod('b', 'Running', { index: 2 })).toCreate,
    ).toEqual([0, 3]);
  });

  it('stops its pods while suspended', () => {
    const stopped = plan(job({ suspend: true }), pod('a', 'Running'));
    expect([stopped.toCreate.length, stopped.toDelete.length, stopped.outcome]).toEqual([0, 1, undefined]);
  });

  it('stands by a verdict that was announced', () => {
    const conditions = [{ type: 'FailureTarget', status: 'True' as const, reason: 'Why', message: 'so' }];
    expect(plan(job({}, { conditions, succeeded: 2 })).outcome).toEqual({
      type: 'Failed',
      reason: 'Why',
      message: 'so',
    });
  });

  it('follows a success policy', () => {
    const leader = job({
      completionMode: 'Indexed',
      completions: 3,
      parallelism: 3,
      successPolicy: { rules: [{ succeededIndexes: '0' }] },
    });
    const pods = [pod('a', 'Succeeded', { index: 0 }), pod('b', 'Running', { index: 1 })];
    expect(plan(leader, ...pods)).toMatchObject({
      outcome: { type: 'Complete', reason: 'SuccessPolicy' },
      toDelete: [{ metadata: { name: 'b' } }],
    });
  });

  it('limits failures of each index, and ends when every index is decided', () => {
    const indexed = job({
      completionMode: 'Indexed',
      completions: 2,
      parallelism: 2,
      backoffLimitPerIndex: 1,
    });
    const { backoffLimit: _, ...spec } = indexed.spec;
    const perIndex: Job = { ...indexed, spec };
    const once = pod('a', 'Failed', { index: 0, failures: 0 });
    expect(plan(perIndex, once, pod('b', 'Running', { index: 1 })).toCreate).toEqual([0]);
    const again = pod('c', 'Failed', { index: 0, failures: 1 });
    expect(plan(perIndex, once, again, pod('b', 'Running', { index: 1 })).toCreate).toEqual([]);
    expect(plan(perIndex, once, again, pod('b', 'Succeeded', { index: 1 })).outcome?.reason).toBe(
      'FailedIndexes',
    );
  });

  it('judges failures by exit codes and conditions', () => {
    const strict = job({
      podFailurePolicy: {
        rules: [
          { action: 'FailJob', onExitCodes: { containerName: 'main', operator: 'In', values: [42] } },
          { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget' }] },
        ],
      },
    });
    expect(plan(strict, pod('a', 'Failed', { exitCode: 42 })).outcome).toEqual({
      type: 'Failed',
      reason: 'PodFailurePolicy',
      message: 'Container main for pod ns/a failed with exit code 42 matching FailJob rule at index 0',
    });
    const ignored = tallyJob(strict, [
      pod('a', 'Failed', { disrupted: true }),
      pod('b', 'Failed', { exitCode: 1 }),
    ]);
    expect([ignored.failed, ignored.newlyEnded.length]).toEqual([1, 2]);
  });
});

describe('job counts', () => {
  it('counts a pod once, whether its finalizer or the record of it goes first', () => {
    const recorded = job({}, { succeeded: 1, uncountedTerminatedPods: { succeeded: ['uid-a'] } });
    expect(tallyJob(recorded, [pod('a', 'Succeeded')]).succeeded).toBe(2);
    expect(tallyJob(recorded, [pod('a', 'Succeeded', { isCounted: true })]).succeeded).toBe(2);
    expect(tallyJob(recorded, []).succeeded).toBe(2);
    const folded = job({}, { succeeded: 2 });
    expect(tallyJob(folded, [pod('a', 'Succeeded', { isCounted: true })])).toMatchObject({
      succeeded: 2,
      newlyEnded: [],
    });
  });

  it('takes a deleted pod for failed, unless replacements wait for its end', () => {
    const leaving = pod('a', 'Running', { terminating: true });
    expect(tallyJob(job(), [leaving]).failed).toBe(1);
    const patient = job({ podReplacementPolicy: 'Failed' });
    expect(tallyJob(patient, [leaving]).failed).toBe(0);
    expect(plan(patient, leaving).toCreate).toHaveLength(1);
    expect(plan(job({ backoffLimit: 6 }), leaving).toCreate).toHaveLength(2);
  });

  it('gives the final condition when nothing runs any more', () => {
    const done = job();
    const tally = tallyJob(done, [pod('a', 'Succeeded'), pod('b', 'Succeeded')]);
    const { outcome } = jobPlan(done, tally, now);
    const uncounted = { succeeded: [], failed: [] };
    const status = (terminating: number) =>
      jobStatus({
        job: done,
        tally,
        outcome,
        counts: { active: 0, ready: 0, terminating, uncounted },
        nowMs: now,
      }).conditions?.map((c) => c.type);
    expect(status(1)).toEqual(['SuccessCriteriaMet']);
    expect(status(0)).toEqual(['SuccessCriteriaMet', 'Complete']);
  });

  it('writes and reads index ranges', () => {
    expect(indexRanges([0, 1, 2, 5, 7, 8])).toBe('0-2,5,7-8');
    expect(indexRanges([])).toBe('');
    expect(parseIndexRanges('0-2,5,7-8', 8)).toEqual([0, 1, 2, 5, 7]);
    expect(parseIndexRanges('0-99999999999,x', 3)).toEqual([0, 1, 2]);
  });
});
