import { describe, expect, test } from 'vitest';
import { BackOff } from '#sandbox/node/kubelet/back-off.js';
import { ContainerSlot } from '#sandbox/node/kubelet/container/container-slot.js';
import { hostsFile, podHostname, resolvConf } from '#sandbox/node/kubelet/pod/pod-files.js';
import { podConditions } from '#sandbox/node/kubelet/pod/pod-conditions.js';
import { podPhase } from '#sandbox/node/kubelet/pod/pod-phase.js';
import { buildPodStatus } from '#sandbox/node/kubelet/pod/pod-status.js';
import { qosClass } from '#sandbox/node/kubelet/qos-class.js';
import type { KubeletPod } from '#sandbox/node/model/pod.js';
import { makeContainer, makePod } from './make-pod.js';

const dns = { nameserver: '10.96.0.10', domain: 'cluster.local' };

function endedSlot(exitCode: number, kind: 'init' | 'main' = 'main'): ContainerSlot {
  const slot = new ContainerSlot(makeContainer({ name: kind }), kind);
  const time = '2026-01-01T00:00:00Z';
  slot.ended({ exitCode, reason: exitCode === 0 ? 'Completed' : 'Error', startedAt: time, finishedAt: time });
  slot.waiting = undefined;
  return slot;
}

function statusOf(pod: KubeletPod, slots: ContainerSlot[], o: { published?: KubeletPod['status'] } = {}) {
  return buildPodStatus({
    pod,
    slots,
    ips: ['10.244.1.2'],
    nodeIps: ['172.18.0.2'],
    isTerminal: false,
    hasSandbox: true,
    startTime: '2026-01-01T00:00:00Z',
    now: '2026-01-02T00:00:00Z',
    failure: undefined,
    runtimeName: 'bubblewrap',
    published: o.published?.conditions ?? [],
  });
}

describe('phase of a pod', () => {
  const phase = (pod: KubeletPod, slots: ContainerSlot[]) => podPhase(pod, slots, { isTerminal: false });

  test('an init container that failed for good fails the pod', () => {
    const slots = [endedSlot(1, 'init'), new ContainerSlot(makeContainer({}), 'main')];
    expect(phase(makePod({ spec: { restartPolicy: 'Never' } }), slots)).toBe('Failed');
    expect(phase(makePod(), slots)).toBe('Pending');
  });

  test('a sidecar that was stopped at the end does not undo the success', () => {
    const pod = makePod({ spec: { restartPolicy: 'Never' } });
    const sidecar = new ContainerSlot(makeContainer({ name: 'side' }), 'sidecar');
    expect(phase(pod, [sidecar, endedSlot(0)])).toBe('Succeeded');
    expect(phase(pod, [sidecar, endedSlot(1)])).toBe('Failed');
    expect(phase(makePod({ spec: { restartPolicy: 'OnFailure' } }), [sidecar, endedSlot(1)])).toBe('Running');
  });

  test('containers that have not begun are pending', () => {
    expect(phase(makePod(), [new ContainerSlot(makeContainer({}), 'main')])).toBe('Pending');
  });
});

describe('conditions', () => {
  test('name what is not ready, and keep the time of the last change', () => {
    const slot = new ContainerSlot(makeContainer({ name: 'web' }), 'main');
    const first = statusOf(makePod(), [slot]);
    const ready = first.conditions?.find((c) => c.type === 'Ready');
    expect(ready).toMatchObject({
      status: 'False',
      reason: 'ContainersNotReady',
      message: 'containers with unready status: [web]',
      lastTransitionTime: '2026-01-02T00:00:00Z',
    });
    const published = {
      conditions: [{ type: 'Ready', status: 'False' as const, lastTransitionTime: '2026-01-01T09:00:00Z' }],
    };
    const second = statusOf(makePod(), [slot], { published });
    expect(second.conditions?.find((c) => c.type === 'Ready')?.lastTransitionTime).toBe(
      '2026-01-01T09:00:00Z',
    );
  });

  test("other writers' conditions are left alone; a gate of theirs holds the pod back", () => {
    const gated = makePod({
      spec: { readinessGates: [{ conditionType: 'example.com/gate' }] },
      status: { conditions: [{ type: 'example.com/gate', status: 'False' }] },
    });
    const conditions = podConditions({
      pod: gated,
      slots: [],
      phase: 'Running',
      hasSandbox: true,
      now: '2026-01-02T00:00:00Z',
      disruption: undefined,
      published: [],
    });
    expect(conditions.map((c) => c.type)).not.toContain('example.com/gate');
    expect(conditions.find((c) => c.type === 'ContainersReady')?.status).toBe('True');
    expect(conditions.find((c) => c.type === 'Ready')).toMatchObject({
      status: 'False',
      reason: 'ReadinessGatesNotReady',
    });
  });

  test('an incomplete init container is named', () => {
    const pod = makePod();
    const slots = [
      new ContainerSlot(makeContainer({ name: 'prep' }), 'init'),
      new ContainerSlot(makeContainer({}), 'main'),
    ];
    expect(statusOf(pod, slots).conditions?.find((c) => c.type === 'Initialized')).toMatchObject({
      status: 'False',
      message: 'containers with incomplete status: [prep]',
    });
  });
});

describe('container status', () => {
  test('while a crashed container waits, the crash is its last state', () => {
    const slot = endedSlot(3);
    slot.waiting = { reason: 'CrashLoopBackOff', message: 'm' };
    const status = slot.status('bubblewrap');
    expect(status.state.waiting?.reason).toBe('CrashLoopBackOff');
    expect(status.lastState.terminated?.exitCode).toBe(3);
  });
});

test('quality of service', () => {
  const of = (resources: object) =>
    qosClass(makePod({ spec: { containers: [makeContainer({ resources })] } }));
  expect(of({})).toBe('BestEffort');
  expect(of({ requests: { cpu: '1' } })).toBe('Burstable');
  expect(of({ limits: { cpu: '1', memory: '1Gi' } })).toBe('Guaranteed');
  expect(of({ limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '1', memory: '1Mi' } })).toBe(
    'Burstable',
  );
});

test('the first restart is immediate, later ones wait longer, a long run starts over', () => {
  const backOff = new BackOff({ initialMs: 100, maxMs: 300, resetAfterMs: 1000 });
  expect([backOff.next(), backOff.next(), backOff.next(), backOff.next(), backOff.next()]).toEqual([
    0, 100, 200, 300, 300,
  ]);
  expect(backOff.next(1000)).toBe(0);
});

describe('files of a pod', () => {
  test('cluster DNS first, with search domains', () => {
    expect(resolvConf(makePod(), dns)).toBe(
      'search ns.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n',
    );
  });

  test('policy None uses only what the pod says', () => {
    const pod = makePod({
      spec: {
        dnsPolicy: 'None',
        dnsConfig: {
          nameservers: ['1.1.1.1'],
          searches: ['x.y'],
          options: [{ name: 'ndots', value: '2' }, { name: 'edns0' }],
        },
      },
    });
    expect(resolvConf(pod, dns)).toBe('search x.y\nnameserver 1.1.1.1\noptions ndots:2 edns0\n');
  });

  test('a pod in the host network has no search domains unless it asks', () => {
    expect(resolvConf(makePod({ spec: { hostNetwork: true } }), dns)).toBe('nameserver 10.96.0.10\n');
    const asks = makePod({ spec: { hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' } });
    expect(resolvConf(asks, dns)).toContain('search ns.svc');
  });

  test('hosts has the pod and its aliases', () => {
    const pod = makePod({
      spec: { hostname: 'h', subdomain: 's', hostAliases: [{ ip: '1.2.3.4', hostnames: ['a', 'b'] }] },
    });
    const text = hostsFile(pod, { ips: ['10.244.1.2'], domain: 'cluster.local', nodeHosts: '' });
    expect(text).toMatch(/^# Kubernetes-managed hosts file\.\n127\.0\.0\.1\tlocalhost\n/);
    expect(text).toContain('10.244.1.2\th.s.ns.svc.cluster.local\th\n');
    expect(text).toContain('1.2.3.4\ta\tb\n');
  });

  test("hosts in the node's network is the node's, with the pod's aliases", () => {
    const hostAliases = [{ ip: '1.2.3.4', hostnames: ['a'] }];
    const at = { ips: ['172.18.0.2'], domain: 'cluster.local', nodeHosts: '172.18.0.2\tnode-1\n' };
    expect(hostsFile(makePod({ spec: { hostNetwork: true } }), at)).toBe(
      '# Kubernetes-managed hosts file (host network).\n172.18.0.2\tnode-1\n',
    );
    expect(hostsFile(makePod({ spec: { hostNetwork: true, hostAliases } }), at)).toMatch(
      /\tnode-1\n\n#.*\n1\.2\.3\.4\ta\n$/,
    );
  });

  test('a host name is cut to what Linux takes', () => {
    const name = `${'a'.repeat(62)}-b`;
    expect(podHostname(makePod({ metadata: { name } }), 'cluster.local')).toBe('a'.repeat(62));
  });
});
