import { Counter, Gauge, type Registry } from 'prom-client';

/** Metrics of the node proxy besides per-connection traffic, under upstream's names. */
export interface WorkloadMetrics {
  readonly xdsTerminations: Counter;
  readonly xdsMessages: Counter;
  readonly xdsBytes: Counter;
  readonly active: Gauge;
  readonly pending: Gauge;
  readonly started: Counter;
  readonly stopped: Counter;
}

/** Registers the metrics. */
export function makeWorkloadMetrics(registry: Registry): WorkloadMetrics {
  const registers = [registry];
  return {
    xdsTerminations: new Counter({
      name: 'istio_xds_connection_terminations_total',
      help: 'The total number of completed connections to xds server',
      labelNames: ['reason'],
      registers,
    }),
    xdsMessages: new Counter({
      name: 'istio_xds_message_total',
      help: 'The total number of messages received',
      labelNames: ['url'],
      registers,
    }),
    xdsBytes: new Counter({
      name: 'istio_xds_message_bytes_total',
      help: 'The total number of resource bytes received',
      labelNames: ['url'],
      registers,
    }),
    active: new Gauge({
      name: 'workload_manager_active_proxy_count',
      help: 'The total number of active proxies',
      registers,
    }),
    pending: new Gauge({
      name: 'workload_manager_pending_proxy_count',
      help: 'The total number of pending proxies',
      registers,
    }),
    started: new Counter({
      name: 'workload_manager_proxies_started_total',
      help: 'The total number of proxies that were started',
      registers,
    }),
    stopped: new Counter({
      name: 'workload_manager_proxies_stopped_total',
      help: 'The total number of proxies that were stopped',
      registers,
    }),
  };
}
