import { readdirSync, readFileSync } from 'node:fs';
import { Counter, Gauge, type Registry } from 'prom-client';

/** Metrics of the node proxy besides per-connection traffic, under upstream's names. */
export interface ProcessMetrics {
  readonly xdsTerminations: Counter;
  readonly xdsMessages: Counter;
  readonly xdsBytes: Counter;
  readonly active: Gauge;
  readonly pending: Gauge;
  readonly started: Counter;
  readonly stopped: Counter;
}

/** Registers the metrics. */
export function makeProcessMetrics(registry: Registry, tag: string): ProcessMetrics {
  const registers = [registry];
  const build = new Gauge({
    name: 'istio_build',
    help: 'Istio component build info',
    labelNames: ['component', 'tag'],
    registers,
  });
  build.set({ component: 'ztunnel', tag }, 1);
  new Gauge({
    name: 'process_open_fds',
    help: 'The number of open file descriptors',
    registers,
    collect() {
      this.set(readdirSync('/proc/self/fd').length);
    },
  });
  new Gauge({
    name: 'process_max_fds',
    help: 'The maximum number of file descriptors allowed',
    registers,
    collect() {
      const match = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'));
      this.set(Number(match?.[1] ?? 0));
    },
  });
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
