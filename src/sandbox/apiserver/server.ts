import { setMaxListeners } from 'node:events';
import type { Logger } from '#base/telemetry/log.js';
import {
  adminUser,
  type ApiServer,
  kubeconfigText,
  kubeletClientUser,
  type Listener,
  servingNames,
} from '../base/api-server.js';
import { AdmissionChain } from './registry/admission.js';
import { admissionPlugins } from './admission/plugins.js';
import { AggregationProxy } from './aggregation/aggregation-proxy.js';
import { authenticationConfig, frontProxyUser } from './aggregation/front-proxy.js';
import { RemoteApis } from './aggregation/remote-apis.js';
import { RemoteDiscovery } from './aggregation/remote-discovery.js';
import { RemoteOpenApi } from './aggregation/remote-openapi.js';
import { Authenticator } from './auth/authenticator.js';
import { type CertificateAndKey, ClusterPki } from '../base/pki.js';
import { ServiceAccountTokens } from './auth/service-account-tokens.js';
import { bootstrap } from './bootstrap.js';
import { startApiServiceController } from './discovery/api-services.js';
import { startCrdController } from './crd/crd-controller.js';
import { Discovery, kubernetesVersion } from './discovery/discovery.js';
import { OpenApi } from './discovery/openapi.js';
import { ServedGroups } from './discovery/served-groups.js';
import { Dispatcher } from './serve/dispatcher.js';
import type { IncomingApiRequest, ApiResponse } from './http/exchange.js';
import { Health } from './http/health.js';
import { type HttpsListener, listenHttps } from './http/listener.js';
import { PlainPaths } from './serve/plain-paths.js';
import { RequestMetrics } from './http/request-metrics.js';
import { LoopbackListener } from './http/loopback.js';
import { Reviews } from './serve/reviews.js';
import { Router } from './serve/router.js';
import type { JsonObject } from '../base/json.js';
import { builtinResources } from './builtin/builtin-table.js';
import { ServiceAddresses } from './kinds/service-addresses.js';
import type { KubeletGateway } from '../base/kubelet-gateway.js';
import { ProxyHandler } from './proxy/proxy-handler.js';
import { Authorizer } from './rbac/authorizer.js';
import { Operations } from './registry/operations.js';
import { Registry } from './registry/registry.js';
import { StateFile } from './storage/state-file.js';
import { Store } from './storage/store.js';
import { PodStreams } from './streaming/pod-streams.js';
import { LogSockets } from './streaming/log-sockets.js';
import { Upgrades } from './streaming/upgrades.js';
import { WatchSockets } from './streaming/watch-sockets.js';
import { Subresources } from './subresources/subresources.js';
import { PodLogs } from './subresources/pod-logs.js';

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

/** As kube-apiserver has its store compacted: a list can be carried on for as long as this, at least. */
const compactionMs = 5 * 60_000;

/** Starts the API server: keys, stored state, bootstrap objects, built-in controllers, listeners. */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const { logger } = options;
  const domain = options.clusterDomain ?? 'cluster.local';
  const addresses = new ServiceAddresses(options.serviceCidr ?? '10.96.0.0/16');
  const [pki, frontProxyPki] = await Promise.all([
    ClusterPki.open(options.pkiDirectory),
    // Beside the other keys, not among them: each folder is made and replaced as a whole.
    ClusterPki.open(options.pkiDirectory && `${options.pkiDirectory}-front-proxy`),
  ]);
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

  const crds = startCrdController({ operations, logger });
  const remotes = new RemoteApis(store, await frontProxyPki.issueClient(frontProxyUser, []));
  const remoteDiscovery = new RemoteDiscovery();
  const aggregation = new AggregationProxy(remotes);
  const apiServices = startApiServiceController({
    operations,
    remotes,
    discovery: remoteDiscovery,
    logger,
  });
  await bootstrap(operations, {
    address: options.advertise,
    serviceIp: addresses.first,
    authentication: authenticationConfig(pki.caPem, frontProxyPki.caPem),
  });
  admission.start();

  const kubeletIdentity = (): Promise<CertificateAndKey> =>
    (kubeletClient ??= pki.issueClient(kubeletClientUser, []));
  let kubeletClient: Promise<CertificateAndKey> | undefined;
  const proxy = new ProxyHandler(store, kubeletIdentity);
  const metrics = new RequestMetrics(
    store,
    (group, version, plural) => registry.find(group, version, plural) !== undefined,
  );
  const health = new Health(
    [
      { name: 'log', check: () => undefined },
      // The store is part of this process; the name is the one that is asked for.
      { name: 'etcd', check: () => assertKept(stateFile) },
      { name: 'poststarthook/rbac/bootstrap-roles', check: () => undefined },
    ],
    () => stopping.signal.aborted,
  );
  const plainPaths = new PlainPaths({
    discovery: new Discovery(
      registry,
      new ServedGroups(registry, remotes, remoteDiscovery),
      `${options.advertise.host}:${options.advertise.port}`,
    ),
    openApi: new OpenApi(registry, new RemoteOpenApi(remotes, aggregation)),
    health,
    issuerDocuments: () => issuerDocuments(tokens, options.advertise),
    metrics: () => metrics.text(),
  });
  const logs = new PodLogs(options.kubelet);
  const router = new Router({
    authorizer,
    registry,
    operations,
    reviews: new Reviews(authorizer, tokens),
    subresources: new Subresources({ operations, tokens, logs, proxy }),
    plainPaths,
    remotes,
    aggregation,
  });
  const dispatcher = new Dispatcher({
    authenticator: new Authenticator(tokens),
    authorizer,
    router,
    metrics,
    logger,
  });
  const upgrades = new Upgrades({
    dispatcher,
    authorizer,
    router,
    operations,
    podStreams: new PodStreams({ operations, kubelet: options.kubelet, logger }),
    watchSockets: new WatchSockets(router),
    logSockets: new LogSockets(logs),
    proxy,
    remotes,
    aggregation,
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
  const handle = (request: IncomingApiRequest, response: ApiResponse): void =>
    void dispatcher.handle(request, response, stopping.signal);
  const loopback = new LoopbackListener(handle);
  const listeners: HttpsListener[] = [];
  for (const listener of options.listeners) {
    listeners.push(
      await listenHttps(
        listener,
        { ...serving, caPem: pki.caPem },
        {
          request: handle,
          upgrade: (request, socket, head) => upgrades.handle(request, socket, head),
        },
      ),
    );
  }
  const ports = listeners.map(({ port }) => port);
  logger.info('API server is listening', { ports: ports.join(',') });

  const compaction = setInterval(() => store.compact(), compactionMs);
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    stopping.abort();
    clearInterval(compaction);
    await Promise.all([crds.stop(), apiServices.stop()]);
    loopback.close();
    await Promise.all(listeners.map((l) => l.close()));
    await stateFile?.close();
  };
  return {
    identity: { kind: 'embedded', version: kubernetesVersion.gitVersion },
    ports,
    caPem: pki.caPem,
    serviceAccountIssuer: issuer,
    tokenKeyPem: pki.tokenKeyPem,
    adminKubeconfig: (server, { name = 'sandbox' } = {}) =>
      kubeconfigText({ server, name, caPem: pki.caPem, user: admin }),
    issue: (user, groups) => pki.issueClient(user, groups),
    issueServing: (names) => pki.issueServer(names),
    sign: (request, terms) => pki.sign(request, terms),
    connect: async (user, groups) => loopback.connect({ name: user, groups }),
    trouble: () => undefined,
    isStateKept: () => stateFile?.isHealthy !== false,
    close: () => (closing ??= close()),
  };
}

/** Throws while changes do not reach the disk that should keep them. */
function assertKept(stateFile: StateFile | undefined): void {
  if (stateFile?.isHealthy === false) throw new Error('changes are not kept');
}

/** What the issuer of service account tokens publishes, by path. */
function issuerDocuments(
  tokens: ServiceAccountTokens,
  advertise: { readonly host: string; readonly port: number },
): Record<string, JsonObject> {
  return {
    '/openid/v1/jwks': tokens.jwks(),
    '/.well-known/openid-configuration': {
      issuer: tokens.issuer,
      jwks_uri: `https://${advertise.host}:${advertise.port}/openid/v1/jwks`,
      response_types_supported: ['id_token'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['ES256'],
    },
  };
}
