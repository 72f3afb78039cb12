import { type Answer, type Handler, jsonAnswer, route } from '../../process/http-server.js';
import { parseProbeHttpRequest, parseProbeRequest, parseProbeTlsRequest } from './probe-request.js';
import { probeTls } from './probe-tls.js';
import { ProbeRefusal, type Probes } from './probes.js';

const sessionsMax = 4;

/**
 * What `meshctl probe` asks of an agent. `POST /debug/probe` opens a connection from inside a pod and holds it;
 * `/debug/probe/state`, `/get` and `/close`, with its `id`, tell of it, use it and end it. `/debug/probe/tls` opens a
 * TLS session of the agent's own. For the admin port only, which is on the pod's loopback: whoever may port-forward
 * into the namespace of the mesh may ask.
 */
export function probeRoutes(probes: Probes): readonly Handler[] {
  let sessionCount = 0;
  return [
    route('POST', '/debug/probe', ({ body }) =>
      answering(async () => jsonAnswer(200, await probes.open(parseProbeRequest(body)))),
    ),
    route('GET', '/debug/probe/state', ({ query }) => found(probes.state(query.get('id') ?? ''))),
    route('POST', '/debug/probe/get', ({ query, body }) =>
      answering(async () => found(await probes.get(query.get('id') ?? '', parseProbeHttpRequest(body)))),
    ),
    route('POST', '/debug/probe/close', ({ query }) =>
      jsonAnswer(200, { wasHeld: probes.close(query.get('id') ?? '') }),
    ),
    route('POST', '/debug/probe/tls', ({ body }) =>
      answering(async () => {
        const request = parseProbeTlsRequest(body);
        if (sessionCount >= sessionsMax) throw new ProbeRefusal(429, 'too many probes are under way already');
        sessionCount++;
        try {
          return jsonAnswer(200, await probeTls(request));
        } finally {
          sessionCount--;
        }
      }),
    ),
  ];
}

function found(value: unknown): Answer {
  return value === undefined
    ? jsonAnswer(404, { error: 'no connection with this id is held' })
    : jsonAnswer(200, value);
}

async function answering(answer: () => Promise<Answer>): Promise<Answer> {
  try {
    return await answer();
  } catch (error) {
    if (error instanceof TypeError) return jsonAnswer(400, { error: error.message });
    if (error instanceof ProbeRefusal) return jsonAnswer(error.status, { error: error.message });
    throw error;
  }
}
