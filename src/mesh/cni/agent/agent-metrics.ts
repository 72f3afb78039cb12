import { Counter, Gauge } from 'prom-client';
import { processRegistry } from '../../process/process-metrics.js';
import { productVersion } from '../../telemetry/version.js';

/** The agent's metrics, under upstream's names. */
export class AgentMetrics {
  readonly registry = processRegistry({ component: 'cni', tag: productVersion });
  readonly installs = new Counter({
    name: 'istio_cni_installs_total',
    help: 'Installations of the CNI plugin by result.',
    labelNames: ['result'],
    registers: [this.registry],
  });
  readonly installReady = new Gauge({
    name: 'istio_cni_install_ready',
    help: 'Whether the CNI plugin is installed and configured (1) or not (0).',
    registers: [this.registry],
  });
  readonly pluginRequests = new Counter({
    name: 'istio_cni_plugin_requests_total',
    help: 'Requests of the CNI plugin by answered status.',
    labelNames: ['response_code'],
    registers: [this.registry],
  });
  readonly reconcileEvents = new Counter({
    name: 'nodeagent_reconcile_events_total',
    help: 'Pod events handled, by type; drift is a repaired rule.',
    labelNames: ['type'],
    registers: [this.registry],
  });
  readonly ztunnelConnected = new Gauge({
    name: 'ztunnel_connected',
    help: 'Number of node proxies connected to the agent.',
    registers: [this.registry],
  });
}
