import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { KubeClient } from '#base/kube/client.js';
import { messageOf } from '#base/errors/mesh-error.js';
import { deferred, pause, untilAborted, untilDoneOrAborted } from '#base/system/until.js';
import { createLogger, type Logger } from '#base/telemetry/log.js';
import type { HttpServer } from '../../process/http-server.js';
import { Readiness } from '../../process/readiness.js';
import { annotatedState } from '../../rules/enrollment.js';
import type { AgentConfig } from '../config.js';
import { serveAdmin } from './admin-servers.js';
import { adoptEnrolled } from './adoption.js';
import { AgentMetrics } from './agent-metrics.js';
import { type AgentParts, makeAgentParts } from './agent-parts.js';
import { type CleanupReport, cleanUpNode } from './cleanup.js';
import { depart } from './depart.js';
import { decideDeparture } from './departure.js';
import { watchDrift } from './drift-watch.js';
import { type NodeContext, openNode } from './node-context.js';
import { recordNodeEvent, recordPodEvent } from './agent-event.js';
import { pluginFolder } from './plugin-of-node.js';
import { isTerminal } from './pod-facts.js';
import { sweepReleased } from './release-sweep.js';
import { serveControl, servePlugin } from './unix-sockets.js';

export interface RunAgentDeps {
  readonly config: AgentConfig;
  readonly client: KubeClient;
  /** Ends the agent. */
  readonly signal: AbortSignal;
}

/** The node proxy's, in the system namespace. */
const proxyDaemonSet = 'ztunnel';
const hostSetupAttempts = 10;
const hostSetupPauseMs = 2_000;
const pluginFolderMode = 0o700;

/**
 * The node agent from start to end. Order (upstream's): ZDS socket and host rules; informers; the pods an earlier
 * agent enrolled; handlers; ztunnel; the plugin on the node. Resolves after a graceful end.
 */
export async function runAgent({ config, client, signal }: RunAgentDeps): Promise<void> {
  const log = createLogger('cni');
  const work = new AbortController();
  const problems = new Map<string, string>([
    ['installer', 'not installed yet'],
    ['ambient', 'starting'],
  ]);
  const readiness = new Readiness();
  for (const part of problems.keys()) readiness.require(part, () => problems.get(part));
  const adopted = deferred();
  let isAdopted = false;
  const parts = makeAgentParts({
    config,
    client,
    node: await openNode(config, log, signal),
    metrics: new AgentMetrics(),
    adopted: adopted.promise,
    onInstallState: (problem) => {
      if (problem === undefined) problems.delete('installer');
      else problems.set('installer', problem);
    },
  });
  const { node, pods, namespaces, zds, agent, mesh, record, requests, installer } = parts;
  const { hostProbes } = node;

  // Ends also when the node is cleaned up, which removes the files of it.
  const serving = new AbortController();
  let pluginServed: Promise<void> | undefined;
  let cleanup: Promise<CleanupReport> | undefined;
  const cleanUp = (): Promise<CleanupReport> => {
    cleanup ??= cleanUpWhole(config, parts, {
      log,
      onBegin: () => problems.set('ambient', 'the mesh is being removed from this node'),
      stopServing: async () => {
        serving.abort();
        await pluginServed;
      },
    });
    return cleanup;
  };

  const servers: HttpServer[] = [];
  const background: Promise<void>[] = [];
  try {
    servers.push(...(await serveAdmin(config, parts, readiness)));
    zds.listen();
    await setUpHost(node, log, signal);
    pods.start(work.signal);
    namespaces.start(work.signal);
    await untilDoneOrAborted(Promise.all([pods.synced(), namespaces.synced()]), signal);
    signal.throwIfAborted();
    const { reconcileOnStartup } = config;
    await adoptEnrolled({ pods, agent, mesh, hostProbes, finder: node.finder, reconcileOnStartup, log });
    agent.start(work.signal);
    servers.push(
      await serveControl(config, cleanUp),
      ...(await servePlugin(config, parts.startingPods, parts.metrics)),
    );
    adopted.resolve();
    isAdopted = true;
    problems.delete('ambient');
    mkdirSync(join(config.runDir, pluginFolder), { recursive: true, mode: pluginFolderMode });
    const served = AbortSignal.any([work.signal, serving.signal]);
    await record.follow(served);
    pluginServed = requests.serve(served);
    background.push(
      pluginServed,
      installer.run(work.signal),
      sweepReleased({ pods, agent, mesh, log }, work.signal),
      watchDrift(
        {
          mesh,
          agent,
          hostProbes,
          metrics: parts.metrics,
          log,
          intervalMs: config.driftIntervalMs,
          reportOverride: (pod, message) =>
            recordPodEvent(client, pod, {
              nodeName: config.nodeName,
              type: 'Warning',
              reason: 'MeshRedirectionOverridden',
              message,
              log,
            }),
        },
        work.signal,
      ),
    );
    log.info('agent started', { node: config.nodeName, adopted: mesh.list().length });
    await untilAborted(signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    work.abort();
    adopted.resolve();
    await Promise.all(background);
    await agent.queue.close();
    // One that never knew its pods cannot tell what is captured, and a node that was cleaned up is left already.
    if (signal.aborted && isAdopted && cleanup === undefined) {
      await leave({ config, client, signal }, parts, { cleanUp, log });
    }
    zds.close();
    parts.probes.closeAll();
    for (const server of servers) server.close();
  }
}

async function leave(
  { config, client }: RunAgentDeps,
  parts: AgentParts,
  { cleanUp, log }: { readonly cleanUp: () => Promise<CleanupReport>; readonly log: Logger },
): Promise<void> {
  const { nodeName } = config;
  const departure = await decideDeparture(client, {
    namespace: config.podNamespace,
    daemonSet: config.daemonSetName,
    nodeName,
    proxy: { namespace: config.systemNamespace, daemonSet: proxyDaemonSet },
    disableSafeUpgrade: config.disableSafeUpgrade,
  });
  await depart({
    ...parts,
    departure,
    cleanUp,
    report: (type, message) =>
      recordNodeEvent(client, { nodeName, type, reason: 'MeshAgentLeft', message, log }),
    log,
  });
}

/** Takes the mesh off the node, pods and all, and keeps out what comes meanwhile. */
async function cleanUpWhole(
  config: AgentConfig,
  { node, installer, pods, agent, mesh, zds }: AgentParts,
  o: { readonly log: Logger; readonly onBegin: () => void; readonly stopServing: () => Promise<void> },
): Promise<CleanupReport> {
  o.log.info('cleaning up this node', { node: config.nodeName });
  o.onBegin();
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
      await o.stopServing();
      zds.close();
    },
  });
}

async function setUpHost(node: NodeContext, log: Logger, signal: AbortSignal) {
  for (let attempt = 1; ; attempt++) {
    try {
      await node.hostProbes.install();
      return;
    } catch (error) {
      if (attempt === hostSetupAttempts || signal.aborted) throw error;
      log.warn('host rules failed, will try again', { attempt, error: messageOf(error) });
      await pause(hostSetupPauseMs, signal);
      signal.throwIfAborted();
    }
  }
}
