import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { toJson } from '@bufbuild/protobuf';
import { AuthorizationSchema } from '../../xds/gen/istio/authorization_pb.js';
import { ServiceSchema, WorkloadSchema } from '../../xds/gen/istio/workload_pb.js';
import { AuthorizationPolicySchema } from '../../xds/gen/meshctl/l7_pb.js';
import type { DeltaXdsServer } from '../../xds/server/server.js';
import type { AmbientIndex } from '../model/ambient-index.js';
import type { ControllerMetrics } from './controller-metrics.js';
import type { TokenAuthenticator } from './token-authenticator.js';

export interface DebugHttpDeps {
  readonly isReady: () => boolean;
  readonly version: string;
  readonly index: AmbientIndex;
  readonly xds: DeltaXdsServer;
  readonly metrics: ControllerMetrics;
  readonly authenticator: TokenAuthenticator;
  readonly systemNamespace: string;
}

const requestTimeoutMs = 10_000;

/** Readiness, version, metrics and diagnostics on one port; resolves with the bound server. */
export function startDebugHttp(
  deps: DebugHttpDeps,
  at: { readonly host: string; readonly port: number },
): Promise<Server> {
  const server = createServer({ requestTimeout: requestTimeoutMs }, (request, response) => {
    answer(deps, request, response).catch(() => {
      if (!response.headersSent) response.writeHead(500);
      response.end();
    });
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ ...at }, () => resolve(server));
  });
}

async function answer(
  deps: DebugHttpDeps,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = (request.url ?? '/').split('?')[0] ?? '/';
  if (request.method !== 'GET' && request.method !== 'HEAD') return send(response, 405, 'only GET\n');
  switch (path) {
    case '/ready':
      return deps.isReady() ? send(response, 200, '') : send(response, 503, 'the cluster is not read yet\n');
    case '/version':
      return send(response, 200, deps.version);
    case '/metrics':
      response.setHeader('content-type', deps.metrics.registry.contentType);
      return send(response, 200, await deps.metrics.registry.metrics());
    default:
      break;
  }
  const page = pages[path];
  if (page === undefined) return send(response, 404, 'not found\n');
  const refusal = await refuse(deps, request);
  if (refusal !== undefined) return send(response, refusal.status, refusal.text);
  response.setHeader('content-type', 'application/json');
  return send(response, 200, `${JSON.stringify(page(deps), undefined, 2)}\n`);
}

const pages: Readonly<Record<string, (deps: DebugHttpDeps) => unknown>> = {
  '/debug': () => Object.keys(pages),
  '/debug/list': () => Object.keys(pages),
  '/debug/ambientz': ({ index }) => ({
    workloads: [...index.podWorkloads.list(), ...index.endpointWorkloads.list()].map(({ message }) =>
      toJson(WorkloadSchema, message),
    ),
    services: index.services.list().map(({ message }) => toJson(ServiceSchema, message)),
    policies: index.authorizations.flatMap((c) =>
      c.list().map(({ message }) => toJson(AuthorizationSchema, message)),
    ),
    l7Policies: index.l7Policies
      .list()
      .map(({ gateway, message }) => ({ gateway, policy: toJson(AuthorizationPolicySchema, message) })),
  }),
  '/debug/syncz': ({ xds }) =>
    xds.connections.map(({ peer, connectedAtMs, connection }) => ({
      proxy: connection.subscriber.nodeId.split('~')[2] ?? connection.subscriber.nodeId,
      proxy_type: connection.subscriber.nodeId.split('~')[0] ?? '',
      peer,
      connectedAt: new Date(connectedAtMs).toISOString(),
      isCaughtUp: connection.isCaughtUp,
      resources: Object.fromEntries(
        [...connection.status()].map(([typeUrl, s]) => [
          typeUrl,
          {
            sent: s.sentVersion,
            acked: s.ackedVersion,
            sentTime: s.sentAtMs === undefined ? null : new Date(s.sentAtMs).toISOString(),
            ackedTime: s.ackedAtMs === undefined ? null : new Date(s.ackedAtMs).toISOString(),
            rejects: s.rejectCount,
            lastError: s.lastError ?? null,
          },
        ]),
      ),
    })),
};

/** Diagnostics are for callers on the pod's own loopback (port-forward) and for the system namespace. */
async function refuse(
  deps: DebugHttpDeps,
  request: IncomingMessage,
): Promise<{ status: number; text: string } | undefined> {
  const remote = request.socket.remoteAddress ?? '';
  if (remote === '127.0.0.1' || remote === '::1' || remote === '::ffff:127.0.0.1') return undefined;
  const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
  if (token === undefined) return { status: 401, text: 'a service account token is needed\n' };
  try {
    const caller = await deps.authenticator.authenticate(token);
    if (caller === undefined) return { status: 401, text: 'the token is not accepted\n' };
    return caller.namespace === deps.systemNamespace
      ? undefined
      : { status: 403, text: 'only for the system namespace\n' };
  } catch {
    return { status: 503, text: 'the token cannot be checked now\n' };
  }
}

function send(response: ServerResponse, status: number, body: string): void {
  if (!response.hasHeader('content-type')) response.setHeader('content-type', 'text/plain; charset=utf-8');
  response.writeHead(status);
  response.end(body);
}
