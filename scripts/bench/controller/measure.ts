import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Measurements } from '../measurements.js';
import type { Answer, Question } from './controller-process.js';
import { ProxyStreams } from './proxy-streams.js';
import { StandInApi } from './stand-in-api.js';
import { podUidOf, SyntheticCluster } from './synthetic-cluster.js';

const proxyCount = 100;
const changesPerSecond = 50;
/** Longest any one step may take, in milliseconds. */
const stepMaxMs = 90_000;

/** Clusters measured, and for how long they change. */
export const clusterSizes = [
  { pods: 1_000, changingSeconds: 4 },
  { pods: 10_000, changingSeconds: 8 },
  { pods: 50_000, changingSeconds: 6 },
] as const;

/** Name of a measurement of one cluster size. */
export function ofPods(pods: number, what: string): string {
  return `controller ${pods} ${what}`;
}

/** What the controller takes to read, hold and follow clusters of several sizes, and to tell 100 node proxies. */
export async function measureController(
  measurements: Measurements,
  o: {
    /** Numbers of pods; default: all of {@link clusterSizes}. */
    readonly sizes?: readonly number[];
    readonly signal: AbortSignal;
    readonly say: (text: string) => void;
  },
): Promise<void> {
  const recomputed = await recomputations(10_000, o.signal);
  for (const [change, cpuMs] of Object.entries(recomputed)) {
    measurements.record(ofPods(10_000, `recompute ${change}`), cpuMs);
  }
  const baseBytes = await heapOfEmpty(o.signal);
  for (const { pods, changingSeconds } of clusterSizes) {
    if (o.sizes !== undefined && !o.sizes.includes(pods)) continue;
    o.say(`controller: ${pods.toLocaleString('en')} pods`);
    await measureCluster(measurements, { pods, changingSeconds, baseBytes, signal: o.signal });
  }
}

async function measureCluster(
  measurements: Measurements,
  o: {
    readonly pods: number;
    readonly changingSeconds: number;
    readonly baseBytes: number;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const record = (what: string, value: number) => measurements.record(ofPods(o.pods, what), value);
  const cluster = new SyntheticCluster(o.pods);
  const api = await StandInApi.start(cluster);
  const proxies = new ProxyStreams();
  const startedAt = performance.now();
  const controller = new ControllerProcess(['serve', api.url], o.signal);
  try {
    const { port } = await controller.answer('listening');
    record('start', (performance.now() - startedAt) / 1_000);
    const { heapBytes } = await controller.ask('heap');
    record('heap', (heapBytes - o.baseBytes) / o.pods / 1_000);

    const connectedAt = performance.now();
    await bounded(proxies.open({ port, rootPem: api.rootPem, count: proxyCount }), 'the first push');
    record('first push', (performance.now() - connectedAt) / 1_000);

    const before = await controller.ask('cpu');
    const changes = changesPerSecond * o.changingSeconds;
    await changePods({ cluster, api, proxies, changes });
    const after = await controller.ask('cpu');
    const latencies = proxies.latenciesMs.toSorted((a, b) => a - b);
    record('p50', latencies[Math.floor(latencies.length * 0.5)] ?? Number.NaN);
    record('p99', latencies[Math.floor(latencies.length * 0.99)] ?? Number.NaN);
    record('cpu', ((after.cpuMs - before.cpuMs) / changes) * 1_000);
  } finally {
    proxies.close();
    await controller.stop();
    api.close();
  }
}

/** Pods become unready one after the other, each with its EndpointSlice, as in a cluster; until all is acknowledged. */
async function changePods(o: {
  readonly cluster: SyntheticCluster;
  readonly api: StandInApi;
  readonly proxies: ProxyStreams;
  readonly changes: number;
}): Promise<void> {
  const startedAt = performance.now();
  for (let change = 0; change < o.changes; change++) {
    const dueMs = startedAt + (change * 1_000) / changesPerSecond - performance.now();
    if (dueMs > 0) await delay(dueMs);
    // Spread over the cluster, no pod twice.
    const index = (change * Math.floor(o.cluster.podCount / o.changes)) % o.cluster.podCount;
    const pod = o.cluster.pod(index, false);
    o.proxies.await(podUidOf(pod));
    o.api.change('pods', pod);
    o.api.change('endpointslices', o.cluster.sliceOfPod(index));
  }
  const waitedAt = performance.now();
  while (o.proxies.awaitedCount > 0) {
    o.proxies.throwFailure();
    if (performance.now() - waitedAt > stepMaxMs)
      throw new Error(`${o.proxies.awaitedCount} changes never arrived`);
    await delay(20);
  }
}

async function heapOfEmpty(signal: AbortSignal): Promise<number> {
  const api = await StandInApi.start(new SyntheticCluster(0));
  const controller = new ControllerProcess(['serve', api.url], signal);
  try {
    await controller.answer('listening');
    return (await controller.ask('heap')).heapBytes;
  } finally {
    await controller.stop();
    api.close();
  }
}

async function recomputations(pods: number, signal: AbortSignal): Promise<Readonly<Record<string, number>>> {
  const process = new ControllerProcess(['recompute', String(pods)], signal);
  try {
    return (await process.answer('recomputations')).cpuMs;
  } finally {
    await process.stop();
  }
}

type AnswerOf<K extends Answer['kind']> = Extract<Answer, { kind: K }>;

/** The process under measurement. */
class ControllerProcess {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;

  constructor(args: readonly string[], signal: AbortSignal) {
    const entry = fileURLToPath(new URL('bench-controller.js', import.meta.url));
    this.#child = spawn(process.execPath, ['--expose-gc', entry, ...args], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      signal,
    });
    this.#ended = once(this.#child, 'exit').catch(() => undefined);
  }

  /** The next answer of a kind. */
  answer<K extends Answer['kind']>(kind: K): Promise<AnswerOf<K>> {
    const arrived = new Promise<AnswerOf<K>>((resolve, reject) => {
      const take = (answer: Answer) => {
        if (answer.kind !== kind) return;
        this.#child.off('message', take);
        resolve(answer as AnswerOf<K>);
      };
      this.#child.on('message', take);
      this.#child.once('error', reject);
      this.#child.once('exit', (code) =>
        reject(new Error(`the controller ended with ${code} instead of ${kind}`)),
      );
    });
    return bounded(arrived, kind);
  }

  ask<Q extends 'cpu' | 'heap'>(question: Q): Promise<AnswerOf<Q>> {
    const answered = this.answer(question);
    this.#child.send(question satisfies Question);
    return answered;
  }

  async stop(): Promise<void> {
    if (this.#child.connected) this.#child.send('stop' satisfies Question);
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 10_000);
    await this.#ended;
    clearTimeout(timer);
  }
}

async function bounded<T>(work: Promise<T>, what: string): Promise<T> {
  const timer = new AbortController();
  const late = delay(stepMaxMs, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`${what} took longer than ${stepMaxMs / 1_000} s`);
  });
  late.catch(() => undefined); // that is what ends it when the work is done
  try {
    return await Promise.race([work, late]);
  } finally {
    timer.abort();
  }
}
