import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { messageOf } from '#base/errors/mesh-error.js';
import { formatHostPort, type HostPort } from '#base/net/authority.js';
import { isInRange } from '#base/net/ranges.js';
import { connectTcp, originalDestination } from '#base/system/socket.js';
import { HboneError } from '../../hbone/hbone-error.js';
import type { HbonePool } from '../../hbone/pool.js';
import { localAddress, remoteAddress } from '../../hbone/server.js';
import type { TlsInfo } from '../../hbone/tls.js';
import { breakOff } from '../../system/break-off.js';
import { copyBoth } from '../../system/copy.js';
import type { ResponseFlag } from '../../telemetry/traffic-metrics.js';
import { listenerPorts } from '../routing/inbound.js';
import { type OutboundRoute, resolveOutbound } from '../routing/outbound.js';
import { sameIdentities } from '../../rules/trust-domain.js';
import type { KnownWorkload } from '../../view/known.js';
import { type ConnectionInfo, ProxiedConnection, recordEarlyFailure, recordFailure } from './connection.js';
import type { ProxyContext } from './proxy-context.js';
import { baggageOf, forwardedOf, newTraceparent } from './request-headers.js';

/** Proxies one connection an application of the workload opened (arrived on 15001). */
export async function serveOutbound(
  context: ProxyContext & { pool: HbonePool },
  socket: Socket,
): Promise<void> {
  const startMs = performance.now();
  const client = remoteAddress(socket);
  const destination = originalDestination(socket) ?? localAddress(socket);
  const refuse = (error: string): void => {
    recordEarlyFailure(context, { direction: 'outbound', source: client, destination, error });
    breakOff(socket);
  };
  const isOwnListener = destination.host === client.host || isInRange(destination.host, 'loopback');
  if (isOwnListener && listenerPorts.has(destination.port)) {
    refuse('the connection leads back to the proxy itself');
    return;
  }
  const gone = abortOnClose(socket);
  const source = await context.workloadSoon(gone).catch(() => undefined);
  if (source === undefined) {
    refuse('the control plane does not know this workload');
    return;
  }
  const route = resolveOutbound(context.view, {
    source,
    destination,
    random: context.random,
    affinity: context.affinity,
  });
  const describe = (tls: TlsInfo | undefined): ConnectionInfo =>
    describeOutbound({ client, destination, source, route, tls });
  if (route.kind === 'refuse') {
    recordFailure(context, describe(undefined), { flag: 'CONNECT', error: route.reason });
    breakOff(socket);
    return;
  }
  let upstream: { stream: Duplex; tls: TlsInfo | undefined };
  try {
    upstream = await connectUpstream({ context, route, source, client, signal: gone });
  } catch (error) {
    const flag: ResponseFlag = error instanceof HboneError ? error.flag : flagOf(error);
    recordFailure(context, describe(undefined), { flag, error: messageOf(error) });
    breakOff(socket);
    return;
  }
  const info = { ...describe(upstream.tls), setupMs: performance.now() - startMs };
  const connection = new ProxiedConnection(info, context.traffic, (c) => context.connections.remove(c));
  context.connections.add(connection);
  await copyBoth(socket, upstream.stream, connection.counters);
  connection.close();
}

async function connectUpstream(o: {
  context: ProxyContext & { pool: HbonePool };
  route: Exclude<OutboundRoute, { kind: 'refuse' }>;
  source: KnownWorkload;
  client: HostPort;
  signal: AbortSignal;
}): Promise<{ stream: Duplex; tls: TlsInfo | undefined }> {
  const { context, route, source, client, signal } = o;
  if (route.kind === 'tcp') {
    const stream = await connectTcp({
      ...route.destination,
      netns: context.netns,
      mark: context.mark,
      signal,
    });
    return { stream, tls: undefined };
  }
  const credentials = await context.certificate.get(source.trustDomain, signal);
  const { stream, tls } = await context.pool.connect({
    destination: route.nextHop,
    authority: route.authority,
    headers: {
      baggage: baggageOf(source),
      forwarded: forwardedOf(client, route.service),
      traceparent: newTraceparent(),
    },
    credentials,
    expectedIdentities: route.expectedIdentities.flatMap((id) => sameIdentities(id, context.names)),
    sourceIp: client.host,
    signal,
  });
  return { stream, tls };
}

function describeOutbound(o: {
  client: HostPort;
  destination: HostPort;
  source: KnownWorkload;
  route: OutboundRoute;
  tls: TlsInfo | undefined;
}): ConnectionInfo {
  const { route, tls } = o;
  const next =
    route.kind === 'hbone' ? route.nextHop : route.kind === 'tcp' ? route.destination : o.destination;
  return {
    direction: 'outbound',
    source: o.client,
    sourceWorkload: o.source,
    sourceIdentity: o.source.identity,
    destination: next,
    actualDestination: next,
    originalDestination: formatHostPort(o.destination),
    destinationWorkload: route.workload,
    destinationIdentity: tls?.peer,
    hboneAuthority: route.kind === 'hbone' ? route.authority : undefined,
    service: route.service,
    tls,
  };
}

/** A signal that fires when the application hangs up while we are still connecting. */
function abortOnClose(socket: Socket): AbortSignal {
  const controller = new AbortController();
  socket.once('close', () => controller.abort(new Error('the application closed the connection')));
  return controller.signal;
}

function flagOf(error: unknown): ResponseFlag {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'MESH0501' ? 'IDENTITY_ERROR' : 'CONNECT';
}
