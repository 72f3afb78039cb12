import { HttpServer, jsonAnswer, route } from '../../process/http-server.js';
import { metricsHandler } from '../../process/metrics-handler.js';
import type { Readiness } from '../../process/readiness.js';
import { everyAddress } from '../../system/every-address.js';
import type { AgentConfig } from '../config.js';
import type { AgentParts } from './agent-parts.js';
import { findLeftovers } from './cleanup.js';
import { probeRoutes } from '../probe/probe-routes.js';
import { reportEnrollment } from './enrollment-report.js';

/** Serves health, metrics, and on the pod's loopback what people and `meshctl` ask. Rejects when a port is taken. */
export async function serveAdmin(
  config: AgentConfig,
  parts: AgentParts,
  readiness: Readiness,
): Promise<readonly HttpServer[]> {
  const everywhere = [everyAddress()];
  const { node, metrics, agent, mesh, pods, zds, installer, probes } = parts;
  const enrollment = async ({ query }: { readonly query: URLSearchParams }) =>
    jsonAnswer(
      200,
      await reportEnrollment(
        {
          nodeName: config.nodeName,
          agent,
          mesh,
          redirection: node.redirection,
          hostProbes: node.hostProbes,
          pods: () => pods.list(),
          connectionCount: () => zds.connectionCount,
        },
        { namespace: query.get('namespace') ?? undefined, pod: query.get('pod') ?? undefined },
      ),
    );
  return [
    await HttpServer.listen(
      { hosts: everywhere, port: config.healthPort },
      route('GET', '/healthz', () => ({ status: 200, body: 'ok\n' })),
      readiness.handler('/readyz', 503),
    ),
    await HttpServer.listen(
      { hosts: everywhere, port: config.monitoringPort },
      metricsHandler(metrics.registry, { layout: 'prometheus' }),
    ),
    await HttpServer.listen(
      { hosts: ['127.0.0.1'], port: config.adminPort },
      route('GET', '/debug/enrollment', enrollment),
      route('GET', '/debug/leftovers', async () =>
        jsonAnswer(200, { node: config.nodeName, left: await findLeftovers(node, installer) }),
      ),
      ...probeRoutes(probes),
    ),
  ];
}
