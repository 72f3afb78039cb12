import { Server, ServerCredentials, status, type ServerOptions } from '@grpc/grpc-js';
import type { DeltaXdsServer, AdmitStream } from '../../xds/server/server.js';
import { StreamRefused } from '../../xds/server/server.js';
import type { Subscriber } from '../../xds/server/source.js';
import { callerFrom } from './call-credentials.js';
import { certificateService, type CertificateServiceDeps } from './certificate-service.js';
import { podOfNode } from '../../xds/server/node-id.js';
import type { ServingIdentity } from './serving-identity.js';
import { statusService, type StatusServiceDeps } from './status-service.js';
import type { Caller } from './token-authenticator.js';

/** Largest request taken: a reconnecting client lists everything it holds, about 1 MiB per 10 000 resources. */
const maxRequestBytes = 64 * 1024 * 1024;

const serverOptions: ServerOptions = {
  'grpc.max_receive_message_length': maxRequestBytes,
  // A response holds the whole mesh on a first request; the client sets its own limit.
  'grpc.max_send_message_length': -1,
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.max_concurrent_streams': 100_000,
};

export interface GrpcServersDeps {
  readonly xds: DeltaXdsServer;
  readonly certificates: CertificateServiceDeps;
  readonly status: Omit<StatusServiceDeps, 'xds' | 'authenticator'>;
  readonly serving: ServingIdentity;
  /** Connections are asked to reconnect after this long, in milliseconds; undefined: never. */
  readonly maxConnectionAgeMs: number | undefined;
}

export interface GrpcListenAddresses {
  /** `host:port` of the plaintext server; undefined: none. */
  readonly plaintext: string | undefined;
  readonly secure: string;
}

/** The bound servers. */
export interface GrpcServers {
  readonly plaintextPort: number | undefined;
  readonly securePort: number;
  /** Refuses new calls, ends streams, and resolves when calls are done or the deadline passed. */
  close(deadlineMs: number): Promise<void>;
}

/**
 * Starts the two gRPC servers. The plaintext one serves xDS without authentication, as upstream; the
 * TLS one serves xDS and certificates to callers with a service account token.
 */
export async function startGrpcServers(
  deps: GrpcServersDeps,
  listen: GrpcListenAddresses,
): Promise<GrpcServers> {
  const options: ServerOptions = {
    ...serverOptions,
    ...(deps.maxConnectionAgeMs === undefined
      ? {}
      : {
          'grpc.max_connection_age_ms': deps.maxConnectionAgeMs,
          'grpc.max_connection_age_grace_ms': 10_000,
        }),
  };
  const servers: Server[] = [];
  const start = async (address: string, credentials: ServerCredentials, admit: AdmitStream) => {
    const server = new Server(options);
    const xds = deps.xds.service(admit);
    server.addService(xds.definition, xds.implementation);
    if (credentials._isSecure()) {
      const certificates = certificateService(deps.certificates);
      server.addService(certificates.definition, certificates.implementation);
      const { authenticator } = deps.certificates;
      const proxyStatus = statusService({ ...deps.status, xds: deps.xds, authenticator });
      server.addService(proxyStatus.definition, proxyStatus.implementation);
    }
    const port = await bind(server, { address, credentials });
    servers.push(server);
    return port;
  };
  const secure = deps.serving.credentials();
  const securePort = await start(listen.secure, secure, (call, subscriber) =>
    admitAuthenticated(deps, { metadata: call.metadata, subscriber }),
  );
  const plaintextPort =
    listen.plaintext === undefined
      ? undefined
      : await start(listen.plaintext, ServerCredentials.createInsecure(), () => Promise.resolve());
  return {
    plaintextPort,
    securePort,
    close: async (deadlineMs) => {
      deps.xds.close();
      await Promise.all(servers.map((server) => shutdown(server, deadlineMs)));
    },
  };
}

async function admitAuthenticated(
  deps: GrpcServersDeps,
  stream: { readonly metadata: Parameters<typeof callerFrom>[0]; readonly subscriber: Subscriber },
): Promise<void> {
  let caller: Caller | undefined;
  try {
    caller = await callerFrom(stream.metadata, deps.certificates.authenticator);
  } catch {
    // The API server could not be asked: the client may be genuine and should retry.
    throw new StreamRefused(status.UNAVAILABLE, 'the token cannot be checked now');
  }
  if (caller === undefined) throw new StreamRefused(status.UNAUTHENTICATED, 'authentication failure');
  const problem = nodeMismatch(stream.subscriber, caller);
  if (problem !== undefined) throw new StreamRefused(status.PERMISSION_DENIED, problem);
}

/** Why a node is not the caller's; undefined when it is. The trust domain is not compared, as upstream. */
export function nodeMismatch(subscriber: Subscriber, caller: Caller): string | undefined {
  const { id = '', namespace } = podOfNode(subscriber);
  if (id === '' || namespace !== caller.namespace) {
    return `node ${subscriber.nodeId} is not in the caller's namespace ${caller.namespace}`;
  }
  const account = subscriber.metadata['SERVICE_ACCOUNT'];
  if (account !== undefined && account !== '' && account !== caller.serviceAccount) {
    return `node claims service account ${account}, the caller is ${caller.serviceAccount}`;
  }
  // A waypoint reads the policies of the Gateway it names, which must be its own namespace's.
  const gatewayNamespace = subscriber.metadata['GATEWAY_NAMESPACE'];
  if (gatewayNamespace !== undefined && gatewayNamespace !== '' && gatewayNamespace !== caller.namespace) {
    return `node claims a Gateway of namespace ${gatewayNamespace}`;
  }
  return undefined;
}

function bind(
  server: Server,
  to: { readonly address: string; readonly credentials: ServerCredentials },
): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(to.address, to.credentials, (error, port) => {
      if (error === null) resolve(port);
      else reject(error);
    });
  });
}

function shutdown(server: Server, deadlineMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, deadlineMs);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
