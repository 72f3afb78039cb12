import { safeSysctls } from '../../base/safe-sysctls.js';
import { nodeMatches } from '#base/kube/node-selector.js';
import type { KubeObject } from '#base/kube/types.js';
import type { KubeletPod } from '../model/pod.js';
import type { PodFailure } from './pod/pod-status.js';
import { podRequest } from './pod-requests.js';

export interface KubeletState {
  /** undefined: not read yet. */
  readonly node: KubeObject | undefined;
  /** Pods that run or may still run here. */
  readonly active: readonly KubeletPod[];
  readonly allocatable: { readonly cpu: number; readonly memoryBytes: number; readonly pods: number };
}

/**
 * Why the node does not take a pod that was bound to it, whoever bound it: the pod then
 * fails for good, with the reasons and messages of kubelet. undefined: it does.
 */
export function admissionProblem(pod: KubeletPod, state: KubeletState): PodFailure | undefined {
  const problem = securityProblem(pod) ?? systemProblem(pod) ?? fitProblem(pod, state);
  return problem === undefined
    ? undefined
    : { reason: problem.reason, message: `Pod was rejected: ${problem.message}` };
}

function securityProblem(pod: KubeletPod): PodFailure | undefined {
  for (const { name } of pod.spec.securityContext?.sysctls ?? []) {
    const key = name.replaceAll('/', '.');
    if (!safeSysctls.has(key))
      return {
        reason: 'SysctlForbidden',
        message: `forbidden sysctl: ${JSON.stringify(name)} not allowlisted`,
      };
  }
  const profiles = [pod.spec, ...pod.spec.containers, ...(pod.spec.initContainers ?? [])].map(
    (part) => part.securityContext?.appArmorProfile?.type,
  );
  // Nodes of a sandbox have no AppArmor, whatever the machine has: nothing would be enforced.
  if (profiles.some((type) => type !== undefined && type !== 'Unconfined'))
    return { reason: 'AppArmor', message: 'Cannot enforce AppArmor: AppArmor is not enabled on the host' };
  return undefined;
}

const operatingSystem = 'linux';

function systemProblem({ metadata, spec }: KubeletPod): PodFailure | undefined {
  const label = metadata.labels?.['kubernetes.io/os'];
  if (label !== undefined && label !== operatingSystem)
    return {
      reason: 'PodOSSelectorNodeLabelDoesNotMatch',
      message: "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label",
    };
  if (spec.os !== undefined && spec.os.name !== operatingSystem)
    return {
      reason: 'PodOSNotSupported',
      message: "Failed to admit pod as the OS field doesn't match node OS",
    };
  return undefined;
}

function fitProblem(pod: KubeletPod, { node, active, allocatable }: KubeletState): PodFailure | undefined {
  const lacking = (
    resource: string,
    [requested, used, capacity]: [number, number, number],
  ): PodFailure | undefined =>
    used + requested <= capacity
      ? undefined
      : {
          reason: `OutOf${resource}`,
          message: `Node didn't have enough resource: ${resource}, requested: ${requested}, used: ${used}, capacity: ${capacity}`,
        };
  const sum = (resource: string, unit: number): [number, number] => {
    const of = (p: KubeletPod): number => Math.ceil(podRequest(p, resource) * unit - 1e-6);
    return [of(pod), active.reduce((total, p) => total + of(p), 0)];
  };
  const milli = 1000;
  const [cpu, cpuUsed] = sum('cpu', milli);
  const [memory, memoryUsed] = sum('memory', 1);
  return (
    lacking('pods', [1, active.length, allocatable.pods]) ??
    (cpu === 0 ? undefined : lacking('cpu', [cpu, cpuUsed, allocatable.cpu * milli])) ??
    (memory === 0 ? undefined : lacking('memory', [memory, memoryUsed, allocatable.memoryBytes])) ??
    placeProblem(pod, { node, active })
  );
}

function placeProblem(
  pod: KubeletPod,
  { node, active }: Pick<KubeletState, 'node' | 'active'>,
): PodFailure | undefined {
  const { nodeSelector, affinity } = pod.spec;
  const selection = {
    containers: [],
    ...(nodeSelector === undefined ? {} : { nodeSelector }),
    ...(affinity === undefined ? {} : { affinity }),
  };
  if (node !== undefined && !nodeMatches(selection, node))
    return { reason: 'NodeAffinity', message: 'Predicate NodeAffinity failed' };
  const taken = new Set(active.flatMap(hostPorts));
  if (hostPorts(pod).some((port) => taken.has(port)))
    return { reason: 'NodePorts', message: 'Predicate NodePorts failed' };
  return undefined;
}

function hostPorts(pod: KubeletPod): string[] {
  return [
    ...pod.spec.containers,
    ...(pod.spec.initContainers ?? []).filter((c) => c.restartPolicy === 'Always'),
  ]
    .flatMap((container) => container.ports ?? [])
    .filter((port) => (port.hostPort ?? 0) > 0)
    .map((port) => `${port.hostIP ?? ''}/${port.protocol ?? 'TCP'}/${port.hostPort}`);
}
