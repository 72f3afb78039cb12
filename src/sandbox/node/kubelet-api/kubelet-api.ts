import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { Duplex } from 'node:stream';
import { messageOf } from '#base/errors/mesh-error.js';
import { listenTcp } from '#base/system/socket.js';
import type { Logger } from '#base/telemetry/log.js';
import { KubeletGatewayError } from '../../base/kubelet-gateway.js';
import { StreamAcceptor, UnknownProtocolError } from '../../streaming/stream-acceptor.js';
import { NodeGateway } from '../gateway/node-gateway.js';
import type { Kubelet } from '../kubelet/kubelet.js';
import { refusalOf } from './caller.js';
import { serveLogs } from './logs.js';
import { parsePodRoute, type PodName, type PodRoute } from './pod-routes.js';

/** Every kubelet's port; the Node object says so too. */
export const kubeletPort = 10_250;

/** What a kubelet serves with, and whose clients it believes. */
export interface KubeletCertificate {
  readonly certPem: string;
  readonly keyPem: string;
  readonly caPem: string;
}

export interface KubeletApiOptions {
  readonly kubelet: Kubelet;
  /** Network namespace of the node. */
  readonly netns: number;
  readonly host: '0.0.0.0' | '::';
  readonly serving: KubeletCertificate;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** The request line and headers of one request, as Go's servers take them. */
const requestHeadMaxBytes = 1024 * 1024;

/**
 * The HTTPS API by which kube-apiserver reaches a node's containers. Callers are API
 * servers with a certificate of the cluster's CA; nobody else gets further than 401 or 403.
 */
export function startKubeletApi(o: KubeletApiOptions): void {
  const { kubelet, logger, signal } = o;
  const gateway = new NodeGateway(() => [kubelet]);
  const acceptor = new StreamAcceptor(logger);
  const server = createServer({
    cert: o.serving.certPem,
    key: o.serving.keyPem,
    ca: o.serving.caPem,
    requestCert: true,
    // Strangers read a 401 instead of a broken handshake.
    rejectUnauthorized: false,
    ALPNProtocols: ['http/1.1'],
    minVersion: 'TLSv1.2',
    // Commands to execute come in the URL.
    maxHeaderSize: requestHeadMaxBytes,
  });
  server.requestTimeout = 0;
  // An idle connection that is kept would hide from its client that the node was cut off meanwhile.
  server.maxRequestsPerSocket = 1;

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const refusal = refusalOf(request);
    if (refusal !== undefined) return answer(response, refusal.status, refusal.message);
    const { pathname, searchParams } = new URL(request.url ?? '/', 'https://node');
    if (pathname === '/healthz') return answer(response, 200, 'ok');
    if (pathname === '/metrics') return answer(response, 200, metrics(kubelet));
    if (pathname === '/pods') {
      const items = kubelet.pods();
      const list = { kind: 'PodList', apiVersion: 'v1', metadata: {}, items };
      return answer(response, 200, JSON.stringify(list), 'application/json');
    }
    const route = parsePodRoute(pathname);
    if (route?.action !== 'containerLogs') return answer(response, 404, '404 page not found\n');
    const target = targetOf(kubelet, route.pod);
    await serveLogs(response, {
      gateway,
      target: { ...target, container: route.container },
      query: searchParams,
    });
  };
  server.on('request', (request, response) => {
    serve(request, response).catch((error: unknown) => {
      if (response.headersSent) response.destroy();
      else answer(response, statusOf(error), messageOf(error));
    });
  });
  server.on('upgrade', (request, socket: Duplex, head) => {
    socket.on('error', () => socket.destroy());
    try {
      const refusal = refusalOf(request);
      if (refusal !== undefined) return refuse(socket, refusal.status, refusal.message);
      const { pathname, searchParams } = new URL(request.url ?? '/', 'https://node');
      const route = parsePodRoute(pathname);
      if (route === undefined || route.action === 'containerLogs')
        return refuse(socket, 404, '404 page not found\n');
      stream({ request, socket, head }, route, searchParams);
    } catch (error) {
      refuse(socket, statusOf(error), messageOf(error));
    }
  });
  const stream = (
    upgrade: { request: IncomingMessage; socket: Duplex; head: Buffer },
    route: PodRoute,
    query: URLSearchParams,
  ): void => {
    const target = targetOf(kubelet, route.pod);
    const gone = new AbortController();
    upgrade.socket.once('close', () => gone.abort());
    if (route.action === 'portForward') {
      const ports = query.getAll('port').map(Number);
      acceptor.acceptPorts(upgrade, ports, (port) => gateway.portForward({ ...target, port }, gone.signal));
      return;
    }
    const asks = (name: string): boolean => ['true', '1'].includes(query.get(name) ?? '');
    const hasTerminal = asks('tty');
    const request = { ...target, container: route.container, tty: hasTerminal };
    acceptor.acceptCommand(upgrade, {
      hasStdin: asks('input'),
      hasStdout: asks('output'),
      hasStderr: asks('error'),
      hasTerminal,
      run: (io) =>
        route.action === 'attach'
          ? gateway.attach(request, io, gone.signal)
          : gateway.exec({ ...request, command: query.getAll('command') }, io, gone.signal),
      describe: (error) => ({
        kind: 'Status',
        apiVersion: 'v1',
        metadata: {},
        status: 'Failure',
        message: `Internal error occurred: ${messageOf(error)}`,
        reason: 'InternalError',
        details: { causes: [{ message: messageOf(error) }] },
        code: 500,
      }),
    });
  };
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  server.on('error', (error) => logger.error('kubelet API ended', { error: error.message }));
  server.listen({ fd: listenTcp({ netns: o.netns, host: o.host, port: kubeletPort }) });
  const close = (): void => {
    server.close();
    server.closeAllConnections();
  };
  if (signal.aborted) close();
  else signal.addEventListener('abort', close, { once: true });
}

function targetOf(
  kubelet: Kubelet,
  { namespace, name, uid }: PodName,
): { namespace: string; pod: string; uid: string } {
  const pod = kubelet.pods().find((p) => p.metadata.namespace === namespace && p.metadata.name === name);
  if (pod === undefined || (uid !== undefined && uid !== pod.metadata.uid))
    throw new KubeletGatewayError(404, `pod does not exist`);
  return { namespace, pod: name, uid: pod.metadata.uid };
}

function statusOf(error: unknown): number {
  if (error instanceof UnknownProtocolError) return 403;
  return error instanceof KubeletGatewayError ? error.httpStatus : 500;
}

function answer(response: ServerResponse, status: number, body: string, type = 'text/plain'): void {
  response.writeHead(status, { 'content-type': `${type}; charset=utf-8` }).end(body);
}

function refuse(socket: Duplex, status: number, body: string): void {
  const bytes = Buffer.byteLength(body);
  socket.end(
    `HTTP/1.1 ${status} Refused\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${bytes}\r\nConnection: close\r\n\r\n${body}`,
  );
}

function metrics(kubelet: Kubelet): string {
  return [
    '# HELP kubelet_running_pods Number of pods that have a running pod sandbox',
    '# TYPE kubelet_running_pods gauge',
    `kubelet_running_pods ${kubelet.podCount}`,
    '',
  ].join('\n');
}
