import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { familyOf } from '#base/net/address.js';
import type { KubeClient } from '#base/kube/client.js';
import { endpointSlices, namespaces, services } from '#base/kube/resource.js';
import type { EndpointSlice, Namespace, Service } from '#base/kube/types.js';
import { bindUdp, listenTcp, type SocketOptions } from '#base/system/socket.js';
import { createLogger } from '#base/telemetry/log.js';
import { messageOf } from '#base/errors/mesh-error.js';
import { ClusterCaches } from '../cache/cluster-caches.js';
import type { ZoneSource } from './records.js';
import { respond } from './responder.js';

const connectionsMax = 256;
const idleMs = 10_000;
/** No query is longer; a connection that announces more is closed. */
const queryMaxBytes = 4096;

export interface DnsOptions {
  readonly client: KubeClient;
  readonly signal: AbortSignal;
  readonly listen: SocketOptions & { readonly host: string; readonly port: number };
  /** Default `cluster.local`. */
  readonly clusterDomain?: string;
  readonly caches?: ClusterCaches;
}

/** A running DNS server. */
export interface DnsServer {
  /** Resolves when it answers from complete knowledge; until then names in the cluster are SERVFAIL. */
  readonly ready: Promise<void>;
  /** Resolves after the signal when both sockets are closed. */
  readonly done: Promise<void>;
}

/**
 * Serves the cluster's names over UDP and TCP. Rejects with a SystemCallError
 * when the address cannot be bound.
 */
export async function startDns(o: DnsOptions): Promise<DnsServer> {
  const { signal } = o;
  const caches = o.caches ?? new ClusterCaches({ client: o.client, signal });
  const domain = (o.clusterDomain ?? 'cluster.local').toLowerCase();
  const zone = zoneOf(caches);
  let isReady = false;
  const ready = zone.synced.then(() => {
    isReady = true;
  });
  const log = createLogger('cluster::dns');
  const reply = (message: Buffer, isTcp: boolean): Buffer | undefined => {
    if (!isReady) return serverFailure(message);
    try {
      return respond(message, { domain, source: zone.source, isTcp });
    } catch (error) {
      // A record that cannot be encoded (a bad ExternalName) fails its own query only.
      log.warn('query failed', { error: messageOf(error) });
      return serverFailure(message);
    }
  };
  const udp = await startUdp(o.listen, (message) => reply(message, false));
  let tcp: TcpListener;
  try {
    tcp = await startTcp(o.listen, (message) => reply(message, true));
  } catch (error) {
    udp.close();
    throw error;
  }
  const done = (async () => {
    if (!signal.aborted) await once(signal, 'abort');
    udp.close();
    await tcp.close();
  })();
  return { ready, done };
}

function zoneOf(caches: ClusterCaches): { readonly source: ZoneSource; readonly synced: Promise<void> } {
  const allServices = caches.of<Service>(services);
  const allSlices = caches.of<EndpointSlice>(endpointSlices);
  const allNamespaces = caches.of<Namespace>(namespaces);
  return {
    synced: Promise.all([allServices.synced(), allSlices.synced(), allNamespaces.synced()]).then(
      () => undefined,
    ),
    source: {
      service: (namespace, name) => allServices.get(namespace, name),
      services: () => allServices.list(),
      slices: (namespace, service) =>
        allSlices
          .inNamespace(namespace)
          .filter((slice) => slice.metadata.labels?.['kubernetes.io/service-name'] === service),
      namespace: (name) => allNamespaces.get(undefined, name),
    },
  };
}

type Reply = (message: Buffer) => Buffer | undefined;

async function startUdp(listen: DnsOptions['listen'], reply: Reply): Promise<UdpSocket> {
  const socket = createSocket(familyOf(listen.host) === 'IPv6' ? 'udp6' : 'udp4');
  socket.on('message', (message: Buffer, from: RemoteInfo) => {
    const answer = reply(message);
    // A client that is gone is told nothing.
    if (answer !== undefined) socket.send(answer, from.port, from.address, () => undefined);
  });
  const bound = once(socket, 'listening');
  socket.bind({ fd: bindUdp(listen) });
  await bound;
  socket.on('error', () => undefined);
  return socket;
}

interface TcpListener {
  close(): Promise<void>;
}

async function startTcp(listen: DnsOptions['listen'], reply: Reply): Promise<TcpListener> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    serveTcp(socket, reply);
  });
  server.maxConnections = connectionsMax;
  server.listen({ fd: listenTcp(listen) });
  await once(server, 'listening');
  return {
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** Reads messages with their two-byte length (RFC 1035 4.2.2) and answers them in order. */
function serveTcp(socket: Socket, reply: Reply): void {
  let buffered = Buffer.alloc(0);
  socket.setTimeout(idleMs, () => socket.destroy());
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk: Buffer) => {
    buffered = Buffer.concat([buffered, chunk]);
    while (buffered.length >= 2) {
      const length = buffered.readUInt16BE(0);
      if (length > queryMaxBytes) {
        socket.destroy();
        return;
      }
      if (buffered.length < 2 + length) return;
      const answer = reply(Buffer.from(buffered.subarray(2, 2 + length)));
      buffered = buffered.subarray(2 + length);
      if (answer === undefined) {
        socket.destroy();
        return;
      }
      const prefix = Buffer.alloc(2);
      prefix.writeUInt16BE(answer.length);
      // A reader that does not read is not worth memory.
      if (!socket.write(Buffer.concat([prefix, answer]))) {
        socket.pause();
        socket.once('drain', () => socket.resume());
      }
    }
  });
}

function serverFailure(message: Buffer): Buffer | undefined {
  const headerBytes = 12;
  const servfail = 2;
  if (message.length < headerBytes || (message.readUInt8(2) & 0x80) !== 0) return undefined;
  const reply = Buffer.alloc(headerBytes);
  reply.writeUInt16BE(message.readUInt16BE(0), 0);
  reply.writeUInt16BE(0x8000 | servfail, 2);
  return reply;
}
