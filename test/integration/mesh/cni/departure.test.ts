import { readdirSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { setLogOutput } from '#base/telemetry/log.js';
import { TestAgent } from './test-agent.js';
import { TestCluster } from './test-cluster.js';
import { eventually, isRoot, joinPtp, makeNetns, type TestNetns } from './test-netns.js';
import { TestZtunnel } from './test-ztunnel.js';

const podIp = '10.9.0.2';
const hostIp = '10.9.0.1';

/** An agent that is told to end while a pod of its node is captured. */
describe.runIf(isRoot)('CNI agent on its way out', () => {
  let cluster: TestCluster;
  let host: TestNetns;
  let pod: TestNetns;
  let agent: TestAgent;
  let ztunnel: TestZtunnel;
  let netns: string;

  beforeEach(async () => {
    setLogOutput(() => undefined);
    cluster = await TestCluster.start();
    await cluster.daemonSet();
    await cluster.daemonSet('ztunnel');
    await cluster.namespace('demo', { 'istio.io/dataplane-mode': 'ambient' });
    await cluster.namespace('plain');
    host = makeNetns();
    pod = makeNetns();
    joinPtp(host, pod, { podIp, hostIp });
    agent = new TestAgent(cluster, host);
    netns = agent.mountNetns(pod);
    await cluster.pod('demo', 'app', [podIp]);
    await startAgent();
    await captured();
  });
  afterEach(async () => {
    ztunnel.close();
    await agent.dispose();
    await cluster.stop();
    pod.remove();
    host.remove();
  });

  const startAgent = async (): Promise<void> => {
    await agent.start();
    ztunnel = new TestZtunnel();
    await ztunnel.connect(agent.zdsPath);
  };
  const captured = () => eventually(async () => (await cluster.annotation('demo', 'app')) === 'enabled');
  const chained = (): string[] => agent.config().plugins.map(({ type }) => type);
  const rules = (): string => pod.exec('iptables-nft-save');
  const startPod = async (namespace: string) => {
    await cluster.pod(namespace, 'new');
    return agent.startPod({ namespace, name: 'new', netns, ip: podIp });
  };
  const expectGuarded = async (reason: string): Promise<void> => {
    // The pod is in the mesh as before, and the kubelet reaches it.
    expect(await cluster.annotation('demo', 'app')).toBe('enabled');
    expect(rules()).toContain('--to-ports 15001');
    expect(host.exec('ipset', 'save', 'istio-inpod-probes-v4')).toContain(podIp);
    expect(host.exec('iptables-nft-save')).toContain('--match-set istio-inpod-probes-v4');
    // New pods of the mesh wait and say for what; others start.
    expect(chained()).toEqual(['ptp', 'istio-cni']);
    expect(await startPod('plain')).toMatchObject({ exitCode: 0 });
    const held = await startPod('demo');
    expect(held).toMatchObject({ exitCode: 1, json: { code: 11 } });
    expect(held.json['msg']).toContain('MESH0710: Pod demo/new waits');
    expect(held.json['details']).toContain(reason);
    expect(await cluster.nodeEvents()).toEqual([
      expect.stringMatching(`^Warning: .*${reason}.*stays captured: demo/app. New pods .* are held back`),
    ]);
  };
  const expectClean = (): void => {
    expect(chained()).toEqual(['ptp']);
    expect(readdirSync(agent.binDir)).toEqual([]);
    expect(readdirSync(agent.runDir).filter((name) => name.startsWith('plugin'))).toEqual([]);
    expect(host.exec('iptables-nft-save')).not.toContain('ISTIO');
    expect(host.exec('ipset', 'list', '-n')).toBe('');
    expect(rules()).not.toContain('ISTIO');
  };

  it('keeps pods and guards the node when its DaemonSet no longer selects it, until it comes back', async () => {
    await cluster.selectNodes('test/nowhere');
    await agent.stop();
    await expectGuarded('the DaemonSet no longer selects this node');

    await cluster.selectNodes(null);
    await startAgent();
    await eventually(async () => (await agent.enrollment()).ztunnel.connected);
    expect(await agent.startPod({ namespace: 'demo', name: 'new', netns, ip: podIp })).toMatchObject({
      exitCode: 0,
    });
    await cluster.label('demo', null);
    await eventually(() => !rules().includes('ISTIO'));
  });

  it('keeps them when its DaemonSet is gone, but the mesh is not', async () => {
    await cluster.deleteDaemonSet();
    await agent.stop();
    await expectGuarded('the DaemonSet is gone');
  });

  it('keeps them when it may not ask any more', async () => {
    await cluster.forbidAgent();
    await agent.stop();
    expect(chained()).toEqual(['ptp', 'istio-cni']);
    expect(host.exec('ipset', 'save', 'istio-inpod-probes-v4')).toContain(podIp);
    const held = await startPod('demo');
    expect(held.json['details']).toContain('permissions are gone');
  });

  it('leaves everything to a successor when nobody can say what happens', async () => {
    await cluster.stopServer();
    await agent.stop();
    expect(chained()).toEqual(['ptp', 'istio-cni']);
    expect(rules()).toContain('--to-ports 15001');
    expect(host.exec('ipset', 'save', 'istio-inpod-probes-v4')).toContain(podIp);
    const held = await agent.startPod({ namespace: 'demo', name: 'new', netns, ip: podIp });
    expect(held.json['msg']).toContain('MESH0709');
  });

  it('releases all and leaves nothing when the mesh is taken away', async () => {
    await cluster.deleteDaemonSet('ztunnel');
    await cluster.deleteDaemonSet();
    await agent.stop();
    expectClean();
    expect(await cluster.annotation('demo', 'app')).toBeUndefined();
    expect(await cluster.nodeEvents()).toEqual([]);
  });

  it('waits for the rest of the mesh to go', async () => {
    await cluster.deleteDaemonSet();
    let isStopped = false;
    const stopped = agent.stop().then(() => {
      isStopped = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(isStopped).toBe(false);
    await cluster.deleteDaemonSet('ztunnel');
    await stopped;
    expectClean();
  });

  it('releases on its way what the labels let go, and then leaves nothing', async () => {
    await cluster.selectNodes('test/nowhere');
    await cluster.label('demo', null);
    await eventually(
      async () => (await agent.enrollment('?namespace=demo')).pods[0]?.wanted.enroll === false,
    );
    await agent.stop();
    expectClean();
    expect(await cluster.annotation('demo', 'app')).toBeUndefined();
    expect(await cluster.nodeEvents()).toEqual([
      expect.stringMatching(/^Normal: .*no longer selects this node. New pods of the mesh start uncaptured/),
    ]);
  });
});
