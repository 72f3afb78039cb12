import { Counter, Gauge, Registry } from 'prom-client';

/** How the health checks went when they were asked for, as Prometheus reads it under /metrics/slis. */
export class HealthMetrics {
  readonly #registry = new Registry();
  readonly #latest = new Gauge({
    name: 'kubernetes_healthcheck',
    help: 'Whether a check held when it was last made: 1 or 0.',
    labelNames: ['name', 'type'],
    registers: [this.#registry],
  });
  readonly #total = new Counter({
    name: 'kubernetes_healthchecks_total',
    help: 'Checks made, by how they went.',
    labelNames: ['name', 'type', 'status'],
    registers: [this.#registry],
  });

  /** @param type the endpoint that was asked: healthz, livez or readyz. */
  observe(name: string, type: string, isHealthy: boolean): void {
    this.#latest.set({ name, type }, isHealthy ? 1 : 0);
    this.#total.inc({ name, type, status: isHealthy ? 'success' : 'error' });
  }

  /** The metrics as text. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }
}
