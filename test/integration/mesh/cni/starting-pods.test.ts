import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Reflector } from '#base/kube/reflector.js';
import { namespaces as namespaceResource, pods as podResource } from '#base/kube/resource.js';
import type { Namespace, Pod } from '#base/kube/types.js';
import { createLogger, setLogOutput } from '#base/telemetry/log.js';
import { AgentMetrics } from '#mesh/cni/agent/agent-metrics.js';
import { NodeAgent } from '#mesh/cni/agent/node-agent.js';
import { openNode } from '#mesh/cni/agent/node-context.js';
import { PodMesh } from '#mesh/cni/agent/pod-mesh.js';
import { StartingPods } from '#mesh/cni/agent/starting-pods.js';
import { ZdsServer } from '#mesh/cni/zds/zds-server.js';
import { TestAgent } from './test-agent.js';
import { nodeName, TestCluster } from './test-cluster.js';
import { isRoot, makeNetns, type TestNetns } from './test-netns.js';

/** An agent whose watches have stopped telling it anything: the API server alone knows. */
describe.runIf(isRoot)('a starting pod whose labels the watches have not told of', () => {
  let cluster: TestCluster;
  let host: TestNetns;
  let folders: TestAgent;
  let startingPods: StartingPods;
  let watching: AbortController;

  beforeEach(async () => {
    setLogOutput(() => undefined);
    cluster = await TestCluster.start();
    await cluster.namespace('demo');
    await cluster.pod('demo', 'app');
    host = makeNetns();
    folders = new TestAgent(cluster, host);
    const config = folders.settings();
    const client = cluster.agentClient();
    const log = createLogger('cni');
    const node = await openNode(config, log);
    const zds = new ZdsServer({
      path: config.zdsPath,
      snapshot: () => [],
      ready: Promise.resolve(),
      log,
      onConnections: () => undefined,
    });
    const { redirection, hostProbes } = node;
    const annotate = () => Promise.resolve();
    const mesh = new PodMesh({ redirection, hostProbes, zds, annotate, log, leaveGraceMs: 0 });
    const fieldSelector = `spec.nodeName=${nodeName}`;
    const pods = new Reflector<Pod>({ client, resource: podResource, fieldSelector });
    const namespaces = new Reflector<Namespace>({ client, resource: namespaceResource });
    const agent = new NodeAgent({
      pods,
      namespaces,
      mesh,
      log,
      finder: node.finder,
      rules: config,
      dnsCapture: false,
      probes: config.probes,
      metrics: new AgentMetrics(),
    });
    startingPods = new StartingPods({
      client,
      pods,
      namespaces,
      agent,
      mesh,
      log,
      finder: node.finder,
      rules: config,
      lookupsMax: 1,
    });
    watching = new AbortController();
    pods.start(watching.signal);
    namespaces.start(watching.signal);
    await Promise.all([pods.synced(), namespaces.synced()]);
  });
  afterEach(async () => {
    watching.abort();
    await folders.dispose();
    await cluster.stop();
    host.remove();
  });

  const admit = (name: string) =>
    startingPods.admit({ namespace: 'demo', name, uid: undefined, netns: '/var/run/netns/none', ips: [] });

  it('does not start before the agent knows it, by the label of the namespace', async () => {
    await expect(admit('app')).resolves.toBeUndefined();
    watching.abort();
    await cluster.label('demo', 'ambient');
    await expect(admit('app')).rejects.toMatchObject({
      code: 11,
      details: expect.stringContaining('behind what the API server says'),
    });
  });

  it('does not start before the agent knows it, being new', async () => {
    watching.abort();
    await cluster.pod('demo', 'late', [], { 'istio.io/dataplane-mode': 'ambient' });
    await expect(admit('late')).rejects.toMatchObject({ code: 11 });
  });
});
