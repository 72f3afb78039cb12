import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { everyAddress } from '../../system/every-address.js';
import { messageOf } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { Reflector } from '#base/kube/reflector.js';
import { namespaces as namespaceResource, pods as podResource } from '#base/kube/resource.js';
import type { Namespace, Pod } from '#base/kube/types.js';
import { createLogger } from '#base/telemetry/log.js';
import type { AgentConfig } from '../config.js';
import { annotatedState } from '../../rules/enrollment.js';
import { HttpServer, jsonAnswer, route } from '../../process/http-server.js';
import { metricsHandler } from '../../process/metrics-handler.js';
import { Readiness } from '../../process/readiness.js';
import { Installer, pluginEntry } from '../installer/installer.js';
import { answerCni } from '../requests/cni-answers.js';
import { RequestFolder } from '../requests/request-folder.js';
import { ZdsServer } from '../zds/zds-server.js';
import { AgentMetrics } from './agent-metrics.js';
import { annotatePod } from './annotation.js';
import { type CleanupReport, cleanUpNode, findLeftovers } from './cleanup.js';
import { checkCapture } from './capture-check.js';
import { DecisionRecord } from './decision-record.js';
import { decideDeparture } from './departure.js';
import { watchDrift } from './drift-watch.js';
import { reportEnrollment } from './enrollment-report.js';
import { NodeAgent } from './node-agent.js';
import { type NodeContext, openNode } from './node-context.js';
import { isTerminal } from './pod-facts.js';
import { PodMesh } from './pod-mesh.js';
import { pluginFiles, pluginFolder } from './plugin-of-node.js';
import { StartingPods } from './starting-pods.js';
import { serveControl, servePlugin } from './unix-sockets.js';

export interface RunAgentDeps {
  readonly config: AgentConfig;
  readonly client: KubeClient;
  /** Ends the agent. */
  readonly signal: AbortSignal;
}

/** How often the API server is asked about a starting pod; the larger one with ENABLE_AMBIENT_DETECTION_RETRY. */
const lookups = 2;
const lookupsRetrying = 31;
const hostSetupAttempts = 10;
const hostSetupPauseMs = 2_000;

/**
 * The node agent from start to end. Order: ZDS
 * socket and host rules; informers; the pods an earlier agent enrolled; handlers;
 * ztunnel; the plugin on the node. Resolves after a graceful end.
 */
export async function runAgent(deps: RunAgentDeps): Promise<void> {
  const { config, client, signal } = deps;
  const log = createLogger('cni');
  const metrics = new AgentMetrics();
  const node = await openNode(config, log, signal);
  const { redirection, hostProbes } = node;
  const work = new AbortController();
  const problems = new Map<string, string>([
    ['installer', 'not installed yet'],
    ['ambient', 'starting'],
  ]);

  const adopted = deferred();
  const zds: ZdsServer = new ZdsServer({
    path: config.zdsPath,
    snapshot: () => mesh.snapshot(),
    ready: adopted.promise,
    log: createLogger('zds'),
    onConnections: (count) => {
      metrics.ztunnelConnected.set(count);
      if (count > 0) agent.retryPending();
    },
  });
  const mesh: PodMesh = new PodMesh({
    redirection,
    hostProbes,
    zds,
    annotate: (workload, state) => annotatePod(client, workload, state),
    log,
    leaveGraceMs: config.leaveGraceMs,
  });
  const onError = (message: string): void => log.warn('watch failed, will try again', { error: message });
  const pods = new Reflector<Pod>({
    client,
    resource: podResource,
    fieldSelector: `spec.nodeName=${config.nodeName}`,
    onError,
  });
  const namespaces = new Reflector<Namespace>({ client, resource: namespaceResource, onError });
  const agent: NodeAgent = new NodeAgent({
    pods,
    namespaces,
    mesh,
    hostProbes,
    finder: node.finder,
    rules: config,
    dnsCapture: config.dnsCapture,
    probes: config.probes,
    reconcileOnStartup: config.reconcileOnStartup,
    metrics,
    log,
  });
  const startingPods = new StartingPods({
    client,
    pods,
    namespaces,
    agent,
    mesh,
    finder: node.finder,
    rules: config,
    lookupsMax: config.detectionRetry ? lookupsRetrying : lookups,
    log,
  });
  const pluginDir = join(config.runDir, pluginFolder);
  const requests = new RequestFolder({
    dir: pluginDir,
    answer: async (text) => {
      const answer = await answerCni(text, {
        admit: (pod) => startingPods.admit(pod),
        check: (pod) => checkCapture({ pods, mesh, redirection }, pod),
        log: createLogger('cni-plugin'),
      });
      metrics.pluginRequests.inc({ response_code: answer.exitCode === 0 ? '200' : '500' });
      return answer;
    },
    log: createLogger('cni-plugin'),
  });
  const record = new DecisionRecord({ dir: pluginDir, pods, namespaces, agent, log });
  const installer = new Installer({
    files: pluginFiles(config),
    netDir: config.cniNetDir,
    confName: config.cniConfName,
    runDir: config.runDir,
    entry: pluginEntry(config),
    log: createLogger('install'),
    onState: (problem) => {
      metrics.installReady.set(problem === undefined ? 1 : 0);
      if (problem === undefined) problems.delete('installer');
      else problems.set('installer', problem);
    },
    onInstall: (result) => metrics.installs.inc({ result }),
  });

  // Ends also when the node is cleaned up, which removes the files of it.
  const serving = new AbortController();
  let pluginServed: Promise<void> | undefined;
  let cleanup: Promise<CleanupReport> | undefined;
  const cleanUp = (): Promise<CleanupReport> => {
    cleanup ??= (async () => {
      log.info('cleaning up this node', { node: config.nodeName });
      problems.set('ambient', 'the mesh is being removed from this node');
      agent.beginDrain();
      await agent.queue.settled();
      return cleanUpNode({
        nodeName: config.nodeName,
        node,
        installer,
        runDir: config.runDir,
        enrolled: async () =>
          pods.list().filter((pod) => {
            const isKnown = mesh.get(pod.metadata.uid ?? '') !== undefined;
            return (isKnown || annotatedState(pod) !== undefined) && !isTerminal(pod);
          }),
        release: (leaving) => mesh.removeRunning(leaving),
        closeSockets: async () => {
          serving.abort();
          await pluginServed;
          zds.close();
        },
      });
    })();
    return cleanup;
  };

  const readiness = new Readiness();
  for (const part of ['installer', 'ambient']) readiness.require(part, () => problems.get(part));
  const servers: HttpServer[] = [];
  const background: Promise<void>[] = [];
  try {
    const everywhere = [everyAddress()];
    servers.push(
      await HttpServer.listen(
        { hosts: everywhere, port: config.healthPort },
        route('GET', '/healthz', () => ({ status: 200, body: 'ok\n' })),
        readiness.handler('/readyz', 503),
      ),
      await HttpServer.listen(
        { hosts: everywhere, port: config.monitoringPort },
        metricsHandler(metrics.registry, { layout: 'prometheus' }),
      ),
      await HttpServer.listen(
        { hosts: ['127.0.0.1'], port: config.adminPort },
        route('GET', '/debug/enrollment', async ({ query }) =>
          jsonAnswer(
            200,
            await reportEnrollment(
              {
                nodeName: config.nodeName,
                agent,
                mesh,
                redirection,
                hostProbes,
                pods: () => pods.list(),
                connectionCount: () => zds.connectionCount,
              },
              { namespace: query.get('namespace') ?? undefined, pod: query.get('pod') ?? undefined },
            ),
          ),
        ),
        route('GET', '/debug/leftovers', async () =>
          jsonAnswer(200, { node: config.nodeName, left: await findLeftovers(node, installer) }),
        ),
      ),
    );
    zds.listen();
    await setUpHost(node, log, signal);
    pods.start(work.signal);
    namespaces.start(work.signal);
    await untilAborted(Promise.all([pods.synced(), namespaces.synced()]), signal);
    await agent.adoptEnrolled();
    agent.start(work.signal);
    servers.push(await serveControl(config, cleanUp), ...(await servePlugin(config, startingPods, metrics)));
    adopted.resolve();
    problems.delete('ambient');
    mkdirSync(pluginDir, { recursive: true, mode: 0o700 });
    const served = AbortSignal.any([work.signal, serving.signal]);
    await record.follow(served);
    pluginServed = requests.serve(served);
    background.push(
      pluginServed,
      installer.run(work.signal),
      agent.sweepReleased(work.signal),
      watchDrift({ mesh, agent, hostProbes, metrics, log, intervalMs: config.driftIntervalMs }, work.signal),
    );
    log.info('agent started', { node: config.nodeName, adopted: mesh.list().length });
    await untilAborted(new Promise<never>(() => undefined), signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    work.abort();
    adopted.resolve();
    await Promise.all(background);
    await agent.queue.close();
    if (signal.aborted) await depart(deps, { installer, node });
    zds.close();
    for (const server of servers) server.close();
  }
}

/** On the way out: leaves everything for a successor, or takes plugin and host rules away (7.9). */
async function depart(
  { config, client }: RunAgentDeps,
  { installer, node }: { installer: Installer; node: NodeContext },
): Promise<void> {
  const log = createLogger('cni');
  const departure = await decideDeparture(client, {
    namespace: config.podNamespace,
    daemonSet: config.daemonSetName,
    nodeName: config.nodeName,
    disableSafeUpgrade: config.disableSafeUpgrade,
  });
  log.info(departure.uninstall ? 'taking the plugin away' : 'leaving the node as it is', {
    reason: departure.reason,
  });
  if (!departure.uninstall) return;
  try {
    await installer.uninstall();
    await node.hostProbes.uninstall();
  } catch (error) {
    log.error('could not take everything away', { error: messageOf(error) });
  }
}

async function setUpHost(node: NodeContext, log: ReturnType<typeof createLogger>, signal: AbortSignal) {
  for (let attempt = 1; ; attempt++) {
    try {
      await node.hostProbes.install();
      return;
    } catch (error) {
      if (attempt === hostSetupAttempts || signal.aborted) throw error;
      log.warn('host rules failed, will try again', { attempt, error: messageOf(error) });
      await untilAborted(new Promise((resolve) => setTimeout(resolve, hostSetupPauseMs)), signal);
    }
  }
}

function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(new Error('stopped'));
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((r) => {
    resolve = r;
  });
  return { promise, resolve };
}
