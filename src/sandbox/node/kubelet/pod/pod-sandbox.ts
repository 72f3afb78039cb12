import { randomBytes } from 'node:crypto';
import { messageOf } from '#base/errors/mesh-error.js';
import { portMappingsOf } from '../../cni/capabilities.js';
import type { CniRunner } from '../../cni/cni-runner.js';
import type { NodeHost } from '../../host/node-host.js';
import { createPodNamespaces, type PodNamespaces, removePodNamespaces } from '../../host/pod-namespaces.js';
import { type KubeletPod, podKey } from '../../model/pod.js';
import { startPause } from '../../runtime/pause-process.js';
import { type ClusterDnsSettings, podHostname } from './pod-files.js';
import type { CniAttachment } from '../../cni/attachment.js';
import type { PodSandbox } from '../running-sandbox.js';

/** A pod sandbox could not be made; kubectl shows it as event FailedCreatePodSandBox. */
export class PodSandboxError extends Error {
  override readonly name = 'PodSandboxError';
}

export interface SandboxDeps {
  readonly host: NodeHost;
  readonly cni: CniRunner;
  readonly nodeIps: readonly string[];
  readonly dns: ClusterDnsSettings;
  /** Called when a pod has its addresses; its containers start when it resolves. */
  readonly podAttached?: ((pod: KubeletPod, ips: readonly string[]) => Promise<void>) | undefined;
}

/**
 * Makes what the pod's containers share: namespaces, then the CNI chain. When a plugin
 * refuses, everything is undone and {@link PodSandboxError} says which one; the caller
 * tries again later. That is what holds a pod back until every chained plugin agrees.
 */
export async function createPodSandbox(pod: KubeletPod, deps: SandboxDeps): Promise<PodSandbox> {
  const id = randomBytes(32).toString('hex');
  const { spec } = pod;
  const sysctls = (spec.securityContext?.sysctls ?? []).map(({ name, value }) => `${name}=${value}`);
  let namespaces: PodNamespaces | undefined;
  try {
    namespaces = await createPodNamespaces(deps.host, {
      hostname: spec.hostNetwork === true ? undefined : podHostname(pod, deps.dns.domain),
      hasOwnIpc: spec.hostIPC !== true,
      sysctls,
    });
    const ips =
      namespaces.net === undefined ? deps.nodeIps : await attach(pod, { id, netns: namespaces.net }, deps);
    const isShared = spec.shareProcessNamespace === true && spec.hostPID !== true;
    return { id, namespaces, ips, pause: isShared ? await startPause(deps.host, namespaces) : undefined };
  } catch (error) {
    if (namespaces !== undefined) await removePodNamespaces(deps.host, namespaces);
    throw new PodSandboxError(
      `Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "${id}": ${messageOf(error)}`,
      { cause: error },
    );
  }
}

async function attach(
  pod: KubeletPod,
  at: { id: string; netns: string },
  deps: SandboxDeps,
): Promise<string[]> {
  const attachment = attachmentOf(pod, at);
  const result = await deps.cni.add(attachment);
  try {
    const ips = (result.ips ?? []).map(({ address }) => address.split('/', 1)[0] ?? '').filter(Boolean);
    if (ips.length === 0) throw new Error('the network plugins assigned no address');
    await deps.podAttached?.(pod, ips);
    return ips;
  } catch (error) {
    await deps.cni.delete(attachment).catch(() => undefined); // the first error is the one to report
    throw error;
  }
}

/** Detaches the pod and removes its namespaces. Rejects when a plugin refuses; the namespaces are gone then too. */
export async function removePodSandbox(
  pod: KubeletPod,
  sandbox: PodSandbox,
  deps: SandboxDeps,
): Promise<void> {
  const { id, namespaces, pause } = sandbox;
  pause?.stop();
  try {
    if (namespaces.net !== undefined) await deps.cni.delete(attachmentOf(pod, { id, netns: namespaces.net }));
  } catch (error) {
    throw new PodSandboxError(`network of pod ${podKey(pod)} could not be removed: ${messageOf(error)}`, {
      cause: error,
    });
  } finally {
    await removePodNamespaces(deps.host, namespaces);
  }
}

function attachmentOf(pod: KubeletPod, { id, netns }: { id: string; netns: string }): CniAttachment {
  return {
    containerId: id,
    netns,
    podNamespace: pod.metadata.namespace,
    podName: pod.metadata.name,
    podUid: pod.metadata.uid,
    capabilityArgs: {
      portMappings: portMappingsOf([...pod.spec.containers, ...(pod.spec.initContainers ?? [])]),
      'io.kubernetes.cri.pod-annotations': pod.metadata.annotations ?? {},
    },
  };
}
