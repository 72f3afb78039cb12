import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nodeMatches } from '#base/kube/node-selector.js';
import { mountedNetnsPath, parseCmdAdd, parseLogLines } from '#mesh/cni/agent/plugin-events.js';
import { podAddress } from '#mesh/cni/agent/pod-facts.js';
import { readAgentConfig } from '#mesh/cni/config.js';
import { parseSelectors } from '#mesh/rules/enrollment-config.js';
import { chooseNetns, type NetnsFacts, podUidOfCgroup } from '#mesh/cni/netns-finder.js';
import type { ContainerStatus, Pod } from '#base/kube/types.js';
import { addressesInResult, parseCniConf } from '#mesh/cni/requests/cni-conf.js';
import { parseCniRequest } from '#mesh/cni/requests/cni-request.js';
import { pluginScript } from '#mesh/cni/installer/plugin-script.js';

describe('the report of the plugin', () => {
  it('is read with the names and nulls that Go writes', () => {
    const body =
      '{"Netns":"/var/run/netns/cni-abc","PodName":"p","PodNamespace":"n","IPs":[{"Interface":0,"Address":{"IP":"10.0.0.5","Mask":"/////w=="},"Gateway":"10.0.0.1"},{"Interface":null,"Address":{"IP":"fd00::5","Mask":""},"Gateway":""}]}';
    expect(parseCmdAdd(body)).toEqual({
      netns: '/var/run/netns/cni-abc',
      name: 'p',
      namespace: 'n',
      uid: undefined,
      ips: ['10.0.0.5', 'fd00::5'],
    });
    expect(parseCmdAdd('{"Netns":"/a","PodName":"p","PodNamespace":"n","IPs":null}').ips).toEqual([]);
  });

  it.each([
    '',
    '[]',
    '{}',
    '{"Netns":1,"PodName":"p","PodNamespace":"n"}',
    '{"Netns":"x","PodName":"p","PodNamespace":"n","IPs":[{}]}',
  ])('is refused when it is %j', (body) => {
    expect(() => parseCmdAdd(body)).toThrow();
  });

  it('never crashes the parser with anything but an error', () => {
    fc.assert(
      fc.property(fc.json(), (body) => {
        try {
          expect(typeof parseCmdAdd(body).netns).toBe('string');
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
        }
      }),
    );
  });

  it('names a namespace below the mounted folders only', () => {
    const mounts = { procDir: '/host/proc', netnsDir: '/host/var/run/netns' };
    expect(mountedNetnsPath('/var/run/netns/cni-1', mounts)).toBe('/host/var/run/netns/cni-1');
    expect(mountedNetnsPath('/run/netns/cni-1', mounts)).toBe('/host/var/run/netns/cni-1');
    expect(mountedNetnsPath('/proc/42/ns/net', mounts)).toBe('/host/proc/42/ns/net');
    for (const path of [
      '/etc/passwd',
      '/var/run/netns/../../../etc/passwd',
      '/var/run/netns/a/b',
      '/proc/self/ns/net',
    ]) {
      expect(() => mountedNetnsPath(path, mounts)).toThrow(path);
    }
  });

  it('carries log lines as JSON inside JSON', () => {
    expect(parseLogLines('["{\\"level\\":\\"info\\",\\"msg\\":\\"hi\\"}"]')).toEqual([
      { level: 'info', msg: 'hi' },
    ]);
    expect(() => parseLogLines('{}')).toThrow();
  });
});

describe('a request of the plugin', () => {
  it('is read as it was laid down, whatever the values hold', () => {
    const args = 'IgnoreUnknown=1;K8S_POD_NAME=p;bad;=x;K8S_POD_NAMESPACE=n;K8S_POD_UID=a=b';
    const text = `CNI_COMMAND=ADD\nCNI_NETNS=/var/run/netns/a\nCNI_ARGS=${args}\n\n{"a":\n\n1}\n`;
    expect(parseCniRequest(text)).toEqual({
      command: 'ADD',
      netns: '/var/run/netns/a',
      pod: { namespace: 'n', name: 'p', uid: 'a=b' },
      conf: '{"a":\n\n1}\n',
    });
  });

  it.each(['', 'CNI_COMMAND=ADD\n', 'CNI_COMMAND=ADD\nCNI_ARGS=K8S_POD_NA'])(
    'is refused when it is cut off: %j',
    (text) => {
      expect(() => parseCniRequest(text)).toThrow('cut off');
    },
  );
});

describe('the configuration of the plugin', () => {
  it('tells the addresses in results of every CNI version', () => {
    expect(addressesInResult({ ips: [{ address: 'fd00::5/64' }, { address: 3 }, null] })).toEqual([
      'fd00::5',
    ]);
    expect(addressesInResult({ ip4: { ip: '10.0.0.5/20' }, ip6: { ip: 'fd00::5/64' } })).toEqual([
      '10.0.0.5',
      'fd00::5',
    ]);
    expect(addressesInResult({ ips: 'x', ip4: null })).toEqual([]);
    expect(addressesInResult(undefined)).toEqual([]);
  });

  it('takes null for an absent previous result', () => {
    expect(parseCniConf('{"cniVersion":"1.0.0","prevResult":null}').prevResult).toBeUndefined();
    expect(() => parseCniConf('{"cniVersion":"1.0.0","prevResult":3}')).toThrow(/prevResult/);
    expect(() => parseCniConf('{"cniVersion":"1.2.0"}')).toThrow('1.2.0');
  });
});

describe('the plugin for a node', () => {
  const settings = {
    busybox: '/opt/cni/bin/.istio-cni/busybox-1',
    runDir: '/var/run/istio-cni',
    excludeNamespaces: ['kube-system', 'a'],
    agentNamespace: 'istio-system',
  };
  const template = "#!@BUSYBOX@ sh\nrun='@RUN_DIR@'\nx=' @EXCLUDED_NAMESPACES@ '\nn=@AGENT_NAMESPACE@\n";

  it('has its settings written into it', () => {
    expect(pluginScript(template, settings)).toBe(
      "#!/opt/cni/bin/.istio-cni/busybox-1 sh\nrun='/var/run/istio-cni'\nx=' kube-system a '\nn=istio-system\n",
    );
  });

  it.each([
    { busybox: "/opt/cni'/bin" },
    { busybox: '/opt/my bin' },
    { runDir: '/run\n/x' },
    { runDir: 'run' },
    { excludeNamespaces: ['kube-system', '$(reboot)'] },
    { excludeNamespaces: ['a b'] },
    { agentNamespace: "x';y" },
  ])('is not written with %j, which would be read as shell', (bad) => {
    expect(() => pluginScript(template, { ...settings, ...bad })).toThrow('cannot be written');
  });
});

describe('the namespace of a pod', () => {
  const uid = '0a1b2c3d-1111-2222-3333-444455556666';
  const found = (o: {
    ips: string[];
    uids?: string[];
    startedAt?: number;
    knownSinceMs?: number;
  }): NetnsFacts => ({
    addresses: new Set(o.ips),
    uids: new Set(o.uids ?? []),
    startedAt: o.startedAt ?? 1,
    knownSinceMs: o.knownSinceMs ?? 0,
  });
  const address = { uid, ips: ['10.0.0.5'], startedMs: undefined };

  it.each([
    `0::/kubepods/besteffort/pod${uid}/0123abcd`,
    `0::/kubepods.slice/kubepods-pod${uid.replaceAll('-', '_')}.slice/cri-containerd-0123.scope`,
    `1:name=systemd:/system.slice/containerd.service/kubepods-burstable-pod${uid.replaceAll('-', '_')}.slice:cri:01`,
  ])('is named by %s', (line) => {
    expect(podUidOfCgroup(`${line}\n`)).toBe(uid);
  });

  it('is named by the innermost pod on a node that runs in a pod itself', () => {
    const outer = 'ffffffff-1111-2222-3333-444455556666';
    expect(podUidOfCgroup(`0::/kubepods/pod${outer}/abc/kubepods/pod${uid}/def`)).toBe(uid);
  });

  it.each(['0::/', '0::/user.slice', '0::/kubepods/pod1234/abcd', ''])('is not named by %j', (line) => {
    expect(podUidOfCgroup(line)).toBeUndefined();
  });

  it('holds an address of the pod; the one that names the pod goes first, then the oldest', () => {
    const other = found({ ips: ['10.0.0.9'], uids: [uid] });
    const byAddress = found({ ips: ['10.0.0.5'], startedAt: 1 });
    const young = found({ ips: ['10.0.0.5'], uids: [uid], startedAt: 9 });
    const old = found({ ips: ['10.0.0.5'], uids: [uid], startedAt: 5 });
    expect(chooseNetns(address, [other])).toBeUndefined();
    expect(chooseNetns(address, [other, byAddress])).toBe(byAddress);
    expect(chooseNetns(address, [other, byAddress, young, old])).toBe(old);
  });

  it('is never one that belongs to another pod', () => {
    const stranger = found({ ips: ['10.0.0.5'], uids: ['ffffffff-1111-2222-3333-444455556666'] });
    expect(chooseNetns(address, [stranger])).toBeUndefined();
  });

  it('was there when its containers started, or else names the pod', () => {
    const at = (knownSinceMs: number, uids: string[] = []) =>
      found({ ips: ['10.0.0.5'], uids, knownSinceMs });
    const pod = { ...address, startedMs: 50_000 };
    const [before, sameSecond, after, named] = [at(40_000), at(50_900), at(51_000), at(60_000, [uid])];
    expect(chooseNetns(pod, [after])).toBeUndefined();
    expect(chooseNetns(pod, [after, before])).toBe(before);
    expect(chooseNetns(pod, [sameSecond])).toBe(sameSecond);
    expect(chooseNetns(pod, [before, named])).toBe(named);
  });
});

describe('the address of a pod', () => {
  it('comes with the latest start of a container, also of one that has ended', () => {
    const started = (second: number) => ({ startedAt: `2026-01-01T00:00:0${second}Z` });
    const status = (state: object, lastState = {}) => ({
      name: 'c',
      image: 'i',
      imageID: '',
      ready: false,
      restartCount: 0,
      state,
      lastState,
    });
    const pod = (
      containerStatuses: ContainerStatus[],
      initContainerStatuses: ContainerStatus[] = [],
    ): Pod => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'p', uid: 'u' },
      spec: { containers: [] },
      status: { podIP: '10.0.0.5', containerStatuses, initContainerStatuses },
    });
    const seconds = (p: Pod) => (podAddress(p).startedMs ?? Number.NaN) / 1_000 - Date.UTC(2026) / 1_000;
    expect(podAddress(pod([status({ waiting: {} })])).startedMs).toBeUndefined();
    expect(
      seconds(
        pod([status({ running: started(3) })], [status({ terminated: { exitCode: 0, ...started(1) } })]),
      ),
    ).toBe(3);
    expect(seconds(pod([status({ waiting: {} }, { terminated: { exitCode: 1, ...started(2) } })]))).toBe(2);
  });
});

describe('the settings of the agent', () => {
  it('have the documented defaults', () => {
    const config = readAgentConfig({ NODE_NAME: 'n1' });
    expect(config).toMatchObject({
      runDir: '/var/run/istio-cni',
      zdsPath: '/var/run/ztunnel/ztunnel.sock',
      cniNetDir: '/host/etc/cni/net.d',
      monitoringPort: 15014,
      probes: { v4: '169.254.7.127', v6: 'fd16:9254:7127:1337:ffff:ffff:ffff:ffff' },
    });
  });

  it.each([
    [{}, 'NODE_NAME'],
    [{ NODE_NAME: 'n', AMBIENT_IPV6: 'ja' }, 'AMBIENT_IPV6'],
    [{ NODE_NAME: 'n', MONITORING_PORT: '-1' }, 'MONITORING_PORT'],
    [{ NODE_NAME: 'n', HOST_PROBE_SNAT_IP: 'fd00::1' }, 'HOST_PROBE_SNAT_IP'],
    [{ NODE_NAME: 'n', NATIVE_NFTABLES: 'true' }, 'NATIVE_NFTABLES'],
    [{ NODE_NAME: 'n', ISTIO_OWNED_CNI_CONFIG: 'true' }, 'ISTIO_OWNED_CNI_CONFIG'],
    [{ NODE_NAME: 'n', FORCE_IPTABLES_BINARY: 'ebtables' }, 'FORCE_IPTABLES_BINARY'],
    [{ NODE_NAME: 'n', AMBIENT_ENABLEMENT_SELECTOR: 'a: b' }, 'AMBIENT_ENABLEMENT_SELECTOR'],
    [{ NODE_NAME: 'n', AMBIENT_ENABLEMENT_SELECTOR: '- {}' }, 'AMBIENT_ENABLEMENT_SELECTOR'],
  ])('are refused by name: %j', (env, name) => {
    expect(() => readAgentConfig(env)).toThrow(
      expect.objectContaining({ code: 'MESH0708', message: expect.stringContaining(name) }),
    );
  });

  it('read the selectors of the chart from YAML', () => {
    const yaml = '- podSelector:\n    matchLabels:\n      istio.io/dataplane-mode: ambient\n';
    expect(parseSelectors(yaml)).toEqual([
      { podSelector: { matchLabels: { 'istio.io/dataplane-mode': 'ambient' } } },
    ]);
  });

  it('write an address as the kernel does', () => {
    const config = readAgentConfig({ NODE_NAME: 'n', HOST_PROBE_SNAT_IPV6: 'FD16:0:0:0::0001' });
    expect(config.probes.v6).toBe('fd16::1');
  });
});

describe('the node of a leaving agent', () => {
  const node = {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'n1', labels: { os: 'linux', zone: '3' } },
  };
  const affinity = (...matchExpressions: { key: string; operator: string; values?: string[] }[]) => ({
    containers: [],
    affinity: {
      nodeAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions }] },
      },
    },
  });

  it.each([
    ['no demand', { containers: [] }, true],
    ['its label', { containers: [], nodeSelector: { os: 'linux' } }, true],
    ['another label', { containers: [], nodeSelector: { os: 'windows' } }, false],
    ['In', affinity({ key: 'os', operator: 'In', values: ['linux'] }), true],
    ['NotIn', affinity({ key: 'os', operator: 'NotIn', values: ['linux'] }), false],
    ['Gt', affinity({ key: 'zone', operator: 'Gt', values: ['2'] }), true],
    ['DoesNotExist', affinity({ key: 'zone', operator: 'DoesNotExist' }), false],
    ['an empty term', affinity(), false],
  ])('is matched against %s', (_, spec, expected) => {
    expect(nodeMatches(spec, node)).toBe(expected);
  });
});
