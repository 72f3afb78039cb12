import { describe, expect, test } from 'vitest';
import { admissionProblem, type KubeletState } from '#sandbox/node/kubelet/admission.js';
import { podRequest } from '#sandbox/node/kubelet/pod-requests.js';
import type { KubeletPod } from '#sandbox/node/model/pod.js';
import { makeContainer, makePod } from './make-pod.js';

const node = {
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: 'node-1', labels: { disk: 'ssd' } },
};

function state(active: readonly KubeletPod[] = []): KubeletState {
  return { node, active, allocatable: { cpu: 2, memoryBytes: 1024, pods: 3 } };
}

function asking(requests: Record<string, string>): KubeletPod {
  return makePod({ spec: { containers: [makeContainer({ resources: { requests } })] } });
}

describe('what a pod occupies', () => {
  test('init containers count beside the sidecars that started before them', () => {
    const part = (name: string, cpu: string, restartPolicy?: 'Always') =>
      makeContainer({ name, resources: { requests: { cpu } }, ...(restartPolicy && { restartPolicy }) });
    const pod = makePod({
      spec: {
        initContainers: [part('early', '5'), part('side', '1', 'Always'), part('late', '5')],
        containers: [part('main', '2')],
        overhead: { cpu: '250m' },
      },
    });
    expect(podRequest(pod, 'cpu')).toBe(6.25);
    expect(podRequest(pod, 'memory')).toBe(0);
  });
});

describe('a node takes a pod', () => {
  test('while there is room, exactly up to its capacity', () => {
    expect(admissionProblem(asking({ cpu: '500m' }), state([asking({ cpu: '1500m' })]))).toBeUndefined();
    expect(admissionProblem(asking({ cpu: '501m' }), state([asking({ cpu: '1500m' })]))).toEqual({
      reason: 'OutOfcpu',
      message:
        "Pod was rejected: Node didn't have enough resource: cpu, requested: 501, used: 1500, capacity: 2000",
    });
    expect(admissionProblem(asking({ memory: '2Ki' }), state())?.reason).toBe('OutOfmemory');
    expect(admissionProblem(makePod(), state([makePod(), makePod(), makePod()]))?.reason).toBe('OutOfpods');
  });

  test('that asks for nothing, even when all is taken', () => {
    expect(admissionProblem(makePod(), state([asking({ cpu: '9' })]))).toBeUndefined();
  });

  test('that selects it, by whoever it was bound', () => {
    const selecting = (disk: string): KubeletPod => makePod({ spec: { nodeSelector: { disk } } });
    expect(admissionProblem(selecting('ssd'), state())).toBeUndefined();
    expect(admissionProblem(selecting('hdd'), state())?.reason).toBe('NodeAffinity');
  });

  test('whose host ports are free', () => {
    const on = (hostPort: number): KubeletPod =>
      makePod({ spec: { containers: [makeContainer({ ports: [{ containerPort: 1, hostPort }] })] } });
    expect(admissionProblem(on(80), state([on(81)]))).toBeUndefined();
    expect(admissionProblem(on(80), state([on(80)]))?.reason).toBe('NodePorts');
  });

  test('that changes nothing outside itself and claims no protection that is not there', () => {
    const sysctl = (name: string): KubeletPod =>
      makePod({ spec: { securityContext: { sysctls: [{ name, value: '1' }] } } });
    expect(admissionProblem(sysctl('net/ipv4/tcp_syncookies'), state())).toBeUndefined();
    expect(admissionProblem(sysctl('vm.swappiness'), state())?.reason).toBe('SysctlForbidden');
    const confined = makePod({
      spec: {
        containers: [makeContainer({ securityContext: { appArmorProfile: { type: 'RuntimeDefault' } } })],
      },
    });
    expect(admissionProblem(confined, state())?.reason).toBe('AppArmor');
  });

  test('that is made for its operating system', () => {
    expect(admissionProblem(makePod({ spec: { os: { name: 'linux' } } }), state())).toBeUndefined();
    expect(admissionProblem(makePod({ spec: { os: { name: 'windows' } } }), state())).toEqual({
      reason: 'PodOSNotSupported',
      message: "Pod was rejected: Failed to admit pod as the OS field doesn't match node OS",
    });
    const labeled = makePod({ metadata: { labels: { 'kubernetes.io/os': 'windows' } } });
    expect(admissionProblem(labeled, state())?.reason).toBe('PodOSSelectorNodeLabelDoesNotMatch');
  });
});
