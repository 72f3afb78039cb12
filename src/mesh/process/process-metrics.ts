import { readdirSync, readFileSync } from 'node:fs';
import { Gauge, Registry } from 'prom-client';

/** A registry with what every program tells of itself: `istio_build` and its file descriptors (Prometheus' names). */
export function processRegistry(build: { readonly component: string; readonly tag: string }): Registry {
  const registry = new Registry();
  const registers = [registry];
  new Gauge({
    name: 'istio_build',
    help: 'Istio component build info',
    labelNames: ['component', 'tag'],
    registers,
  }).set({ ...build }, 1);
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
  new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Resident memory size in bytes',
    registers,
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
  new Gauge({
    name: 'process_start_time_seconds',
    help: 'Start time of the process since the Unix epoch in seconds',
    registers,
  }).set(Math.round(Date.now() / 1000 - process.uptime()));
  return registry;
}
