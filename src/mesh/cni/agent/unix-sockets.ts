import { join } from 'node:path';
import { messageOf } from '#base/errors/mesh-error.js';
import { createLogger } from '#base/telemetry/log.js';
import type { AgentConfig } from '../config.js';
import { HttpServer, jsonAnswer, route } from '../../process/http-server.js';
import type { AgentMetrics } from './agent-metrics.js';
import type { CleanupReport } from './cleanup.js';
import { parseCmdAdd, parseLogLines } from './plugin-events.js';
import type { StartingPods } from './starting-pods.js';

/** Socket on which `mesh-cni cleanup` reaches the running agent, below the run directory. */
export const controlSocketName = 'istio-cni-control.sock';

const pluginSocketMode = 0o666;
const controlSocketMode = 0o600;

/** Serves `mesh-cni cleanup`: POST /cleanup answers with the report. */
export function serveControl(
  config: AgentConfig,
  cleanUp: () => Promise<CleanupReport>,
): Promise<HttpServer> {
  return HttpServer.listen(
    { path: join(config.runDir, controlSocketName), mode: controlSocketMode },
    route('POST', '/cleanup', async () => jsonAnswer(200, await cleanUp())),
  );
}

/** Serves upstream's plugin, which asks over HTTP: its reports of starting pods, and its log lines. */
export async function servePlugin(
  config: AgentConfig,
  startingPods: StartingPods,
  metrics: AgentMetrics,
): Promise<readonly HttpServer[]> {
  const log = createLogger('cni-plugin');
  const answer = (status: number, body = '') => {
    metrics.pluginRequests.inc({ response_code: String(status) });
    return { status, body };
  };
  const events = await HttpServer.listen(
    { path: join(config.runDir, 'pluginevent.sock'), mode: pluginSocketMode },
    route('POST', '/cmdadd', async ({ body }) => {
      let event: ReturnType<typeof parseCmdAdd>;
      try {
        event = parseCmdAdd(body);
      } catch (error) {
        return answer(400, `${messageOf(error)}\n`);
      }
      try {
        await startingPods.admit(event);
        return answer(200);
      } catch (error) {
        log.warn('pod may not start yet', {
          pod: `${event.namespace}/${event.name}`,
          error: messageOf(error),
        });
        return answer(500, `${messageOf(error)}\n`);
      }
    }),
  );
  const logs = await HttpServer.listen(
    { path: join(config.runDir, 'log.sock'), mode: pluginSocketMode },
    route('POST', '/log', ({ body }) => {
      for (const { level, msg, time: _time, ...fields } of parseLogLines(body)) {
        if (level === 'error') log.error(String(msg), fields);
        else if (level === 'debug') log.debug(String(msg), fields);
        else log.info(String(msg), fields);
      }
      return { status: 200 };
    }),
  );
  return [events, logs];
}
