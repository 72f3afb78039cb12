import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import type { Condition, Node } from '#base/kube/types.js';
import type { ListedImage } from '../../image/image.js';
import { timestamp } from '../../../base/timestamp.js';

export interface NodeIdentity {
  readonly name: string;
  /** The primary family's first. */
  readonly ips: readonly string[];
  readonly podCidrs: readonly string[];
  /** Of this run of the machine, as Linux makes one at each boot. */
  readonly bootId: string;
  /** As `kubectl get nodes` shows it. */
  readonly kubeletVersion: string;
  readonly runtimeVersion: string;
}

const podsMax = 110;
/** As many images as a kubelet lists, the largest first (nodeStatusMaxImages). */
const imagesMax = 50;

/** What this machine can offer to pods; shared by all nodes of a sandbox, as it is one machine. */
export function allocatable(): { cpu: number; memoryBytes: number; pods: number } {
  return { cpu: cpus().length, memoryBytes: totalmem(), pods: podsMax };
}

type NodeCondition = Condition & { lastHeartbeatTime?: string };

/** What a kubelet writes into a node's status. */
export type NodeStatus = Omit<NonNullable<Node['status']>, 'images'> & {
  readonly images?: readonly { readonly names: readonly string[]; readonly sizeBytes?: number }[];
  readonly daemonEndpoints?: unknown;
};

/**
 * What the kubelet says of its node. `problem` is why it cannot run pods; `published` is what the API server
 * has, whose transition times go on where nothing changed.
 */
export function nodeStatus(
  identity: NodeIdentity,
  o: {
    readonly problem: string | undefined;
    readonly images: readonly ListedImage[];
    readonly published: NodeStatus | undefined;
    readonly now: Date;
  },
): NodeStatus {
  const { cpu, memoryBytes, pods } = allocatable();
  const resources = {
    ...extendedResources(o.published?.capacity),
    cpu: String(cpu),
    memory: `${Math.floor(memoryBytes / 1024)}Ki`,
    pods: String(pods),
    'ephemeral-storage': '10Gi',
  };
  const now = timestamp(o.now);
  const condition = (
    type: string,
    status: Condition['status'],
    { reason, message }: { reason: string; message: string },
  ): NodeCondition => {
    const old = o.published?.conditions?.find((c) => c.type === type);
    const lastTransitionTime = old?.status === status ? (old.lastTransitionTime ?? now) : now;
    return { type, status, reason, message, lastHeartbeatTime: now, lastTransitionTime };
  };
  const no = (type: string, reason: string, message: string): NodeCondition =>
    condition(type, 'False', { reason, message });
  return {
    capacity: resources,
    allocatable: resources,
    addresses: [
      ...identity.ips.map((address) => ({ type: 'InternalIP', address })),
      { type: 'Hostname', address: identity.name },
    ],
    conditions: [
      no('MemoryPressure', 'KubeletHasSufficientMemory', 'kubelet has sufficient memory available'),
      no('DiskPressure', 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'),
      no('PIDPressure', 'KubeletHasSufficientPID', 'kubelet has sufficient PID available'),
      o.problem === undefined
        ? condition('Ready', 'True', { reason: 'KubeletReady', message: 'kubelet is posting ready status' })
        : condition('Ready', 'False', { reason: 'KubeletNotReady', message: o.problem }),
    ],
    daemonEndpoints: { kubeletEndpoint: { Port: 10250 } },
    images: o.images.toSorted((a, b) => b.sizeBytes - a.sizeBytes).slice(0, imagesMax),
    nodeInfo: {
      architecture: arch(),
      bootID: identity.bootId,
      containerRuntimeVersion: identity.runtimeVersion,
      kernelVersion: release(),
      kubeProxyVersion: identity.kubeletVersion,
      kubeletVersion: identity.kubeletVersion,
      machineID: identity.name,
      operatingSystem: 'linux',
      osImage: osImage(),
      systemUUID: identity.name,
    },
  };
}

/** What others say the node has besides what a kubelet knows of; as much of it is allocatable. */
function extendedResources(capacity: Readonly<Record<string, string>> = {}): Record<string, string> {
  const entries = Object.entries(capacity);
  return Object.fromEntries(
    entries.filter(([name]) => name.includes('/') && !name.includes('kubernetes.io/')),
  );
}

/** Whether the API server says of the node what its kubelet does; times of heartbeats do not count. */
export function isPublished(published: NodeStatus | undefined, wanted: NodeStatus): boolean {
  if (published === undefined) return false;
  const facts = (c: Condition): string => JSON.stringify([c.type, c.status, c.reason, c.message]);
  const present = new Set((published.conditions ?? []).map(facts));
  if (!(wanted.conditions ?? []).every((c) => present.has(facts(c)))) return false;
  // A size of zero is left out by the API server.
  const names = ({ images = [] }: NodeStatus): string => JSON.stringify(images.map((image) => image.names));
  if (names(published) !== names(wanted)) return false;
  const sections = ['capacity', 'allocatable', 'addresses', 'nodeInfo'] as const;
  return sections.every((section) => isEqual(published[section], wanted[section]));
}

function isEqual(a: unknown, b: unknown): boolean {
  const sorted = (_key: string, value: unknown): unknown =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).toSorted(([x], [y]) => (x < y ? -1 : 1)))
      : value;
  return JSON.stringify(a, sorted) === JSON.stringify(b, sorted);
}

export function arch(): string {
  return process.arch === 'x64' ? 'amd64' : process.arch;
}

function osImage(): string {
  try {
    return /^PRETTY_NAME="?(.*?)"?$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'Linux';
  } catch {
    return 'Linux'; // minimal systems have no os-release
  }
}
