import { type OpenMetricsContentType, Registry } from 'prom-client';
import type { Handler } from './http-server.js';

const openMetrics = 'application/openmetrics-text';

/** Serves the registry on `/metrics` and `/stats/prometheus`, always in OpenMetrics layout, as upstream does. */
export function metricsHandler(registry: Registry, refresh: () => void): Handler {
  // The typings tie the content type to the registry's type parameter; at run time it is a setting.
  (registry as unknown as Registry<OpenMetricsContentType>).setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
  return async (request, url) => {
    if (url.pathname !== '/metrics' && url.pathname !== '/stats/prometheus') return undefined;
    refresh();
    const isOpenMetrics = (request.headers.accept ?? '').includes(openMetrics);
    return {
      status: 200,
      contentType: isOpenMetrics ? `${openMetrics};charset=utf-8;version=1.0.0` : 'text/plain; charset=utf-8',
      body: await registry.metrics(),
    };
  };
}
