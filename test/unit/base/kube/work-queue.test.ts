import { expect, test, vi } from 'vitest';
import { WorkQueue } from '#base/kube/work-queue.js';

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));
const timerCount = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;

function queueOf(o: { concurrency?: number; fails?: (key: string) => boolean } = {}) {
  const worked: string[] = [];
  const finish: (() => void)[] = [];
  const stop = new AbortController();
  const queue = new WorkQueue({
    reconcile: async (key) => {
      worked.push(key);
      if (o.fails?.(key) === true) throw new Error('no');
      await new Promise<void>((resolve) => finish.push(resolve));
    },
    onError: () => undefined,
    workersMax: o.concurrency ?? 1,
    retryMinMs: 200,
  });
  return { queue, worked, finish, stop };
}

test('a key waits once, is worked on again when it changed meanwhile, and no more than so many at a time', async () => {
  const { queue, worked, finish, stop } = queueOf({ concurrency: 2 });
  for (const key of ['a', 'a', 'b', 'c']) queue.add(key);
  expect(worked).toEqual([]);
  queue.start(stop.signal);
  expect(worked).toEqual(['a', 'b']);
  queue.add('a');
  finish.shift()?.();
  await settled();
  expect(worked).toEqual(['a', 'b', 'c']);
  finish.shift()?.();
  await settled();
  expect(worked).toEqual(['a', 'b', 'c', 'a']);
  stop.abort();
});

// While the Gateway API was absent, every poll of its classes added a chain of retries that never ended.
test('however often a failing key is asked for, it has one retry waiting', async () => {
  const { queue, worked, stop } = queueOf({ fails: () => true });
  queue.start(stop.signal);
  const before = timerCount();
  for (let i = 0; i < 10; i++) {
    queue.add('a');
    await settled();
  }
  expect(worked).toHaveLength(10);
  expect(timerCount() - before).toBe(1);
  stop.abort();
  await settled();
  expect(timerCount()).toBe(before);
});

test('a failed key is tried again by itself', async () => {
  let isBroken = true;
  const { queue, worked, finish, stop } = queueOf({ fails: () => isBroken });
  queue.start(stop.signal);
  queue.add('a');
  await settled();
  isBroken = false;
  await vi.waitFor(() => expect(worked).toEqual(['a', 'a']));
  finish.shift()?.();
  stop.abort();
});

test('a key that was reconciled before its retry came is left alone', async () => {
  const failing = new Set(['a', 'b']);
  const { queue, worked, finish, stop } = queueOf({ concurrency: 2, fails: (key) => failing.has(key) });
  queue.start(stop.signal);
  queue.add('a');
  await settled();
  queue.add('b');
  await settled();
  failing.clear();
  queue.add('a');
  finish.shift()?.();
  // The retry of `b` was armed after that of `a`: when it has come, the other has passed.
  await vi.waitFor(() => expect(worked.at(-1)).toBe('b'));
  await vi.waitFor(() => expect(worked).toEqual(['a', 'b', 'a', 'b']));
  stop.abort();
});
