import { join } from 'node:path';
import type { KubeClient } from '#base/kube/client.js';
import { Reflector } from '#base/kube/reflector.js';
import { namespaces as namespaceResource, pods as podResource } from '#base/kube/resource.js';
import type { Namespace, Pod } from '#base/kube/types.js';
import { createLogger } from '#base/telemetry/log.js';
import type { AgentConfig } from '../config.js';
import { Installer, pluginEntry } from '../installer/installer.js';
import { answerCni } from '../requests/cni-answers.js';
import { RequestFolder } from '../requests/request-folder.js';
import { Probes } from '../probe/probes.js';
import { ZdsServer } from '../zds/zds-server.js';
import type { AgentMetrics } from './agent-metrics.js';
import { annotatePod } from './annotation.js';
import { checkCapture } from './capture-check.js';
import { DecisionRecord } from './decision-record.js';
import { NodeAgent } from './node-agent.js';
import type { NodeContext } from './node-context.js';
import { pluginFiles, pluginFolder } from './plugin-of-node.js';
import { isTerminal } from './pod-facts.js';
import { PodMesh } from './pod-mesh.js';
import { StartingPods } from './starting-pods.js';

/** What an agent is made of; nothing of it runs yet. */
export interface AgentParts {
  readonly node: NodeContext;
  readonly metrics: AgentMetrics;
  /** Pods of this node. */
  readonly pods: Reflector<Pod>;
  readonly namespaces: Reflector<Namespace>;
  readonly zds: ZdsServer;
  readonly mesh: PodMesh;
  readonly agent: NodeAgent;
  readonly startingPods: StartingPods;
  readonly requests: RequestFolder;
  readonly record: DecisionRecord;
  readonly installer: Installer;
  readonly probes: Probes;
}

export interface AgentPartsOptions {
  readonly config: AgentConfig;
  readonly client: KubeClient;
  readonly node: NodeContext;
  readonly metrics: AgentMetrics;
  /** Resolves when ztunnel may be told of the pods. */
  readonly adopted: Promise<void>;
  /** Told of each attempt to install the plugin: undefined when all is in place, else what is wrong. */
  readonly onInstallState: (problem: string | undefined) => void;
}

/** How often the API server is asked about a starting pod; the larger one with ENABLE_AMBIENT_DETECTION_RETRY. */
const lookups = 2;
const lookupsRetrying = 31;

export function makeAgentParts(o: AgentPartsOptions): AgentParts {
  const { config, client, node, metrics } = o;
  const { redirection, hostProbes, finder } = node;
  const log = createLogger('cni');
  const pluginLog = createLogger('cni-plugin');
  const zds: ZdsServer = new ZdsServer({
    path: config.zdsPath,
    snapshot: () => mesh.snapshot(),
    ready: o.adopted,
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
    finder,
    rules: config,
    dnsCapture: config.dnsCapture,
    probes: config.probes,
    metrics,
    log,
  });
  const startingPods = new StartingPods({
    client,
    pods,
    namespaces,
    agent,
    mesh,
    finder,
    rules: config,
    lookupsMax: config.detectionRetry ? lookupsRetrying : lookups,
    log,
  });
  const dir = join(config.runDir, pluginFolder);
  const requests = new RequestFolder({
    dir,
    answer: async (text) => {
      const answer = await answerCni(text, {
        admit: (pod) => startingPods.admit(pod),
        check: (pod) => checkCapture({ pods, mesh, redirection }, pod),
        log: pluginLog,
      });
      metrics.pluginRequests.inc({ response_code: answer.exitCode === 0 ? '200' : '500' });
      return answer;
    },
    log: pluginLog,
  });
  const record = new DecisionRecord({ dir, pods, namespaces, agent, log });
  const installer = new Installer({
    files: pluginFiles(config),
    netDir: config.cniNetDir,
    confName: config.cniConfName,
    runDir: config.runDir,
    entry: pluginEntry(config),
    log: createLogger('install'),
    onState: (problem) => {
      metrics.installReady.set(problem === undefined ? 1 : 0);
      o.onInstallState(problem);
    },
    onInstall: (result) => metrics.installs.inc({ result }),
  });
  const probes = new Probes({
    findPod: (uid) => pods.list().find((pod) => pod.metadata.uid === uid && !isTerminal(pod)),
    openNetnsOf: (pod) => agent.openNetnsOf(pod),
    log: createLogger('probe'),
  });
  return {
    node,
    metrics,
    pods,
    namespaces,
    zds,
    mesh,
    agent,
    startingPods,
    requests,
    record,
    installer,
    probes,
  };
}
