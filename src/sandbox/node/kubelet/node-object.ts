import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../../../errors/mesh-error.js';
import { isAlreadyExists, isNotFound } from '../../../kube/api-error.js';
import type { KubeClient } from '../../../kube/client.js';
import { leases, nodes } from '../../../kube/resource.js';
import type { KubeObject } from '../../../kube/types.js';
import type { Logger } from '../../../telemetry/log.js';
import type { ListedImage } from '../image/image.js';
import { seconds } from './container/container-slot.js';

export interface NodeIdentity {
  readonly name: string;
  readonly ip: string;
  readonly podCidr: string;
  /** As `kubectl get nodes` shows it. */
  readonly kubeletVersion: string;
  readonly runtimeVersion: string;
}

const leaseNamespace = 'kube-node-lease';
const leaseSeconds = 40;
const heartbeatMs = 10_000;
const registerRetryMs = 250;
const podsMax = 110;
/** As many images as a kubelet lists, the largest first (nodeStatusMaxImages). */
const imagesMax = 50;

/** What this machine can offer to pods; shared by all nodes of a sandbox, as it is one machine. */
export function allocatable(): { cpu: number; memoryBytes: number } {
  return { cpu: cpus().length, memoryBytes: totalmem() };
}

/**
 * Registers the node and keeps its lease fresh until the signal aborts.
 * `problem` says why the node cannot run pods (no CNI configuration), as kubelet
 * reports it in the Ready condition.
 */
export async function keepNodeObject(
  client: KubeClient,
  identity: NodeIdentity,
  o: {
    signal: AbortSignal;
    logger: Logger;
    problem: () => Promise<string | undefined>;
    images: () => readonly ListedImage[];
  },
): Promise<void> {
  let isRegistered = false;
  let readySince = seconds(new Date());
  let wasReady: boolean | undefined;
  let lastPublished = '';
  while (!o.signal.aborted) {
    try {
      if (!isRegistered) await register(client, identity);
      isRegistered = true;
      const problem = await o.problem();
      if (wasReady !== (problem === undefined)) readySince = seconds(new Date());
      wasReady = problem === undefined;
      const status = nodeStatus(identity, { problem, readySince, images: o.images() });
      const text = JSON.stringify(status);
      if (text !== lastPublished) {
        await client.patch({ resource: nodes, name: identity.name, subresource: 'status' }, { status });
        lastPublished = text;
      }
      await renewLease(client, identity.name);
      await pause(wasReady ? heartbeatMs : registerRetryMs, o.signal);
    } catch (error) {
      if (isNotFound(error)) isRegistered = false; // someone deleted the node: a kubelet registers again
      o.logger.debug('node heartbeat failed', { node: identity.name, error: messageOf(error) });
      await pause(registerRetryMs, o.signal);
    }
  }
}

async function register(client: KubeClient, identity: NodeIdentity): Promise<void> {
  const labels = {
    'kubernetes.io/hostname': identity.name,
    'kubernetes.io/os': 'linux',
    'kubernetes.io/arch': arch(),
  };
  const spec = { podCIDR: identity.podCidr, podCIDRs: [identity.podCidr] };
  try {
    await client.create(nodes, {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: identity.name, labels },
      spec,
    });
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    await client.patch({ resource: nodes, name: identity.name }, { metadata: { labels }, spec });
  }
}

async function renewLease(client: KubeClient, name: string): Promise<void> {
  const spec = {
    holderIdentity: name,
    leaseDurationSeconds: leaseSeconds,
    renewTime: new Date().toISOString().replace('Z', '000Z'),
  };
  try {
    await client.patch({ resource: leases, namespace: leaseNamespace, name }, { spec });
  } catch (error) {
    if (!isNotFound(error)) throw error;
    await client.create<KubeObject>(
      leases,
      {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: { name, namespace: leaseNamespace },
        spec,
      },
      { namespace: leaseNamespace },
    );
  }
}

function nodeStatus(
  identity: NodeIdentity,
  {
    problem,
    readySince,
    images,
  }: { problem: string | undefined; readySince: string; images: readonly ListedImage[] },
): unknown {
  const { cpu, memoryBytes } = allocatable();
  const resources = {
    cpu: String(cpu),
    memory: `${Math.floor(memoryBytes / 1024)}Ki`,
    pods: String(podsMax),
    'ephemeral-storage': '10Gi',
  };
  const pressure = (type: string, reason: string, message: string): unknown => ({
    type,
    status: 'False',
    reason,
    message,
    lastHeartbeatTime: readySince,
    lastTransitionTime: readySince,
  });
  return {
    capacity: resources,
    allocatable: resources,
    addresses: [
      { type: 'InternalIP', address: identity.ip },
      { type: 'Hostname', address: identity.name },
    ],
    conditions: [
      pressure('MemoryPressure', 'KubeletHasSufficientMemory', 'kubelet has sufficient memory available'),
      pressure('DiskPressure', 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'),
      pressure('PIDPressure', 'KubeletHasSufficientPID', 'kubelet has sufficient PID available'),
      {
        type: 'Ready',
        status: problem === undefined ? 'True' : 'False',
        reason: problem === undefined ? 'KubeletReady' : 'KubeletNotReady',
        message: problem ?? 'kubelet is posting ready status',
        lastHeartbeatTime: readySince,
        lastTransitionTime: readySince,
      },
    ],
    daemonEndpoints: { kubeletEndpoint: { Port: 10250 } },
    images: [...images].sort((a, b) => b.sizeBytes - a.sizeBytes).slice(0, imagesMax),
    nodeInfo: {
      architecture: arch(),
      bootID: '',
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

function arch(): string {
  return process.arch === 'x64' ? 'amd64' : process.arch;
}

function osImage(): string {
  try {
    return /^PRETTY_NAME="?(.*?)"?$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'Linux';
  } catch {
    return 'Linux'; // minimal systems have no os-release
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined); // aborted: the loop condition ends it
}
