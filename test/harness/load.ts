import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { onePod } from './bank.js';
import type { TestSandbox } from './sandbox.js';

/** How a load fares so far. */
export interface LoadCounts {
  readonly sent: number;
  readonly ok: number;
  readonly failed: number;
}

/** How a load fared. */
export interface LoadSummary extends LoadCounts {
  /** How often it failed for which reason. */
  readonly failures: Readonly<Record<string, number>>;
}

/** Requests that are being sent until it is told to stop. */
export interface RunningLoad {
  counts(): LoadCounts;
  /** Sends no more, and resolves when everything sent has come to its end. */
  stop(): Promise<LoadSummary>;
}

const pollMs = 20;
const waitMs = 60_000;
const enough = 20;
/** Each takes as long as the load's time-out. */
const failuresEnough = 4;

/**
 * Asserts that a change costs nobody a request: the load is answered before it begins, goes on while it happens and
 * after it, and everything that was sent was answered well.
 */
export async function hitless(
  load: RunningLoad,
  change: () => Promise<unknown>,
  { answers = enough }: { answers?: number } = {},
): Promise<LoadSummary> {
  const summary = await during(load, async () => {
    await answered(load, answers);
    await change();
    await answered(load, answers);
  });
  expect(summary.failures).toEqual({});
  expect(summary.ok).toBe(summary.sent);
  expect(summary.sent).toBeGreaterThanOrEqual(2 * answers);
  return summary;
}

/** What a fault cost. */
export interface Outage {
  readonly summary: LoadSummary;
  /** From the begin of the fault to the last failure before `answers` good answers in a row. */
  readonly outageMs: number;
}

/**
 * For a fault that may cost requests: the load is answered before it, and again after it, without a failure in between
 * for so many answers. What it cost is for the caller to bound.
 */
export async function outage(
  load: RunningLoad,
  fault: () => Promise<unknown>,
  { answers = enough }: { answers?: number } = {},
): Promise<Outage> {
  let outageMs = 0;
  const summary = await during(load, async () => {
    await answered(load, answers);
    expect(load.counts().failed, 'requests that failed before the fault').toBe(0);
    const begin = performance.now();
    await fault();
    const limit = performance.now() + waitMs;
    let { ok: okBefore, failed } = load.counts();
    for (;;) {
      await delay(pollMs);
      const now = load.counts();
      if (now.failed !== failed) {
        outageMs = performance.now() - begin;
        okBefore = now.ok;
        failed = now.failed;
      }
      if (now.ok - okBefore >= answers) return;
      if (performance.now() > limit) throw new Error(`no answers again: ${JSON.stringify(now)}`);
    }
  });
  return { summary, outageMs };
}

/** Asserts that a change ends what went on before: it is answered until then, and never after the first failure. */
export async function cutOff(load: RunningLoad, change: () => Promise<unknown>): Promise<LoadSummary> {
  return during(load, async () => {
    await answered(load, enough);
    expect(load.counts().failed, 'requests that failed before the change').toBe(0);
    await change();
    await reached(load, 'failed', 1);
    const { ok, failed } = load.counts();
    await reached(load, 'failed', failed + failuresEnough);
    expect(load.counts().ok, 'answers after the first failure').toBe(ok);
  });
}

/** Stops the load whatever becomes of the work. */
async function during(load: RunningLoad, work: () => Promise<void>): Promise<LoadSummary> {
  try {
    await work();
  } catch (error) {
    await load.stop();
    throw error;
  }
  return load.stop();
}

/** Waits for so many more good answers. */
async function answered(load: RunningLoad, count: number): Promise<void> {
  await reached(load, 'ok', load.counts().ok + count);
}

async function reached(load: RunningLoad, what: 'ok' | 'failed', count: number): Promise<void> {
  const limit = performance.now() + waitMs;
  while (load.counts()[what] < count) {
    if (performance.now() > limit)
      throw new Error(`${what} never reached ${count}: ${JSON.stringify(load.counts())}`);
    await delay(pollMs);
  }
}

/** Rate and connections of a load out of a pod. */
export interface PodLoadOptions {
  readonly from: { readonly namespace: string; readonly app: string };
  readonly url: string;
  /** Requests a second. */
  readonly rate: number;
  /** So many kept connections, each with its share of the requests; `new`: a connection for each request. */
  readonly connections: number | 'new';
  readonly flags?: readonly string[];
}

/** Longer than any test: loads end because they are told to. */
const podLoadSeconds = 600;

/** Starts the tool's load generator in a pod. */
export async function podLoad(sandbox: TestSandbox, options: PodLoadOptions): Promise<RunningLoad> {
  const { from, url, rate, connections, flags = [] } = options;
  const pod = await onePod(sandbox.client, from.namespace, `app=${from.app}`);
  const spread =
    connections === 'new' ? ['--each-new-connection'] : ['--connections', String(connections), '--spread'];
  const inPod = ['exec', '-i', pod.metadata.name, '-n', from.namespace, '--'];
  const run = ['tool', 'load', url, '--rate', String(rate), '--duration', String(podLoadSeconds)];
  const child = spawn(
    'kubectl',
    [...inPod, ...run, ...spread, '--progress', '--until-input-ends', ...flags],
    { env: { ...process.env, ...sandbox.env }, stdio: ['pipe', 'pipe', 'pipe'] },
  );
  let counts: LoadCounts = { sent: 0, ok: 0, failed: 0 };
  let other = '';
  createInterface({ input: child.stderr }).on('line', (line) => {
    if (line.startsWith('{')) counts = JSON.parse(line) as LoadCounts;
    else other += `${line}\n`;
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')));
  child.stdin.on('error', () => undefined); // it ended by itself, which its output tells
  const ended = once(child, 'close');
  return {
    counts: () => {
      if (child.exitCode !== null) throw new Error(`the load ended by itself: ${other}${output}`);
      return counts;
    },
    stop: async () => {
      child.stdin.end();
      await ended;
      if (!output.startsWith('{')) throw new Error(`the load says nothing: ${other}${output}`);
      return JSON.parse(output) as LoadSummary;
    },
  };
}

/** Sends requests one after the other in this process, `workers` at a time, each as `send` does it. */
export function localLoad(send: (worker: number) => Promise<void>, workers = 1): RunningLoad {
  const counts = { sent: 0, ok: 0, failed: 0 };
  const failures: Record<string, number> = {};
  let isStopped = false;
  const run = async (worker: number): Promise<void> => {
    while (!isStopped) {
      counts.sent++;
      try {
        await send(worker);
        counts.ok++;
      } catch (error) {
        counts.failed++;
        const reason = error instanceof Error ? error.message : String(error);
        failures[reason] = (failures[reason] ?? 0) + 1;
        // What fails at once must not keep everything else from running.
        await delay(1);
      }
    }
  };
  const all = Promise.all(Array.from({ length: workers }, (_, i) => run(i)));
  return {
    counts: () => ({ ...counts }),
    stop: async () => {
      isStopped = true;
      await all;
      return { ...counts, failures };
    },
  };
}
