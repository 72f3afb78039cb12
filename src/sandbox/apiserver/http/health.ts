import { type Answering, sendText } from './exchange.js';
import { HealthMetrics } from './health-metrics.js';

/** One thing health is made of: throws when it does not hold. */
export interface HealthCheck {
  readonly name: string;
  readonly check: () => void;
}

const endpoints = ['healthz', 'livez', 'readyz'] as const;
type Endpoint = (typeof endpoints)[number];

/** Whether the first part of a path is one of the health endpoints. */
export function isHealthEndpoint(name: string): name is Endpoint {
  return endpoints.some((e) => e === name);
}

/** Answers /healthz, /livez and /readyz: as a whole, in detail with `?verbose`, without what `?exclude` names, or one check as a path below. */
export class Health {
  readonly #checks: readonly HealthCheck[];
  readonly #isShuttingDown: () => boolean;
  readonly #metrics = new HealthMetrics();

  constructor(checks: readonly HealthCheck[], isShuttingDown: () => boolean) {
    this.#checks = checks;
    this.#isShuttingDown = isShuttingDown;
  }

  #of(endpoint: Endpoint): HealthCheck[] {
    const ping = { name: 'ping', check: () => undefined };
    if (endpoint !== 'readyz') return [ping, ...this.#checks];
    const shutdown = {
      name: 'shutdown',
      check: () => {
        if (this.#isShuttingDown()) throw new Error('process is shutting down');
      },
    };
    return [ping, ...this.#checks, shutdown];
  }

  /** Makes every check, as no kubelet probes this server, and tells how they and earlier ones went, as metrics. */
  metricsText(): Promise<string> {
    for (const endpoint of endpoints)
      for (const { name, check } of this.#of(endpoint)) this.#holds(name, endpoint, check);
    return this.#metrics.text();
  }

  #holds(name: string, endpoint: Endpoint, check: () => void): boolean {
    let isHealthy = true;
    try {
      check();
    } catch {
      isHealthy = false;
    }
    this.#metrics.observe(name, endpoint, isHealthy);
    return isHealthy;
  }

  /** Answers the endpoint, or false when there is no such check. */
  answer(exchange: Answering, endpoint: Endpoint, check: string, query: URLSearchParams): boolean {
    const excluded = new Set(query.getAll('exclude'));
    const all = this.#of(endpoint);
    const chosen = check === '' ? all : all.filter((c) => c.name === check);
    if (chosen.length === 0) return false;
    const lines: string[] = [];
    let isFailed = false;
    for (const { name, check: run } of chosen) {
      if (excluded.has(name)) {
        lines.push(`[+]${name} excluded: ok`);
        continue;
      }
      if (this.#holds(name, endpoint, run)) lines.push(`[+]${name} ok`);
      else {
        isFailed = true;
        // Why is in the log, not in an answer that anybody may read.
        lines.push(`[-]${name} failed: reason withheld`);
      }
    }
    const unknown = [...excluded].filter((e) => !all.some((c) => c.name === e));
    if (unknown.length > 0)
      lines.push(
        `warn: some health checks cannot be excluded: no matches for ${unknown.map((e) => JSON.stringify(e)).join(', ')}`,
      );
    const type = 'text/plain; charset=utf-8';
    if (isFailed) sendText(exchange, 500, type, `${lines.join('\n')}\n${endpoint} check failed\n`);
    else if (check !== '' || !query.has('verbose')) sendText(exchange, 200, type, 'ok');
    else sendText(exchange, 200, type, `${lines.join('\n')}\n${endpoint} check passed\n`);
    return true;
  }
}
