import { chmod, chown } from 'node:fs/promises';
import { foreignClaimProblem } from '../../base/ephemeral-claim.js';
import type { NodeHost } from '../host/node-host.js';
import type { ObjectSource } from '../model/object-source.js';
import type { KubeletPod } from '../model/pod.js';
import { prepareHostPath } from './host-path.js';
import { VolumeError } from './volume-content.js';

/** A claim that a pod's volume names. */
export interface ClaimUse {
  readonly pod: KubeletPod;
  readonly claim: string;
  /** The claim was made for this pod (a generic ephemeral volume). */
  readonly isEphemeral: boolean;
  readonly group: number | undefined;
}

/**
 * The path on the node of the volume that a claim is bound to. Volumes that live on a
 * node (hostPath, local) are the only ones a sandbox has. Throws {@link VolumeError}
 * while the claim is not bound, and for one that is being deleted or is not the pod's, in the words of kubelet.
 */
export async function prepareClaim(
  host: NodeHost,
  { pod, claim, isEphemeral, group }: ClaimUse,
  objects: ObjectSource,
): Promise<string> {
  const { namespace } = pod.metadata;
  const found = await objects.claim(namespace, claim);
  if (found === undefined) throw new VolumeError(`persistentvolumeclaim "${claim}" not found`);
  if (found.metadata.deletionTimestamp !== undefined)
    throw new VolumeError(`error processing PVC ${namespace}/${claim}: PVC is being deleted`);
  const problem = isEphemeral ? foreignClaimProblem(pod, found) : undefined;
  if (problem !== undefined) throw new VolumeError(problem);
  const volumeName = found.spec.volumeName ?? '';
  if (volumeName === '' || found.status?.phase !== 'Bound')
    throw new VolumeError(`PVC ${namespace}/${claim} is not bound`);
  const volume = await objects.volume(volumeName);
  const source =
    volume?.spec.hostPath ??
    (volume?.spec.local === undefined ? undefined : { ...volume.spec.local, type: 'Directory' });
  if (source === undefined)
    throw new VolumeError(
      `persistent volume ${volumeName} is not on a node: a sandbox mounts hostPath and local volumes only`,
    );
  const path = await prepareHostPath(host, source);
  if (group !== undefined) {
    await chown(host.path(path), 0, group);
    await chmod(host.path(path), 0o2775);
  }
  return path;
}
