import { setMaxListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { urlHost } from '#base/net/authority.js';
import { messageOf } from '#base/errors/mesh-error.js';
import { CertificateAuthority, maxLeafTtlSeconds } from '../identity/ca/authority.js';
import type { KubeClient } from '#base/kube/client.js';
import { createLogger, type Logger } from '#base/telemetry/log.js';
import { DeltaXdsServer } from '../xds/server/server.js';
import { loadCaMaterial, watchPlugged } from './authority/ca-store.js';
import { MeshTrust } from './authority/mesh-trust.js';
import { proxiesWaitedFor } from './authority/proxies-waited-for.js';
import { runRootDistribution } from './authority/root-distribution.js';
import { trustChange, TrustSource } from './authority/trust-source.js';
import { TrustStore } from './authority/trust-store.js';
import { runGatewayClasses } from './gateway/gateway-classes.js';
import { GatewayController } from './gateway/gateway-controller.js';
import { createWaypointRenderer } from './gateway/waypoint-objects.js';
import { createManagedGateways } from './gateway/managed-gateways.js';
import { startInformers } from './informers.js';
import { runAsLeader } from './leadership.js';
import { defaultMeshConfig } from '../rules/mesh-config.js';
import { meshKey } from './model/inputs.js';
import { MeshState } from './model/mesh-state.js';
import { ControllerMetrics } from './server/controller-metrics.js';
import { HttpServer } from '../process/http-server.js';
import { metricsHandler } from '../process/metrics-handler.js';
import { Readiness } from '../process/readiness.js';
import { debugHandler } from './server/debug-http.js';
import { startGrpcServers } from './server/grpc-servers.js';
import { createPodDirectory } from './server/pod-directory.js';
import { ServingIdentity } from './server/serving-identity.js';
import { TokenAuthenticator } from './server/token-authenticator.js';
import type { Settings } from './settings.js';
import { untilAborted, untilDoneOrAborted } from '#base/system/until.js';
import { StatusWriter } from './status/status-writer.js';
import { createStatusChanges } from './statuses.js';
import { readTemplateFiles } from '../templates/files.js';
import { productVersion } from '../telemetry/version.js';

/** How long calls under way get when the process is asked to stop, in milliseconds. */
const shutdownDeadlineMs = 5_000;
/** How long the former serving certificate is shown after the certificate authority changed, in milliseconds. */
const servingDelayMs = 10 * 60_000;

export interface ControllerDeps {
  readonly settings: Settings;
  readonly client: KubeClient;
  readonly log: Logger;
  /** Told the bound ports once everything is served; of interest when the settings leave them to the system. */
  readonly onListening?: (ports: Settings['ports']) => void;
}

/**
 * Phases: reading the cluster (not ready, callers are told to retry) -> serving -> draining. Certificates and xDS
 * are served by every replica; status and deployments are written by the one that leads.
 */
export async function runController(deps: ControllerDeps, stop: AbortSignal): Promise<void> {
  const { settings, client, log } = deps;
  // Every watch and duty waits for it: many listeners are no leak here.
  setMaxListeners(0, stop);
  const meshDefaults = defaultMeshConfig(settings.systemNamespace);
  const cluster = {
    clusterId: settings.clusterId,
    clusterDomain: settings.clusterDomain,
    network: settings.network,
  };
  let xds: DeltaXdsServer | undefined;
  const state = new MeshState({
    cluster,
    mesh: meshDefaults,
    onPush: (changed) => xds?.push(changed),
    onRecomputed: (flush) => metrics.recomputed(flush),
    onError: (object, error) =>
      log.error('an object cannot be used, keeping what it last meant', { object, error: messageOf(error) }),
  });
  const gatewayCollections = createManagedGateways(state.graph, state.inputs, settings);
  const statusWriter = new StatusWriter({
    client,
    graph: state.graph,
    changes: createStatusChanges(state, gatewayCollections),
    log: createLogger('status'),
  });
  const gateways = new GatewayController({
    client,
    log: createLogger('gateway'),
    graph: state.graph,
    managed: gatewayCollections.managed,
    render: createWaypointRenderer(readTemplateFiles(), {
      ...settings.waypoint,
      ...cluster,
      revision: settings.revision,
      discoveryAddress: `istiod.${settings.systemNamespace}.svc:${settings.ports.secureGrpc}`,
    }),
  });
  const mesh = () => state.inputs.mesh.get(meshKey) ?? meshDefaults;
  const { systemNamespace } = settings;
  const read = startInformers({ client, inputs: state.inputs, systemNamespace, meshDefaults, log }, stop);
  await untilDoneOrAborted(read, stop);
  if (stop.aborted) return client.close();

  const { material, source } = await loadCaMaterial({
    client,
    systemNamespace: settings.systemNamespace,
    trustDomain: mesh().trustDomain,
    pluggedDir: settings.pluggedCaDir,
  });
  let authority = await CertificateAuthority.load(material, settings.workloadCertificates);
  log.info('certificate authority loaded', { source, expires: new Date(authority.expiresMs).toISOString() });

  const metrics = new ControllerMetrics({
    connectionCount: () => xds?.connections.length ?? 0,
    serviceCount: () => state.index.services.size,
    rootExpiresMs: () => authority.rootExpiresMs,
  });
  const authenticator = new TokenAuthenticator(client);
  const rootListeners = new Set<() => void>();
  const trust = new MeshTrust({
    store: new TrustStore(client, settings.systemNamespace),
    leafTtlMs: (settings.workloadCertificates.maxTtlSeconds ?? maxLeafTtlSeconds) * 1_000,
    waitingFor: () =>
      proxiesWaitedFor({
        pods: state.inputs.pods.list(),
        connections: xds?.connections ?? [],
        systemNamespace: settings.systemNamespace,
      }),
    onChange: () => {
      xds?.push(trustChange);
      for (const listener of rootListeners) listener();
    },
    log: createLogger('ca'),
  });
  await trust.adopt(authority);
  const serving = new ServingIdentity(await authority.serve(servingNames(settings)), trust.rootsPem);
  xds = new DeltaXdsServer({
    // Roots before anything that is verified with them.
    sources: [new TrustSource(trust), ...state.sources],
    events: metrics.xdsEvents,
    isReady: () => state.isRunning,
    currentVersion: () => state.version,
    now: Date.now,
  });
  state.run();
  const grpc = await startGrpcServers(
    {
      xds,
      certificates: {
        trust,
        authenticator,
        nodes: {
          pods: createPodDirectory(state.inputs.pods),
          trustedAccounts: settings.trustedNodeAccounts,
          names: mesh,
        },
        isReady: () => state.isRunning,
        events: metrics.certificateEvents,
        log: createLogger('ca'),
      },
      status: {
        index: state.index,
        clusterId: settings.clusterId,
        mesh,
        systemNamespace: settings.systemNamespace,
        self: { podName: settings.podName, version: productVersion },
      },
      serving,
      maxConnectionAgeMs: settings.maxConnectionAgeMs,
    },
    {
      plaintext: `${urlHost(settings.listenHost)}:${settings.ports.plaintextGrpc}`,
      secure: `${urlHost(settings.listenHost)}:${settings.ports.secureGrpc}`,
    },
  );
  const readiness = new Readiness();
  readiness.require('cluster', () => (state.isRunning ? undefined : 'not read yet'));
  readiness.require('shutdown', () => (stop.aborted ? 'draining' : undefined));
  const handlers = [
    readiness.handler('/ready', 503),
    metricsHandler(metrics.registry, { layout: 'prometheus' }),
    debugHandler({
      version: productVersion,
      index: state.index,
      clusterId: settings.clusterId,
      mesh,
      xds,
      authenticator,
      systemNamespace: settings.systemNamespace,
    }),
  ];
  const httpServers = await Promise.all(
    [settings.ports.http, settings.ports.monitoring].map((port) =>
      HttpServer.listen({ hosts: [settings.listenHost], port }, ...handlers),
    ),
  );

  const asLeader = (name: string, lead: (signal: AbortSignal) => Promise<void>) =>
    runAsLeader(
      { client, log, namespace: settings.systemNamespace, name, identity: settings.podName, lead },
      stop,
    );
  const duties = [
    asLeader(`istio-gateway-deployment-${settings.revision}`, async (signal) => {
      await Promise.all([gateways.run(signal), statusWriter.lead('revision', signal)]);
    }),
    asLeader('istio-status-leader', (signal) => statusWriter.lead('mesh', signal)),
    asLeader('istio-namespace-controller-election', (signal) =>
      runRootDistribution(
        {
          client,
          namespaces: state.inputs.namespaces,
          rootPem: () => trust.rootsPem,
          onRootChange: (listener) => {
            rootListeners.add(listener);
            return () => rootListeners.delete(listener);
          },
          log: createLogger('ca'),
        },
        signal,
      ),
    ),
    trust.run(stop),
    watchPlugged(
      settings.pluggedCaDir,
      {
        material: async (changed) => {
          authority = await CertificateAuthority.load(changed, settings.workloadCertificates);
          await trust.adopt(authority);
          // Proxies read the root file of their pod, which kubelet brings up to date with a delay.
          const next = await authority.serve(servingNames(settings));
          setTimeout(() => serving.set(next, trust.rootsPem), servingDelayMs).unref();
        },
        error: (error) =>
          log.error('the plugged-in certificate authority cannot be used', { error: messageOf(error) }),
      },
      stop,
    ),
    runGatewayClasses({ client, classes: state.inputs.gatewayClasses, log: createLogger('gateway') }, stop),
  ];
  log.info('controller ready', { version: productVersion, revision: settings.revision });
  const [http = 0, monitoring = 0] = httpServers.map(({ port }) => port ?? 0);
  deps.onListening?.({
    http,
    monitoring,
    plaintextGrpc: grpc.plaintextPort ?? 0,
    secureGrpc: grpc.securePort,
  });

  await untilAborted(stop);
  state.stop();
  // Leases are released on the way out; an API server that is away must not hold that up.
  const released = Promise.race([
    Promise.allSettled(duties),
    delay(shutdownDeadlineMs, undefined, { ref: false }),
  ]);
  await Promise.all([grpc.close(shutdownDeadlineMs), released]);
  for (const server of httpServers) server.close();
  client.close();
}

/** DNS names under which proxies reach this controller. */
function servingNames({ systemNamespace, clusterDomain, revision }: Settings): string[] {
  const services = revision === 'default' ? ['istiod'] : ['istiod', `istiod-${revision}`];
  return services.flatMap((service) => [
    `${service}.${systemNamespace}.svc`,
    `${service}.${systemNamespace}.svc.${clusterDomain}`,
    `${service}.${systemNamespace}`,
  ]);
}
