import { FlagError, parseFlags, reportUsage } from '../flags.js';
import { terminationSignal } from '../termination.js';
import { LatencyHistogram } from './latency-histogram.js';
import { http1Sender, http2Sender, type SenderOptions } from './senders.js';

const rateMax = 50_000;
/** Requests beyond this many in flight are counted as failed (`overload`) instead of queued without bound. */
const inFlightMax = 10_000;
const tickMs = 5;
const progressMs = 100;

interface Plan extends SenderOptions {
  readonly rate: number;
  readonly durationMs: number;
  readonly isHttp2: boolean;
  readonly hasProgress: boolean;
  readonly endsWithInput: boolean;
}

/**
 * `tool load URL --rate R --duration S`: sends R requests per second whether or
 * not earlier ones have returned, and prints one JSON line at the end. Requests
 * with a status below 400 are `ok`; the others are counted under their reason. With
 * `--progress` the counts so far go to stderr, a JSON object a line; with
 * `--until-input-ends` the end of stdin ends the sending as SIGTERM does.
 */
export async function load(args: readonly string[]): Promise<number> {
  let plan: Plan;
  try {
    const flags = parseFlags(args, {
      rate: 'number',
      duration: 'seconds',
      connections: 'number',
      'each-new-connection': 'switch',
      spread: 'switch',
      progress: 'switch',
      'until-input-ends': 'switch',
      http2: 'switch',
      timeout: 'seconds',
    });
    const [text] = flags.positional;
    if (text === undefined || flags.positional.length > 1) throw new FlagError('expected one URL');
    const full = /^https?:\/\//.test(text) ? text : `http://${text}`;
    if (!URL.canParse(full) || !full.startsWith('http://')) throw new FlagError(`not an http URL: ${text}`);
    const rate = flags.number('rate') ?? 10;
    if (rate <= 0 || rate > rateMax) throw new FlagError(`--rate must be above 0 and at most ${rateMax}`);
    const seconds = flags.number('duration') ?? 10;
    if (!(seconds > 0)) throw new FlagError('--duration needs seconds');
    plan = {
      url: new URL(full),
      isHttp2: flags.has('http2'),
      rate,
      durationMs: seconds * 1000,
      connections: Math.max(1, flags.number('connections') ?? 64),
      isEachNew: flags.has('each-new-connection'),
      isSpread: flags.has('spread'),
      hasProgress: flags.has('progress'),
      endsWithInput: flags.has('until-input-ends'),
      timeoutMs: (flags.number('timeout') ?? 10) * 1000,
    };
  } catch (error) {
    return reportUsage('load', error);
  }
  const sender = plan.isHttp2 ? http2Sender(plan) : http1Sender(plan);
  const termination = terminationSignal();
  const stop = plan.endsWithInput ? AbortSignal.any([termination.signal, inputEnd()]) : termination.signal;
  const latencies = new LatencyHistogram();
  const failed = new Map<string, number>();
  const pending = new Set<Promise<void>>();
  const counts = { sent: 0, ok: 0, failed: 0 };
  const began = performance.now();
  const report = (): void => void process.stderr.write(`${JSON.stringify(counts)}\n`);
  const reports = plan.hasProgress ? setInterval(report, progressMs) : undefined;
  const fail = (reason: string): void => {
    counts.failed++;
    failed.set(reason, (failed.get(reason) ?? 0) + 1);
  };
  const send = (): void => {
    counts.sent++;
    if (pending.size >= inFlightMax) {
      fail('overload');
      return;
    }
    const started = performance.now();
    const one = sender.send().then((reason) => {
      pending.delete(one);
      if (reason === undefined) {
        counts.ok++;
        latencies.record(performance.now() - started);
      } else {
        fail(reason);
      }
    });
    pending.add(one);
  };
  await new Promise<void>((resolve) => {
    const finish = (): void => {
      clearInterval(timer);
      resolve();
    };
    const tick = (): void => {
      const elapsed = performance.now() - began;
      const due = Math.floor((Math.min(elapsed, plan.durationMs) / 1000) * plan.rate);
      while (counts.sent < due) send();
      if (elapsed >= plan.durationMs) finish();
    };
    const timer = setInterval(tick, tickMs);
    stop.addEventListener('abort', finish, { once: true });
  });
  await Promise.all(pending);
  clearInterval(reports);
  if (plan.endsWithInput) process.stdin.destroy();
  sender.close();
  termination.dispose();
  const seconds = (performance.now() - began) / 1000;
  process.stdout.write(
    `${JSON.stringify({
      url: plan.url.href,
      ...counts,
      failures: Object.fromEntries([...failed].toSorted(([a], [b]) => a.localeCompare(b))),
      seconds: Number(seconds.toFixed(3)),
      latencyMs: latencies.summary(),
      histogram: latencies.buckets(),
    })}\n`,
  );
  return counts.failed === 0 ? 0 : 1;
}

/** Fires when stdin ends; nothing else keeps the process from ending then. */
function inputEnd(): AbortSignal {
  const end = new AbortController();
  process.stdin
    .once('end', () => end.abort())
    .once('error', () => end.abort())
    .resume();
  return end.signal;
}
