import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { pods as podsResource } from '#base/kube/resource.js';
import { setLogOutput } from '#base/telemetry/log.js';
import { conflist, TestAgent } from './test-agent.js';
import { TestCluster } from './test-cluster.js';
import { eventually, isRoot, joinPtp, makeNetns, type TestNetns } from './test-netns.js';
import { TestZtunnel } from './test-ztunnel.js';

const podIp = '10.9.0.2';
const hostIp = '10.9.0.1';

/** The agent on a node of one pod, with a real API server, real rules and a small node proxy. */
describe.runIf(isRoot)('CNI agent', () => {
  let cluster: TestCluster;
  let host: TestNetns;
  let pod: TestNetns;
  let agent: TestAgent;
  let ztunnel: TestZtunnel;
  let netnsPath: string;
  const logged: string[] = [];

  beforeEach(async ({ onTestFailed }) => {
    logged.length = 0;
    setLogOutput((line) => logged.push(line));
    onTestFailed(() => {
      process.stderr.write(logged.join(''));
    });
    cluster = await TestCluster.start();
    await cluster.daemonSet();
    await cluster.namespace('demo');
    host = makeNetns();
    pod = makeNetns();
    joinPtp(host, pod, { podIp, hostIp });
    agent = new TestAgent(cluster, host);
    netnsPath = agent.mountNetns(pod);
    ztunnel = new TestZtunnel();
  });
  afterEach(async () => {
    ztunnel.close();
    await agent.dispose();
    await cluster.stop();
    pod.remove();
    host.remove();
  });

  const startWithZtunnel = async (): Promise<void> => {
    await agent.start();
    await ztunnel.connect(agent.zdsPath);
    await eventually(async () => (await agent.enrollment()).ztunnel.connected);
  };
  const annotated = (state: string | undefined) =>
    eventually(async () => (await cluster.annotation('demo', 'app')) === state, {
      describe: () => `annotation ${state}\n${logged.join('')}`,
    });
  const startPod = (namespace = 'demo') =>
    agent.startPod({ namespace, name: 'app', netns: netnsPath, ip: podIp });
  const rules = (): string => pod.exec('iptables-nft-save');
  const probeSet = (): string => host.exec('ipset', 'save', 'istio-inpod-probes-v4');

  it('captures a running pod when its namespace is labeled, and releases it again', async () => {
    const { metadata } = await cluster.pod('demo', 'app', [podIp]);
    await startWithZtunnel();
    expect((await agent.enrollment()).pods).toEqual([]);

    await cluster.label('demo', 'ambient');
    await annotated('enabled');
    expect(ztunnel.seen).toContain(`add ${metadata.uid} ${pod.handle.inode}`);
    expect(ztunnel.workloads).toEqual(['demo/app/default']);
    expect(rules()).toContain('--to-ports 15001');
    expect(probeSet()).toContain(`${podIp} comment "${metadata.uid}"`);
    const [report] = (await agent.enrollment('?namespace=demo&pod=app')).pods;
    expect(report).toMatchObject({
      uid: metadata.uid,
      state: 'enabled',
      netnsInode: String(pod.handle.inode),
      rules: { ok: true, missing: [] },
      listeners: { '15001': false, '15006': false, '15008': false },
    });

    await cluster.label('demo', null);
    await eventually(() => ztunnel.seen.includes(`del ${metadata.uid}`));
    await annotated(undefined);
    await eventually(() => !rules().includes('ISTIO'));
    await eventually(() => !probeSet().includes(podIp));
    expect((await agent.enrollment('?namespace=demo')).pods[0]).toMatchObject({
      state: 'none',
      wanted: { enroll: false },
      rules: { ok: false },
    });
  });

  it('captures without ztunnel (fail closed), says pending, and enabled once ztunnel takes the pod', async () => {
    await cluster.pod('demo', 'app', [podIp]);
    await agent.start();
    await cluster.label('demo', 'ambient');
    await annotated('pending');
    expect(rules()).toContain('--to-ports 15001');
    expect((await agent.enrollment()).pods[0]).toMatchObject({
      state: 'pending',
      error: expect.stringContaining('no ztunnel'),
    });
    await ztunnel.connect(agent.zdsPath);
    await annotated('enabled');
    expect((await agent.enrollment()).pods[0]?.error).toBeUndefined();
  });

  it('tells ztunnel of a running pod before rules send anything to it', async () => {
    await cluster.pod('demo', 'app', [podIp]);
    const rulesAtAdd: string[] = [];
    ztunnel.answer = (seen) => {
      if (seen.startsWith('add')) rulesAtAdd.push(rules());
      return '';
    };
    await startWithZtunnel();
    await cluster.label('demo', 'ambient');
    await annotated('enabled');
    expect(rulesAtAdd[0]).not.toContain('ISTIO');
  });

  it('tells peers before it releases a pod', async () => {
    await cluster.pod('demo', 'app', [podIp]);
    await startWithZtunnel();
    await cluster.label('demo', 'ambient');
    await annotated('enabled');
    let atDel: { annotation: string | undefined; rules: string } | undefined;
    ztunnel.answer = async (seen) => {
      if (seen.startsWith('del'))
        atDel = { annotation: await cluster.annotation('demo', 'app'), rules: rules() };
      return '';
    };
    await cluster.label('demo', null);
    await eventually(() => atDel !== undefined);
    expect(atDel?.annotation).toBeUndefined();
    // Nothing leads to the proxy any more; what was captured is still translated.
    const nat = atDel?.rules.split('*nat')[1];
    expect(nat).not.toContain('-j ISTIO');
    expect(nat).toContain('--to-ports 15001');
    await eventually(() => !rules().includes('ISTIO'));
  });

  it('puts back what somebody deletes, in the pod and on the host', async () => {
    await cluster.pod('demo', 'app', [podIp]);
    await startWithZtunnel();
    await cluster.label('demo', 'ambient');
    await annotated('enabled');
    const before = rules().match(/^-A.*/gm);
    pod.exec('iptables-nft', '-t', 'nat', '-F', 'ISTIO_OUTPUT');
    pod.exec('ip', 'rule', 'del', 'priority', '32764');
    host.exec('iptables-nft', '-t', 'nat', '-F', 'ISTIO_POSTRT');
    host.exec('ipset', 'flush', 'istio-inpod-probes-v4');
    const report = await agent.enrollment();
    expect(report.hostRules.ok && report.pods[0]?.rules.ok).toBe(false);
    await eventually(async () => {
      const now = await agent.enrollment();
      return now.hostRules.ok && now.pods[0]?.rules.ok === true;
    });
    expect(rules().match(/^-A.*/gm)).toEqual(before);
    expect(probeSet()).toContain(podIp);
  });

  it('holds a starting pod until ztunnel has it', async () => {
    await cluster.label('demo', 'ambient');
    const { metadata } = await cluster.pod('demo', 'app');
    let release: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    ztunnel.answer = async (seen) => {
      if (seen.startsWith('add')) await gate;
      return '';
    };
    await startWithZtunnel();
    const started = startPod();
    await eventually(() => ztunnel.seen.includes(`add ${metadata.uid} ${pod.handle.inode}`));
    expect(rules()).toContain('--to-ports 15001');
    release();
    expect(await started).toMatchObject({ exitCode: 0, json: { ips: [{ address: `${podIp}/24` }] } });
    await annotated('enabled');
    expect(probeSet()).toContain(podIp);
  });

  it('does not let a pod start while ztunnel or the agent is away, but others do', async () => {
    await cluster.label('demo', 'ambient');
    await cluster.namespace('plain');
    await cluster.pod('demo', 'app');
    await cluster.pod('plain', 'app');
    await agent.start();
    expect(await startPod()).toMatchObject({
      exitCode: 1,
      json: { code: 100, details: expect.stringContaining('no ztunnel') },
    });
    expect((await agent.enrollment('?namespace=demo')).pods[0]).toMatchObject({ state: 'none' });
    await agent.stop();
    expect(await startPod()).toMatchObject({ exitCode: 1, json: { code: 11 } });
    expect(await startPod('plain')).toMatchObject({ exitCode: 0 });
    expect(await startPod('kube-system')).toMatchObject({ exitCode: 0 });
  });

  it("holds back, while it is away, pods of a namespace with a pod that is enrolled by the pod's own label", async () => {
    await cluster.namespace('mixed');
    await cluster.namespace('plain');
    await cluster.pod('mixed', 'own', [], { 'istio.io/dataplane-mode': 'ambient' });
    await agent.start();
    await agent.stop();
    expect(await startPod('mixed')).toMatchObject({ exitCode: 1, json: { code: 11 } });
    expect(await startPod('plain')).toMatchObject({ exitCode: 0 });
  });

  it('writes down what a label changes, also when it stops right after', async () => {
    await cluster.pod('demo', 'app');
    await agent.start();
    await cluster.label('demo', 'ambient');
    await eventually(async () => {
      const [report] = (await agent.enrollment('?namespace=demo')).pods;
      return report?.wanted.enroll === true;
    });
    await agent.stop();
    expect(await startPod('demo')).toMatchObject({ exitCode: 1, json: { code: 11 } });
    await cluster.label('demo', null);
    await agent.start();
    await agent.stop();
    expect(await startPod('demo')).toMatchObject({ exitCode: 0 });
  });

  it('captures a pod whose namespace was labeled a moment ago', async () => {
    await startWithZtunnel();
    for (let i = 0; i < 5; i++) {
      // The watch tells of the label when it tells of it; the runtime asks at once.
      await cluster.namespace(`new-${i}`);
      await cluster.pod(`new-${i}`, 'app');
      await cluster.label(`new-${i}`, 'ambient');
      expect(await startPod(`new-${i}`)).toMatchObject({ exitCode: 0 });
      expect(rules()).toContain('--to-ports 15001');
      await cluster.deletePod(`new-${i}`, 'app');
      pod.exec('sh', '-c', 'iptables-nft -t nat -F && ip6tables-nft -t nat -F');
    }
  });

  it('captures a burst of fifty pods, each before it starts', async () => {
    await cluster.label('demo', 'ambient');
    await startWithZtunnel();
    const burst = Array.from({ length: 50 }, (_, i) => ({ name: `p-${i}`, netns: makeNetns() }));
    try {
      for (const { name } of burst) await cluster.pod('demo', name);
      const runs = await Promise.all(
        burst.map(({ name, netns }) =>
          agent.startPod({ namespace: 'demo', name, netns: agent.mountNetns(netns), ip: podIp }),
        ),
      );
      expect(runs.filter(({ exitCode }) => exitCode !== 0)).toEqual([]);
      for (const { netns } of burst) expect(netns.exec('iptables-nft-save')).toContain('--to-ports 15001');
      expect(new Set(ztunnel.seen.filter((seen) => seen.startsWith('add'))).size).toBe(50);
    } finally {
      for (const { netns } of burst) netns.remove();
    }
  });

  it('does not take a pod for its successor of the same name', async () => {
    await cluster.label('demo', 'ambient');
    await cluster.pod('demo', 'app');
    await startWithZtunnel();
    const uid = '0a1b2c3d-1111-2222-3333-444455556666';
    const run = await agent.startPod({ namespace: 'demo', name: 'app', netns: netnsPath, ip: podIp, uid });
    expect(run).toMatchObject({ exitCode: 1, json: { code: 11 } });
    expect(run.json['details']).toContain('UID');
    expect(rules()).not.toContain('ISTIO');
  });

  it('goes by what it knows while the API server is away', async () => {
    await cluster.namespace('plain');
    await cluster.label('demo', 'ambient');
    await cluster.pod('demo', 'app');
    await cluster.pod('plain', 'app');
    await startWithZtunnel();
    await cluster.stopServer();
    expect(await startPod('plain')).toMatchObject({ exitCode: 0 });
    expect(rules()).not.toContain('ISTIO');
    const unknown = await agent.startPod({ namespace: 'plain', name: 'new', netns: netnsPath, ip: podIp });
    expect(unknown).toMatchObject({ exitCode: 1, json: { code: 11 } });
    expect(await startPod('demo')).toMatchObject({ exitCode: 0 });
    expect(rules()).toContain('--to-ports 15001');
  });

  it("still serves upstream's plugin, which reports over HTTP", async () => {
    await cluster.label('demo', 'ambient');
    await cluster.pod('demo', 'app');
    await agent.start();
    const body = JSON.stringify({
      Netns: netnsPath,
      PodName: 'app',
      PodNamespace: 'demo',
      IPs: [{ Interface: 0, Address: { IP: podIp, Mask: '////AA==' }, Gateway: hostIp }],
    });
    expect(await agent.post('/cmdadd', body)).toMatchObject({
      status: 500,
      body: expect.stringContaining('no ztunnel'),
    });
    await ztunnel.connect(agent.zdsPath);
    await eventually(async () => (await agent.enrollment()).ztunnel.connected);
    expect(await agent.post('/cmdadd', body)).toEqual({ status: 200, body: '' });
    expect(rules()).toContain('--to-ports 15001');
    expect(await agent.post('/cmdadd', '{}')).toMatchObject({ status: 400 });
  });

  it('answers CHECK with the rules that are missing', async () => {
    await cluster.label('demo', 'ambient');
    await cluster.pod('demo', 'app', [podIp]);
    await startWithZtunnel();
    await annotated('enabled');
    const check = () =>
      agent.node.run(
        { CNI_COMMAND: 'CHECK', CNI_ARGS: 'K8S_POD_NAMESPACE=demo;K8S_POD_NAME=app' },
        JSON.stringify({ cniVersion: '1.0.0', name: 'net' }),
      );
    expect(await check()).toMatchObject({ exitCode: 0, stdout: '' });
    // The agent puts it back within a moment; one look in between is enough.
    await eventually(async () => {
      pod.exec('iptables-nft', '-t', 'nat', '-F', 'ISTIO_OUTPUT');
      const { exitCode, json } = await check();
      return exitCode === 1 && json['code'] === 100 && String(json['details']).includes('ISTIO_OUTPUT');
    });
  });

  it('lets go of a deleted pod', async () => {
    const { metadata } = await cluster.pod('demo', 'app', [podIp]);
    await startWithZtunnel();
    await cluster.label('demo', 'ambient');
    await annotated('enabled');
    await cluster.deletePod('demo', 'app');
    await eventually(() => ztunnel.seen.includes(`del ${metadata.uid}`) && !probeSet().includes(podIp));
    expect((await agent.enrollment()).pods).toEqual([]);
  });

  it('lets go of a pod that has ended, although its address is gone from the status', async () => {
    const { metadata } = await cluster.pod('demo', 'app', [podIp]);
    await startWithZtunnel();
    await cluster.label('demo', 'ambient');
    await annotated('enabled');
    await cluster.setIps('demo', 'app', [], 'Succeeded');
    await eventually(() => ztunnel.seen.includes(`del ${metadata.uid}`) && !probeSet().includes(podIp));
  });

  it('leaves everything in place when it restarts, and catches up on what it missed', async () => {
    const { metadata } = await cluster.pod('demo', 'app', [podIp]);
    await startWithZtunnel();
    await cluster.label('demo', 'ambient');
    await annotated('enabled');
    await agent.stop();
    expect(rules()).toContain('--to-ports 15001');
    expect(probeSet()).toContain(podIp);
    expect(agent.config().plugins.map((plugin) => plugin.type)).toEqual(['ptp', 'istio-cni']);

    pod.exec('iptables-nft', '-t', 'nat', '-F', 'ISTIO_OUTPUT');
    const next = new TestZtunnel();
    await agent.start();
    await next.connect(agent.zdsPath);
    await eventually(() => next.seen.includes('snapshot'));
    expect(next.seen).toEqual([`add ${metadata.uid} ${pod.handle.inode}`, 'snapshot']);
    expect((await agent.enrollment()).pods[0]).toMatchObject({ state: 'enabled', rules: { ok: true } });
    next.close();
  });

  it('goes before a rule that keeps traffic from the proxy, and says so in an event of the pod', async () => {
    await cluster.pod('demo', 'app', [podIp]);
    await startWithZtunnel();
    await cluster.label('demo', 'ambient');
    await annotated('enabled');
    pod.exec('iptables-nft', '-t', 'nat', '-I', 'OUTPUT', '1', '-j', 'ACCEPT');
    await eventually(() => /-A OUTPUT -j ISTIO_OUTPUT\n-A OUTPUT -j ACCEPT/.test(rules()));
    const told = () => cluster.eventsOf('demo', 'MeshRedirectionOverridden');
    await eventually(async () => (await told()).length > 0);
    pod.exec('iptables-nft', '-t', 'nat', '-D', 'OUTPUT', '-j', 'ACCEPT');
    pod.exec('iptables-nft', '-t', 'nat', '-I', 'OUTPUT', '1', '-j', 'ACCEPT');
    await eventually(() => /-A OUTPUT -j ISTIO_OUTPUT\n-A OUTPUT -j ACCEPT/.test(rules()));
    expect(await told()).toEqual([
      expect.objectContaining({
        type: 'Warning',
        involvedObject: expect.objectContaining({ kind: 'Pod', namespace: 'demo', name: 'app' }),
        message: expect.stringContaining('v4: -t nat -A OUTPUT -j ACCEPT'),
      }),
    ]);
  });

  it('says which rule defeats its own wherever it stands', async () => {
    await cluster.pod('demo', 'app', [podIp]);
    await startWithZtunnel();
    await cluster.label('demo', 'ambient');
    await annotated('enabled');
    pod.exec('iptables-nft', '-t', 'raw', '-I', 'OUTPUT', '-p', 'tcp', '-j', 'CT', '--notrack');
    expect((await agent.enrollment()).pods[0]?.rules).toMatchObject({
      ok: false,
      missing: [],
      overriding: ['v4: -t raw -A OUTPUT -p tcp -j CT --notrack'],
    });
  });

  it('takes no namespace for a pod that had the same address before the node booted', async () => {
    await cluster.label('demo', 'ambient');
    await cluster.pod('demo', 'app', [podIp]);
    await cluster.annotate('demo', 'app', 'enabled');
    await cluster.setStarted('demo', 'app', new Date(Date.now() - 60_000));
    await startWithZtunnel();
    await eventually(async () => (await agent.enrollment()).pods[0]?.error?.includes('namespace') === true);
    expect(rules()).not.toContain('ISTIO');

    await cluster.setStarted('demo', 'app', new Date());
    await eventually(() => rules().includes('--to-ports 15001'));
  });

  it('releases after a restart a pod whose label went while it was away', async () => {
    await cluster.pod('demo', 'app', [podIp]);
    await startWithZtunnel();
    await cluster.label('demo', 'ambient');
    await annotated('enabled');
    await agent.stop();
    await cluster.label('demo', null);
    await agent.start();
    await annotated(undefined);
    await eventually(() => !rules().includes('ISTIO'));
  });

  it('removes the rules of a release that its predecessor did not finish', async () => {
    await cluster.pod('demo', 'app', [podIp]);
    await startWithZtunnel();
    await cluster.label('demo', 'ambient');
    await annotated('enabled');
    await agent.stop();
    await cluster.label('demo', null);
    await cluster.admin.patch(
      { resource: podsResource, namespace: 'demo', name: 'app', subresource: 'status' },
      { metadata: { annotations: { 'ambient.istio.io/redirection': null } } },
    );
    await agent.start();
    await eventually(() => !rules().includes('ISTIO'));
  });

  it('announces a pod with keep when its namespace is not found', async () => {
    const { metadata } = await cluster.pod('demo', 'app', ['10.9.0.77']);
    await cluster.admin.patch(
      { resource: podsResource, namespace: 'demo', name: 'app', subresource: 'status' },
      { metadata: { annotations: { 'ambient.istio.io/redirection': 'enabled' } } },
    );
    await cluster.label('demo', 'ambient');
    await startWithZtunnel();
    expect(ztunnel.seen.slice(0, 2)).toEqual([`keep ${metadata.uid}`, 'snapshot']);
  });

  it('takes the mesh off the node on request, with pods left running', async () => {
    const { metadata } = await cluster.pod('demo', 'app', [podIp]);
    await startWithZtunnel();
    await cluster.label('demo', 'ambient');
    await annotated('enabled');
    expect(await agent.leftovers()).not.toEqual([]);
    const report = await agent.cleanup();
    expect(report).toMatchObject({ unenrolled: ['demo/app'], left: [], errors: [] });
    expect(ztunnel.seen.at(-1)).toBe(`del ${metadata.uid}`);
    expect(rules()).not.toContain('ISTIO');
    expect(pod.exec('ip', 'rule')).not.toContain('0x111');
    expect(host.exec('ipset', 'list', '-n')).toBe('');
    expect(host.exec('iptables-nft-save')).not.toContain('ISTIO');
    expect(agent.config().plugins.map((plugin) => plugin.type)).toEqual(['ptp']);
    expect(readdirSync(agent.binDir)).toEqual([]);
    expect(readdirSync(agent.runDir)).toEqual([]);
    expect(existsSync(agent.zdsPath)).toBe(false);
    expect(await cluster.annotation('demo', 'app')).toBeUndefined();
    expect(await agent.leftovers()).toEqual([]);
    expect(await agent.ready()).toMatchObject({
      status: 503,
      body: expect.stringContaining('being removed'),
    });
  });

  it('is not ready without a network configuration, and installs when one appears', async () => {
    rmSync(join(agent.netDir, '10-ptp.conflist'));
    const started = agent.start();
    await eventually(async () => (await agent.ready()).body.includes('no valid CNI configuration'));
    writeFileSync(join(agent.netDir, '10-ptp.conflist'), conflist);
    await started;
    expect(agent.config().plugins.at(-1)).toMatchObject({
      type: 'istio-cni',
      enable_ambient_detection_retry: false,
    });
    writeFileSync(join(agent.netDir, '10-ptp.conflist'), conflist);
    await eventually(() => agent.config().plugins.length === 2);
  });
});
