import type { KubeClient } from '#base/kube/client.js';
import { services } from '#base/kube/resource.js';
import type { Service } from '#base/kube/types.js';
import { eventually, execIn, readyPods } from '../../test/harness/cluster.js';
import type { BenchSandbox } from './bench-sandbox.js';
import type { Measurements } from './measurements.js';
import { namespaceOf, type Path, paths } from './workload.js';

/** Requests per second of the latency measurement: low enough that nothing queues on any path. */
const calmRate = 200;
const calmSeconds = 2;
/** New connections per second that are offered, until a path falls behind. */
const offeredRates = [200, 400, 800, 1_600, 3_200, 6_400];
const offeredSeconds = 0.6;
/** A path keeps up while it completes at least this share of what is offered per second. */
const keepsUpShare = 0.9;
const responseBytes = 128 * 1024 * 1024;
const responseCount = 2;
const warmUpSeconds = 5;
const requestTimeoutSeconds = 30;

interface LoadPlan {
  /** Requests per second. */
  readonly rate: number;
  readonly seconds: number;
  readonly connections: number | 'new for each';
}

/** The JSON line of `tool load`, as far as it is read here. */
interface LoadSummary {
  readonly ok: number;
  readonly failed: number;
  readonly failures: Readonly<Record<string, number>>;
  readonly seconds: number;
  readonly latencyMs: Readonly<Record<'p50' | 'p99', number>>;
}

/** Load from the client's to the server's node on each path, by the service's address: no DNS in the way. */
export class DataPath {
  readonly #client: KubeClient;
  readonly #urls: ReadonlyMap<Path, string>;

  private constructor(client: KubeClient, urls: ReadonlyMap<Path, string>) {
    this.#client = client;
    this.#urls = urls;
  }

  /** Warms every path up and makes sure that each is what its name says; throws when one is not. */
  static async open(sandbox: BenchSandbox): Promise<DataPath> {
    const urls = new Map<Path, string>();
    for (const path of paths) {
      const ref = { resource: services, namespace: namespaceOf(path), name: 'server' };
      const { spec } = await sandbox.client.get<Service>(ref);
      if (!spec.clusterIP) throw new Error(`Service ${namespaceOf(path)}/server has no address`);
      urls.set(path, `http://${spec.clusterIP}/`);
    }
    const opened = new DataPath(sandbox.client, urls);
    const warmUp = paths.map((path) =>
      opened.#answered(path, '', { rate: 60, seconds: warmUpSeconds, connections: 4 }),
    );
    await Promise.all([...warmUp, opened.#verify(sandbox)]);
    return opened;
  }

  /** One round: the paths take turns at each measurement. */
  async measure(measurements: Measurements, signal: AbortSignal): Promise<void> {
    for (const path of paths) {
      measurements.record(`connections ${path}`, await this.#connectionsPerSecond(path));
      signal.throwIfAborted();
    }
    for (const path of paths) {
      const { latencyMs } = await this.#answered(path, '', {
        rate: calmRate,
        seconds: calmSeconds,
        connections: 4,
      });
      measurements.record(`p50 ${path}`, latencyMs.p50);
      measurements.record(`p99 ${path}`, latencyMs.p99);
      signal.throwIfAborted();
    }
    for (const path of paths) {
      const { ok, seconds } = await this.#answered(path, `?size=${responseBytes}`, {
        // All requests are due at once; the single connection takes them one by one.
        rate: responseCount * 100,
        seconds: 0.01,
        connections: 1,
      });
      measurements.record(`throughput ${path}`, (ok * responseBytes) / seconds / 1e6);
      signal.throwIfAborted();
    }
  }

  /** Offers more and more until the path falls behind; the most it completed per second without a failure. */
  async #connectionsPerSecond(path: Path): Promise<number> {
    let most = 0;
    for (const rate of offeredRates) {
      const summary = await this.#load(path, '', {
        rate,
        seconds: offeredSeconds,
        connections: 'new for each',
      });
      // Failures under too much load end the search; when there was no load to speak of, they are faults.
      if (summary.failed > 0 && most > 0) break;
      const { ok, seconds } = requireAnswers(path, summary);
      most = Math.max(most, ok / seconds);
      if (ok / seconds < rate * keepsUpShare) break;
    }
    return most;
  }

  /** Nothing is measured under a wrong name: looks at each path from outside while load is on it. */
  async #verify(sandbox: BenchSandbox): Promise<void> {
    const answers = new Map<Path, string>();
    for (const path of paths) {
      const curl = await this.#run(path, ['curl', '-sS', '-i', '-m', '5', this.#url(path)]);
      answers.set(path, curl);
    }
    for (const path of paths) {
      const isThroughWaypoint = /^x-envoy-upstream-service-time:/im.test(answers.get(path) ?? '');
      if (isThroughWaypoint !== (path === 'waypoint'))
        throw new Error(`the path ${path} ${isThroughWaypoint ? 'passes a' : 'passes no'} waypoint`);
    }
    for (const path of ['enrolled', 'waypoint'] as const) {
      await eventually(
        async () => {
          const [server] = await readyPods(sandbox.client, namespaceOf(path), 'app=server');
          const args = [
            'describe',
            'pod',
            server?.metadata.name ?? '',
            '-n',
            namespaceOf(path),
            '-o',
            'json',
          ];
          const { verdict } = JSON.parse(await sandbox.meshctl(args)) as { verdict?: string };
          if (verdict !== 'mtls') throw new Error(`meshctl sees ${verdict} on the path ${path}, not mtls`);
        },
        { timeoutMs: warmUpSeconds * 1_000 },
      );
    }
  }

  async #answered(path: Path, query: string, plan: LoadPlan): Promise<LoadSummary> {
    return requireAnswers(path, await this.#load(path, query, plan));
  }

  async #load(path: Path, query: string, plan: LoadPlan): Promise<LoadSummary> {
    const command = ['tool', 'load', `${this.#url(path)}${query}`];
    command.push('--rate', String(plan.rate), '--duration', String(plan.seconds));
    command.push('--timeout', String(requestTimeoutSeconds));
    if (plan.connections === 'new for each') command.push('--each-new-connection');
    else command.push('--connections', String(plan.connections));
    return JSON.parse(await this.#run(path, command)) as LoadSummary;
  }

  async #run(path: Path, command: readonly string[]): Promise<string> {
    const result = await execIn(this.#client, {
      namespace: namespaceOf(path),
      labelSelector: 'app=client',
      command,
    });
    // tool load ends with 1 when requests failed, and says in its JSON which.
    if (result.exitCode !== 0 && result.stdout === '')
      throw new Error(`${command.join(' ')} ended with exit code ${result.exitCode}: ${result.stderr}`);
    return result.stdout;
  }

  #url(path: Path): string {
    const url = this.#urls.get(path);
    if (url === undefined) throw new Error(`no address for the path ${path}`);
    return url;
  }
}

function requireAnswers(path: Path, summary: LoadSummary): LoadSummary {
  if (summary.failed === 0) return summary;
  throw new Error(
    `${summary.failed} requests failed on the path ${path}: ${JSON.stringify(summary.failures)}`,
  );
}
