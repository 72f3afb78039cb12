import { Counter, Gauge, Histogram, Registry as MetricsRegistry, collectDefaultMetrics } from 'prom-client';
import type { Store } from '../storage/store.js';
import { verbOf } from './attributes.js';
import type { IncomingApiRequest, ApiExchange } from './exchange.js';
import { parsePath } from './request-info.js';

const labels = ['verb', 'group', 'version', 'resource', 'subresource', 'scope'] as const;
const buckets = [
  0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60,
];

interface Labels extends Record<(typeof labels)[number], string> {}

function scopeOf(path: ApiExchange['path']): string {
  if (path.kind !== 'resource') return '';
  if (path.name !== undefined) return 'resource';
  return path.namespace === undefined ? 'cluster' : 'namespace';
}

function labelsOf(exchange: ApiExchange): Labels {
  const { path, request, url } = exchange;
  const method = request.method ?? 'GET';
  if (path.kind !== 'resource') {
    return {
      verb: method,
      group: '',
      version: '',
      resource: '',
      subresource: path.path.split('/')[1] ?? '',
      scope: '',
    };
  }
  const verb = verbOf(method, path, url);
  const names: Readonly<Record<string, string>> = {
    create: 'POST',
    update: 'PUT',
    delete: 'DELETE',
    deletecollection: 'DELETECOLLECTION',
  };
  return {
    verb: names[verb] ?? verb.toUpperCase(),
    group: path.group,
    version: path.version,
    resource: path.plural,
    subresource: path.subresource,
    scope: scopeOf(path),
  };
}

/** Counts requests under the names that dashboards and alerts for Kubernetes read. */
export class RequestMetrics {
  readonly #registry = new MetricsRegistry();
  readonly #requests: Counter;
  readonly #durations: Histogram;
  readonly #inFlight: Gauge;
  readonly #longRunning: Gauge;
  readonly #isKnown: (group: string, version: string, plural: string) => boolean;

  /** `isKnown` tells real resources from made up ones, which must not become label values. */
  constructor(store: Store, isKnown: (group: string, version: string, plural: string) => boolean) {
    this.#isKnown = isKnown;
    const registers = [this.#registry];
    this.#requests = new Counter({
      name: 'apiserver_request_total',
      help: 'Requests by verb, resource and answer.',
      labelNames: [...labels, 'code'],
      registers,
    });
    this.#durations = new Histogram({
      name: 'apiserver_request_duration_seconds',
      help: 'Time to answer requests that are not watches.',
      labelNames: [...labels],
      buckets,
      registers,
    });
    this.#inFlight = new Gauge({
      name: 'apiserver_current_inflight_requests',
      help: 'Requests being served, by kind.',
      labelNames: ['request_kind'],
      registers,
    });
    this.#longRunning = new Gauge({
      name: 'apiserver_longrunning_requests',
      help: 'Watches and streams being served.',
      labelNames: [...labels],
      registers,
    });
    const objects = new Gauge({
      name: 'apiserver_storage_objects',
      help: 'Stored objects by resource.',
      labelNames: ['resource'],
      registers,
      collect: () => {
        objects.reset();
        for (const resource of store.resources()) objects.set({ resource }, store.list(resource).length);
      },
    });
  }

  /** The metrics as text. */
  async text(): Promise<string> {
    if (this.#registry.getSingleMetric('process_cpu_seconds_total') === undefined) {
      collectDefaultMetrics({ register: this.#registry });
    }
    return this.#registry.metrics();
  }

  /** Begins to count a request; the returned function is called at its end. */
  begin(request: IncomingApiRequest): (status: number, exchange: ApiExchange | undefined) => void {
    const started = process.hrtime.bigint();
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    const isWatch = isRead && /[?&]watch=(?!0|false)|\/watch\//.test(request.url ?? '');
    const kind = { request_kind: isRead ? 'readOnly' : 'mutating' };
    const early = isWatch ? this.#watchLabels(request) : undefined;
    if (early === undefined) this.#inFlight.inc(kind);
    else this.#longRunning.inc(early);
    return (status, exchange) => {
      if (early === undefined) this.#inFlight.dec(kind);
      else this.#longRunning.dec(early);
      if (exchange === undefined || !this.#isCounted(exchange.path)) return;
      const of = labelsOf(exchange);
      this.#requests.inc({ ...of, code: String(status) });
      if (of.verb !== 'WATCH') this.#durations.observe(of, Number(process.hrtime.bigint() - started) / 1e9);
    };
  }

  #isCounted(path: ApiExchange['path']): boolean {
    if (path.kind === 'resource') return this.#isKnown(path.group, path.version, path.plural);
    return /^\/(healthz|livez|readyz|metrics|version|openapi|api|apis)(\/|$)/.test(path.path);
  }

  #watchLabels(request: IncomingApiRequest): Labels | undefined {
    const path = parsePath((request.url ?? '/').split('?')[0] ?? '/');
    if (path.kind !== 'resource' || !this.#isCounted(path)) return undefined;
    const { group, version, plural: resource, subresource } = path;
    return { verb: 'WATCH', group, version, resource, subresource, scope: scopeOf(path) };
  }
}
