import { type OpenMetricsContentType, Registry } from 'prom-client';
import type { Handler } from './http-server.js';

const openMetrics = 'application/openmetrics-text';

export interface MetricsOptions {
  /**
   * `openmetrics`, as upstream's ztunnel writes whatever is asked for; `prometheus`, as upstream's Go programs do:
   * the other layout would add `_total` to the names of their counters.
   */
  readonly layout: 'openmetrics' | 'prometheus';
  /** Brings values up to date before they are read. */
  readonly refresh?: () => void;
}

/** Serves the registry on `/metrics` and `/stats/prometheus`. */
export function metricsHandler(registry: Registry, options: MetricsOptions): Handler {
  const isOpenMetrics = options.layout === 'openmetrics';
  // The typings tie the content type to the registry's type parameter; at run time it is a setting.
  if (isOpenMetrics)
    (registry as unknown as Registry<OpenMetricsContentType>).setContentType(
      Registry.OPENMETRICS_CONTENT_TYPE,
    );
  return async (request, url) => {
    if (url.pathname !== '/metrics' && url.pathname !== '/stats/prometheus') return undefined;
    options.refresh?.();
    const isAskedFor = isOpenMetrics && (request.headers.accept ?? '').includes(openMetrics);
    return {
      status: 200,
      contentType: isAskedFor
        ? `${openMetrics};charset=utf-8;version=1.0.0`
        : isOpenMetrics
          ? 'text/plain; charset=utf-8'
          : registry.contentType,
      body: await registry.metrics(),
    };
  };
}
