import { readdirSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { CleanupReport } from '#mesh/cni/agent/cleanup.js';
import { cleanUpFromOutside } from '#mesh/cni/agent/cleanup-command.js';
import { setLogOutput } from '#base/telemetry/log.js';
import { TestAgent } from './test-agent.js';
import { TestCluster } from './test-cluster.js';
import { eventually, isRoot, joinPtp, makeNetns, type TestNetns } from './test-netns.js';
import { TestZtunnel } from './test-ztunnel.js';

const podIp = '10.9.0.2';

describe.runIf(isRoot)('mesh-cni cleanup', () => {
  let cluster: TestCluster;
  let host: TestNetns;
  let pod: TestNetns;
  let agent: TestAgent;
  let ztunnel: TestZtunnel;

  beforeEach(async () => {
    setLogOutput(() => undefined);
    cluster = await TestCluster.start();
    await cluster.daemonSet();
    await cluster.namespace('demo', { 'istio.io/dataplane-mode': 'ambient' });
    host = makeNetns();
    pod = makeNetns();
    joinPtp(host, pod, { podIp, hostIp: '10.9.0.1' });
    agent = new TestAgent(cluster, host);
    agent.mountNetns(pod);
    await cluster.pod('demo', 'app', [podIp]);
    await agent.start();
    ztunnel = new TestZtunnel();
    await ztunnel.connect(agent.zdsPath);
    await eventually(async () => (await cluster.annotation('demo', 'app')) === 'enabled');
  });
  afterEach(async () => {
    ztunnel.close();
    await agent.dispose();
    await cluster.stop();
    pod.remove();
    host.remove();
  });

  const cleanUp = async (): Promise<{ exitCode: number; report: CleanupReport }> => {
    const written: string[] = [];
    const spy = vi.spyOn(process.stdout, 'write').mockImplementation((chunk, ...rest) => {
      written.push(String(chunk));
      const done = rest.at(-1);
      if (typeof done === 'function') done();
      return true;
    });
    try {
      const exitCode = await cleanUpFromOutside(agent.settings(), () => cluster.agentClient());
      return { exitCode, report: JSON.parse(written.join('')) as CleanupReport };
    } finally {
      spy.mockRestore();
      setLogOutput(() => undefined);
    }
  };
  const expectClean = async (): Promise<void> => {
    expect(pod.exec('iptables-nft-save')).not.toContain('ISTIO');
    expect(host.exec('iptables-nft-save')).not.toContain('ISTIO');
    expect(host.exec('ipset', 'list', '-n')).toBe('');
    expect(readdirSync(agent.binDir)).toEqual([]);
    expect(readdirSync(agent.runDir)).toEqual([]);
    expect(agent.config().plugins.map((plugin) => plugin.type)).toEqual(['ptp']);
    expect(await cluster.annotation('demo', 'app')).toBeUndefined();
  };

  it('has the running agent do it and prints the report', async () => {
    const { exitCode, report } = await cleanUp();
    expect(exitCode).toBe(0);
    expect(report).toMatchObject({ node: 'node-1', unenrolled: ['demo/app'], left: [], errors: [] });
    await expectClean();
    await agent.stop();
    await expectClean();
  });

  it('does it alone when no agent runs', async () => {
    await agent.stop();
    const { exitCode, report } = await cleanUp();
    expect(report).toMatchObject({ unenrolled: ['demo/app'], left: [], errors: [] });
    expect(exitCode).toBe(0);
    await expectClean();
  });

  it('finds rules of a pod whose annotation is gone', async () => {
    await agent.stop();
    await cluster.deletePod('demo', 'app');
    const { report } = await cleanUp();
    expect(report.unenrolled).toEqual([]);
    expect(report.removed.join('\n')).toContain(`redirection in the namespace of`);
    expect(pod.exec('iptables-nft-save')).not.toContain('ISTIO');
  });

  it('removes the rules also when the API server is away, and says what it could not do', async () => {
    await agent.stop();
    await cluster.stopServer();
    const { exitCode, report } = await cleanUp();
    expect(exitCode).toBe(1);
    expect(report.left).toEqual([]);
    expect(report.errors.join()).toContain('release pods');
    expect(pod.exec('iptables-nft-save')).not.toContain('ISTIO');
  });
});
