import type { Socket } from 'node:net';
import { messageOf } from '#base/errors/mesh-error.js';
import { ipFamilyOf } from '#base/net/address.js';
import type { HostPort } from '#base/net/authority.js';
import { connectTcp, originalDestination } from '#base/system/socket.js';
import { createLogger } from '#base/telemetry/log.js';
import { forwardedClient, forwardedHost } from '../../hbone/forwarded.js';
import { type ConnectRequest, remoteAddress, localAddress } from '../../hbone/server.js';
import { parseSpiffe } from '../../identity/spiffe.js';
import type { L4Connection } from '../../policy/l4/compile.js';
import { breakOff } from '../../system/break-off.js';
import { copyBoth } from '../../system/copy.js';
import { listenerPorts, resolveInbound } from '../routing/inbound.js';
import type { KnownService, KnownWorkload } from '../../view/known.js';
import { type ConnectionInfo, ProxiedConnection, recordEarlyFailure, recordFailure } from './connection.js';
import type { ProxyContext } from './proxy-context.js';
import { baggageOf } from './request-headers.js';

const log = createLogger('inbound');

/** Proxies one CONNECT that arrived on 15008. */
export async function serveInboundHbone(context: ProxyContext, request: ConnectRequest): Promise<void> {
  const early = (status: number, error: string): void => {
    const { remote: source, local: destination } = request;
    recordEarlyFailure(context, { direction: 'inbound', source, destination, error });
    request.reject(status);
  };
  const workload = context.workload();
  if (workload === undefined) {
    early(503, 'the control plane does not know this workload');
    return;
  }
  const { authority, local } = request;
  const target = resolveInbound(context.view, { authority, local, workload });
  if (target.kind === 'refuse') {
    early(target.status, target.reason);
    return;
  }
  const { destination } = target;
  const service =
    target.service ??
    attributedService(context, workload, destination, forwardedHost(request.headers['forwarded']));
  const info: ConnectionInfo = {
    direction: 'inbound',
    source: request.remote,
    sourceWorkload: context.view.workloadAt(workload.network, request.remote.host),
    sourceIdentity: request.peer,
    destination: local,
    actualDestination: destination,
    originalDestination: forwardedHost(request.headers['forwarded']) ?? null,
    destinationWorkload: workload,
    destinationIdentity: workload.identity,
    hboneAuthority: authority,
    service,
    tls: request.tls,
    client: forwardedClient(request.headers['forwarded']),
  };
  await admit(context, {
    info,
    workload,
    connection: {
      sourceIp: request.remote.host,
      destinationIp: destination.host,
      destinationPort: destination.port,
      identity: parseSpiffe(request.peer),
    },
    signal: request.signal,
    refuse: (kind) => request.reject(kind === 'denied' ? 401 : 503),
    accept: () => request.accept({ baggage: baggageOf(workload) }),
  });
}

/** Proxies one plaintext connection that was redirected to 15006. */
export async function serveInboundPlaintext(context: ProxyContext, socket: Socket): Promise<void> {
  const source = remoteAddress(socket);
  const destination = originalDestination(socket) ?? localAddress(socket);
  const workload = context.workload();
  const problem =
    workload === undefined
      ? 'the control plane does not know this workload'
      : listenerPorts.has(destination.port)
        ? `port ${destination.port} belongs to the proxy`
        : undefined;
  if (workload === undefined || problem !== undefined) {
    const error = problem ?? 'unknown';
    recordEarlyFailure(context, { direction: 'inbound', source, destination, error });
    breakOff(socket);
    return;
  }
  const gone = new AbortController();
  socket.once('close', () => gone.abort(new Error('the client closed the connection')));
  const info: ConnectionInfo = {
    direction: 'inbound',
    source,
    sourceWorkload: context.view.workloadAt(workload.network, source.host),
    sourceIdentity: undefined,
    destination,
    actualDestination: destination,
    originalDestination: null,
    destinationWorkload: workload,
    destinationIdentity: undefined,
    hboneAuthority: undefined,
    service: attributedService(context, workload, destination, undefined),
    tls: undefined,
  };
  await admit(context, {
    info,
    workload,
    connection: {
      sourceIp: source.host,
      destinationIp: destination.host,
      destinationPort: destination.port,
      identity: undefined,
    },
    signal: gone.signal,
    refuse: () => breakOff(socket),
    accept: () => socket,
  });
}

interface Admission {
  readonly info: ConnectionInfo;
  readonly workload: KnownWorkload;
  readonly connection: L4Connection;
  readonly signal: AbortSignal;
  readonly refuse: (kind: 'denied' | 'unreachable') => void;
  readonly accept: () => Socket | ReturnType<ConnectRequest['accept']>;
}

/** Policy check, connection to the application, copying, result record. */
async function admit(context: ProxyContext, o: Admission): Promise<void> {
  const startMs = performance.now();
  const { info, workload } = o;
  let severedFor: string | undefined;
  const severed = new AbortController();
  // Watched before the first check: a policy that arrives in between is not missed.
  const release = context.connections.guard({
    subject: () => context.workload() ?? workload,
    connection: o.connection,
    sever: (reason) => {
      severedFor = reason;
      severed.abort(new Error(`closed due to policy change: ${reason}`));
    },
  });
  try {
    await context.policies.arrived(workload, o.signal);
    const decision = context.policies.authorize(workload, o.connection);
    for (const key of decision.dryRun) log.debug('dry-run policy matched', { policy: key });
    if (!decision.isAllowed) {
      const error = `connection closed due to policy rejection: ${decision.reason ?? 'denied'}`;
      recordFailure(context, info, { flag: 'DENY', error });
      o.refuse('denied');
      return;
    }
    let app: Socket;
    try {
      app = await dialApplication(context, {
        destination: info.actualDestination,
        client: info.source,
        signal: AbortSignal.any([o.signal, severed.signal]),
      });
    } catch (error) {
      const isDenied = severedFor !== undefined;
      recordFailure(context, info, {
        flag: isDenied ? 'DENY' : 'CONNECT',
        error: messageOf(error),
      });
      o.refuse(isDenied ? 'denied' : 'unreachable');
      return;
    }
    const downstream = o.accept();
    const connection = new ProxiedConnection(
      { ...info, setupMs: performance.now() - startMs },
      context.traffic,
      (c) => context.connections.remove(c),
    );
    context.connections.add(connection);
    const cut = (): void => {
      breakOff(downstream);
      breakOff(app);
    };
    severed.signal.addEventListener('abort', cut, { once: true });
    await copyBoth(downstream, app, connection.counters);
    if (severedFor === undefined) connection.close();
    else connection.close({ flag: 'DENY', error: `connection closed due to policy change: ${severedFor}` });
  } finally {
    release();
  }
}

/** Connects to the application, from the client's own address where that is possible. */
async function dialApplication(
  context: ProxyContext,
  o: { destination: HostPort; client: HostPort; signal: AbortSignal },
): Promise<Socket> {
  const { destination, client, signal } = o;
  const base = { ...destination, netns: context.netns, mark: context.mark, signal };
  const isSameFamily = ipFamilyOf(client.host) === ipFamilyOf(destination.host);
  if (context.preservesSource && isSameFamily && client.host !== destination.host) {
    try {
      return await connectTcp({ ...base, bindHost: client.host, transparent: true, freebind: true });
    } catch (error) {
      const call = error instanceof Error && 'syscall' in error ? error.syscall : undefined;
      if (call !== 'bind' && call !== 'setsockopt') throw error;
      log.warn('the application sees the proxy as client', { error: messageOf(error) });
    }
  }
  return await connectTcp(base);
}

/** The service a connection counts for: the one the client named, else the first whose target port it is. */
function attributedService(
  context: ProxyContext,
  workload: KnownWorkload,
  { host: ip, port }: HostPort,
  calledHostname: string | undefined,
): KnownService | undefined {
  let byPort: KnownService | undefined;
  for (const [key, ports] of context.view.servicesBehind(workload, ip)) {
    const service = context.view.service(key);
    if (service === undefined) continue;
    if (service.hostname === calledHostname) return service;
    if (byPort === undefined && [...ports.values()].includes(port)) byPort = service;
  }
  return byPort;
}
