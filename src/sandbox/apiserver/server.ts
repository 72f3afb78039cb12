import { setMaxListeners } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { Logger } from '../../telemetry/log.js';
import {
  adminUser,
  type ApiServer,
  kubeconfigText,
  type Listener,
  servingNames,
} from '../control-plane/api-server.js';
import { AdmissionChain } from './admission/admission.js';
import { admissionPlugins } from './admission/plugins.js';
import { Authenticator } from './auth/authenticator.js';
import { ClusterPki } from './auth/pki.js';
import { ServiceAccountTokens } from './auth/service-account-tokens.js';
import { bootstrap } from './bootstrap.js';
import { startBuiltinControllers } from './controllers/builtin-controllers.js';
import { Discovery, kubernetesVersion } from './discovery/discovery.js';
import { OpenApi } from './discovery/openapi.js';
import { Dispatcher } from './http/dispatcher.js';
import { Reviews } from './http/reviews.js';
import { builtinResources } from './kinds/builtin-table.js';
import { ServiceAddresses } from './kinds/service-addresses.js';
import type { KubeletGateway } from './kubelet-gateway.js';
import { Authorizer } from './rbac/authorizer.js';
import { Operations } from './registry/operations.js';
import { Registry } from './registry/registry.js';
import { StateFile } from './storage/state-file.js';
import { Store } from './storage/store.js';
import { PodStreams } from './streaming/pod-streams.js';
import { Subresources } from './subresources/subresources.js';
import { PodLogs } from './subresources/pod-logs.js';

const listenBacklog = 1024;
/** How long open requests may take to end when the server closes. */
const closeTimeoutMs = 2_000;

export interface ApiServerOptions {
  readonly listeners: readonly Listener[];
  /** Address and port at which pods reach the server behind the `kubernetes` service. */
  readonly advertise: { readonly host: string; readonly port: number };
  /** Further names and IP addresses for the serving certificate. */
  readonly extraNames?: readonly string[];
  /** Range of cluster IPs, or one of each family (`10.96.0.0/16,fd00:10:96::/112`); the first address is the `kubernetes` service. Default 10.96.0.0/16. */
  readonly serviceCidr?: string;
  readonly clusterDomain?: string;
  /** Keeps the cluster CA and the token signing key. In memory only when absent. */
  readonly pkiDirectory?: string;
  /** Keeps the objects across restarts. In memory only when absent. */
  readonly stateFile?: string;
  /**
   * Priority classes that pods may only have in namespaces with a quota for them,
   * as on GKE. None when absent, as in Kubernetes by default.
   */
  readonly limitedPriorityClasses?: readonly string[];
  readonly kubelet: KubeletGateway;
  readonly logger: Logger;
}

/** Starts the API server: keys, stored state, bootstrap objects, built-in controllers, listeners. */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const { logger } = options;
  const domain = options.clusterDomain ?? 'cluster.local';
  const addresses = new ServiceAddresses(options.serviceCidr ?? '10.96.0.0/16');
  const pki = await ClusterPki.open(options.pkiDirectory);
  const store = new Store();
  const registry = new Registry();
  const stopping = new AbortController();
  setMaxListeners(0, stopping.signal); // one for each open request
  const issuer = `https://kubernetes.default.svc.${domain}`;
  const tokens = new ServiceAccountTokens({
    issuer,
    privateKeyPem: pki.tokenKeyPem,
    publicKeyPem: pki.tokenPublicKeyPem,
    reader: store,
  });
  const authorizer = new Authorizer(store);
  const admission = new AdmissionChain(
    admissionPlugins({
      store,
      registry,
      authorizer,
      addresses,
      caPem: pki.caPem,
      logger,
      limitedPriorityClasses: options.limitedPriorityClasses ?? [],
    }),
  );
  const operations = new Operations({ store, registry, admission });
  for (const resource of builtinResources()) registry.add(resource);

  const stateFile =
    options.stateFile === undefined
      ? undefined
      : new StateFile(options.stateFile, store, (error) => {
          logger.error('state was not saved', { file: options.stateFile, error: String(error) });
        });
  stateFile?.open();
  addresses.adopt(store);

  const controllers = startBuiltinControllers({
    operations,
    caPem: pki.caPem,
    logger,
    signal: stopping.signal,
  });
  await bootstrap(operations, options.advertise, addresses.first);
  admission.start();

  const reviews = new Reviews(authorizer, tokens);
  const subresources = new Subresources({ operations, tokens, logs: new PodLogs(options.kubelet) });
  const dispatcher = new Dispatcher({
    authenticator: new Authenticator(tokens),
    authorizer,
    registry,
    operations,
    discovery: new Discovery(registry, `${options.advertise.host}:${options.advertise.port}`),
    openApi: new OpenApi(registry),
    reviews,
    subresources,
    issuerDocuments: () => ({
      '/openid/v1/jwks': tokens.jwks(),
      '/.well-known/openid-configuration': {
        issuer,
        jwks_uri: `https://${options.advertise.host}:${options.advertise.port}/openid/v1/jwks`,
        response_types_supported: ['id_token'],
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['ES256'],
      },
    }),
    metrics: () => metricsText(store),
    logger,
  });
  const streams = new PodStreams({
    dispatcher,
    operations,
    kubelet: options.kubelet,
    logger,
    signal: stopping.signal,
  });

  const serving = await pki.issueServer(
    servingNames({
      clusterDomain: domain,
      serviceIp: addresses.first,
      advertiseHost: options.advertise.host,
      extraNames: options.extraNames,
    }),
  );
  const admin = await pki.issueClient(adminUser.name, adminUser.groups);
  const servers: Server[] = [];
  const ports: number[] = [];
  for (const listener of options.listeners) {
    const server = createServer(
      {
        cert: serving.certPem,
        key: serving.keyPem,
        ca: pki.caPem,
        requestCert: true,
        // Unverified certificates are answered with 401 rather than a broken handshake.
        rejectUnauthorized: false,
        ALPNProtocols: ['http/1.1'],
        minVersion: 'TLSv1.2',
      },
      (request, response) => {
        void dispatcher.handle(request, response, stopping.signal);
      },
    );
    // Watches and logs are long; idle keep-alive connections must outlive clients' own pools.
    server.requestTimeout = 0;
    server.headersTimeout = 30_000;
    server.keepAliveTimeout = 90_000;
    server.on('upgrade', (request, socket, head) => {
      streams.upgrade(request, socket, head);
    });
    server.on('tlsClientError', (_error, socket) => socket.destroy());
    await listen(server, listener);
    const address = server.address();
    ports.push(typeof address === 'object' && address !== null ? address.port : 0);
    servers.push(server);
  }
  logger.info('API server is listening', { ports: ports.join(',') });

  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    stopping.abort();
    await controllers.stop();
    await Promise.all(servers.map(closeServer));
    await stateFile?.close();
  };
  return {
    identity: { kind: 'embedded', version: kubernetesVersion.gitVersion },
    ports,
    caPem: pki.caPem,
    serviceAccountIssuer: issuer,
    adminKubeconfig: (server, { name = 'sandbox' } = {}) =>
      kubeconfigText({ server, name, caPem: pki.caPem, user: admin }),
    issue: (user, groups) => pki.issueClient(user, groups),
    close: () => (closing ??= close()),
  };
}

async function listen(server: Server, listener: Listener): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    const done = (): void => {
      server.off('error', reject);
      resolve();
    };
    if (listener.kind === 'fd') server.listen({ fd: listener.fd, backlog: listenBacklog }, done);
    else server.listen({ host: listener.host, port: listener.port, backlog: listenBacklog }, done);
  });
}

async function closeServer(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), closeTimeoutMs);
  await closed;
  clearTimeout(timer);
}

function metricsText(store: Store): string {
  const lines = [
    '# HELP apiserver_storage_objects Stored objects by resource.',
    '# TYPE apiserver_storage_objects gauge',
    ...store.resources().map((r) => `apiserver_storage_objects{resource="${r}"} ${store.list(r).length}`),
    '# HELP process_resident_memory_bytes Resident memory size in bytes.',
    '# TYPE process_resident_memory_bytes gauge',
    `process_resident_memory_bytes ${process.memoryUsage.rss()}`,
  ];
  return `${lines.join('\n')}\n`;
}
