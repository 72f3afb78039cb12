import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createLogger } from '#base/telemetry/log.js';
import { Drain, type DrainPart } from '#mesh/process/drain.js';

const log = createLogger('drain-test');

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
});

afterEach(() => {
  vi.useRealTimers();
});

/** A part that writes down what is asked of it, when (milliseconds since the begin) and in which phase. */
function recorder(drain: Drain): { part: DrainPart; steps: string[]; finish: () => void } {
  const steps: string[] = [];
  const begin = Date.now();
  const note = (step: string) => () => void steps.push(`${Date.now() - begin} ${drain.phase} ${step}`);
  const idle = resolvers();
  const part: DrainPart = { close: note('close'), idle: () => idle.promise, endIdle: note('endIdle') };
  return { part, steps, finish: () => idle.resolve() };
}

function resolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

describe('Drain', () => {
  it('leaves, closes, ends what is idle, and is over at its deadline', async () => {
    const drain = new Drain({ deadlineMs: 20_000, leaveMs: 1_500, log });
    const { part, steps } = recorder(drain);
    expect([drain.phase, drain.check()]).toEqual(['serving', undefined]);
    const run = drain.run([part, {}]);
    expect([drain.phase, drain.check()]).toEqual(['leaving', 'draining']);
    await vi.advanceTimersByTimeAsync(19_999);
    expect(steps).toEqual(['1500 closing close', '19000 closing endIdle']);
    expect([drain.phase, drain.over.aborted]).toEqual(['closing', false]);
    await vi.advanceTimersByTimeAsync(1);
    expect(await run).toBe(false);
    expect([drain.phase, drain.over.aborted]).toEqual(['over', true]);
  });

  it('is over as soon as every part is idle', async () => {
    const drain = new Drain({ deadlineMs: 20_000, log });
    const [first, second] = [recorder(drain), recorder(drain)];
    const run = drain.run([first.part, second.part]);
    await vi.advanceTimersByTimeAsync(100);
    first.finish();
    await vi.advanceTimersByTimeAsync(100);
    expect(drain.phase).toBe('closing');
    second.finish();
    await vi.advanceTimersByTimeAsync(0);
    expect([await run, drain.phase]).toEqual([true, 'over']);
    expect(first.steps).toEqual(['0 closing close']);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('spends no more than a quarter of a short deadline on leaving', async () => {
    const drain = new Drain({ deadlineMs: 1_000, leaveMs: 1_500, log });
    const { part, steps } = recorder(drain);
    const run = drain.run([part]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(steps).toEqual(['250 closing close', '900 closing endIdle']);
    expect(await run).toBe(false);
  });

  it('runs once', async () => {
    const drain = new Drain({ deadlineMs: 0, log });
    const run = drain.run([]);
    await vi.advanceTimersByTimeAsync(0);
    await run;
    await expect(drain.run([])).rejects.toThrow('once');
  });
});
