import { randomBytes } from 'node:crypto';
import { messageOf } from '../../../../errors/mesh-error.js';
import type { CniAttachment, CniRunner } from '../../cni/cni-runner.js';
import type { NodeHost } from '../../host/node-host.js';
import { createPodNetns, removePodNetns } from '../../host/pod-netns.js';
import { type Pod, podKey } from '../../model/pod.js';

/** What a pod's containers share: the network namespace and its addresses. */
export interface PodSandbox {
  readonly id: string;
  /** Path on the node; undefined for a pod in the node's network. */
  readonly netns: string | undefined;
  readonly ips: readonly string[];
}

/** A pod sandbox could not be made; kubectl shows it as event FailedCreatePodSandBox. */
export class PodSandboxError extends Error {
  override readonly name = 'PodSandboxError';
}

export interface SandboxDeps {
  readonly host: NodeHost;
  readonly cni: CniRunner;
  readonly nodeIp: string;
  /** Called when a pod has its addresses; its containers start when it resolves. */
  readonly podAttached?: ((pod: Pod, ips: readonly string[]) => Promise<void>) | undefined;
}

/**
 * Makes the pod's network: namespace, then the CNI chain. When a plugin refuses,
 * everything is undone and {@link PodSandboxError} says which one; the caller tries
 * again later. That is what holds a pod back until a chained mesh plugin agrees.
 */
export async function createPodSandbox(pod: Pod, deps: SandboxDeps): Promise<PodSandbox> {
  const id = randomBytes(32).toString('hex');
  if (pod.spec.hostNetwork === true) return { id, netns: undefined, ips: [deps.nodeIp] };
  const sysctls = (pod.spec.securityContext?.sysctls ?? []).map(({ name, value }) => `${name}=${value}`);
  try {
    const netns = await createPodNetns(deps.host, sysctls);
    try {
      const attachment = attachmentOf(pod, { id, netns });
      const result = await deps.cni.add(attachment);
      try {
        const ips = (result.ips ?? []).map(({ address }) => address.split('/', 1)[0] ?? '').filter(Boolean);
        if (ips.length === 0) throw new Error('the network plugins assigned no address');
        await deps.podAttached?.(pod, ips);
        return { id, netns, ips };
      } catch (error) {
        await deps.cni.delete(attachment).catch(() => undefined); // the first error is the one to report
        throw error;
      }
    } catch (error) {
      await removePodNetns(deps.host, netns);
      throw error;
    }
  } catch (error) {
    throw new PodSandboxError(
      `Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "${id}": ${messageOf(error)}`,
      { cause: error },
    );
  }
}

/** Detaches the pod and removes its namespace. Rejects when a plugin refuses; the namespace is gone then too. */
export async function removePodSandbox(pod: Pod, sandbox: PodSandbox, deps: SandboxDeps): Promise<void> {
  const { id, netns } = sandbox;
  if (netns === undefined) return;
  try {
    await deps.cni.delete(attachmentOf(pod, { id, netns }));
  } catch (error) {
    throw new PodSandboxError(`network of pod ${podKey(pod)} could not be removed: ${messageOf(error)}`, {
      cause: error,
    });
  } finally {
    await removePodNetns(deps.host, netns);
  }
}

function attachmentOf(pod: Pod, { id, netns }: { id: string; netns: string }): CniAttachment {
  return {
    containerId: id,
    netns,
    podNamespace: pod.metadata.namespace,
    podName: pod.metadata.name,
    podUid: pod.metadata.uid,
  };
}
