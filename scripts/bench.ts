// npm run bench: what starting, installing, controlling and carrying traffic costs, beside peers of the same run.
// npm run bench -- controller [PODS...]: the controller alone, and of those cluster sizes; the page is left as it was.
import { writeFileSync } from 'node:fs';
import { BenchSandbox } from './bench/bench-sandbox.js';
import { measureCliStart } from './bench/cli-start.js';
import { measureController } from './bench/controller/measure.js';
import { DataPath } from './bench/data-path.js';
import { measureHostPick } from './bench/host-pick.js';
import { Measurements } from './bench/measurements.js';
import { renderPage, renderTable } from './bench/report.js';
import { useTwoCores } from './bench/two-cores.js';

const roundsMax = 3;
/** On a slow machine no further round starts after this long, so that the run stays under five minutes. */
const lastLifecycleStartMs = 45_000;
const lastDataPathStartMs = 125_000;
const page = 'docs/benchmarks.md';

/** Measures and reports; resolves to 1 when something could not be measured, whatever the numbers say. */
export async function main(args: readonly string[] = []): Promise<number> {
  const [section, ...sizes] = args;
  if (section !== undefined && section !== 'controller') {
    say(`there is no section ${section}; the one that can be measured alone is: controller`);
    return 2;
  }
  const interruption = new AbortController();
  const interrupt = () => interruption.abort(new Error('interrupted'));
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  const startedAt = Date.now();
  const cores = useTwoCores();
  say(`on ${cores} cores`);
  const measurements = new Measurements();
  let failure: Error | undefined;
  try {
    if (section === undefined) await measure(measurements, { startedAt, signal: interruption.signal });
    await measureController(measurements, {
      ...(sizes.length > 0 ? { sizes: sizes.map(Number) } : {}),
      signal: interruption.signal,
      say,
    });
  } catch (error) {
    failure = error instanceof Error ? error : new Error(String(error));
  }
  process.stdout.write(`${renderTable(measurements)}\n`);
  say(`${((Date.now() - startedAt) / 1000).toFixed(0)} s in all`);
  if (failure !== undefined) {
    say(`not everything could be measured: ${failure.message}`);
    say(`${page} is left as it was`);
    return 1;
  }
  if (section !== undefined) return 0;
  const machine = {
    date: new Date().toISOString().slice(0, 10),
    nodeVersion: process.versions.node,
    cores,
  };
  writeFileSync(page, renderPage(measurements, machine));
  say(`written: ${page}`);
  return 0;
}

async function measure(
  measurements: Measurements,
  o: { startedAt: number; signal: AbortSignal },
): Promise<void> {
  const isTimeLeft = (latestMs: number) => Date.now() - o.startedAt < latestMs;
  say('start of the command line');
  await measureCliStart(measurements);
  say('picking hosts');
  measureHostPick(measurements);
  const sandbox = new BenchSandbox(o.signal);
  try {
    for (let round = 1; round <= roundsMax; round++) {
      if (round > 1 && !isTimeLeft(lastLifecycleStartMs)) break;
      say(`sandbox, install, enroll, waypoint: round ${round}`);
      // The last round's sandbox stays, for the data path.
      await sandbox.down();
      await sandbox.measureLifecycle(measurements);
    }
    say('data path: warming up');
    const dataPath = await DataPath.open(sandbox);
    for (let round = 1; round <= roundsMax; round++) {
      if (round > 1 && !isTimeLeft(lastDataPathStartMs)) break;
      say(`data path: round ${round}`);
      await dataPath.measure(measurements, o.signal);
    }
  } finally {
    await sandbox.dispose();
  }
}

function say(text: string): void {
  process.stderr.write(`* ${text}\n`);
}
