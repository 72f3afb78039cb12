import { join } from 'node:path/posix';
import type { KubeClient } from '#base/kube/client.js';
import { isAlreadyExists } from '#base/kube/api-error.js';
import {
  type PersistentVolume,
  type PersistentVolumeClaim,
  type StorageClass,
  storageClasses,
  volumeKeys,
} from './storage-objects.js';

/** The only provisioner of a sandbox: folders on the disk of the node where the first user runs. */
export const nodePathProvisioner = 'meshctl.dev/node-path';
const basePath = '/var/lib/node-path-volumes';
const hostnameLabel = 'kubernetes.io/hostname';

/** Makes `standard` the default class, unless there is a class of that name already. */
export async function ensureDefaultStorageClass(client: KubeClient): Promise<void> {
  const standard: StorageClass = {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: {
      name: 'standard',
      annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' },
    },
    provisioner: nodePathProvisioner,
    reclaimPolicy: 'Delete',
    volumeBindingMode: 'WaitForFirstConsumer',
  };
  try {
    await client.create(storageClasses, standard);
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
  }
}

/** The volume for a claim whose first user runs on `node`. */
export function nodePathVolume(
  claim: PersistentVolumeClaim,
  o: { readonly storageClass: StorageClass; readonly node: string },
): PersistentVolume {
  const { name, namespace = '', uid = '', resourceVersion = '' } = claim.metadata;
  const volumeName = `pvc-${uid}`;
  const storage = claim.spec.resources?.requests?.['storage'] ?? '0';
  const terms = [{ matchExpressions: [{ key: hostnameLabel, operator: 'In', values: [o.node] }] }];
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: volumeName, annotations: { [volumeKeys.provisionedBy]: nodePathProvisioner } },
    spec: {
      accessModes: claim.spec.accessModes ?? [],
      capacity: { storage },
      claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', name, namespace, uid, resourceVersion },
      hostPath: { path: folderOf(volumeName), type: 'DirectoryOrCreate' },
      nodeAffinity: { required: { nodeSelectorTerms: terms } },
      persistentVolumeReclaimPolicy: o.storageClass.reclaimPolicy ?? 'Delete',
      storageClassName: o.storageClass.metadata.name,
      volumeMode: claim.spec.volumeMode ?? 'Filesystem',
    },
  };
}

/** Where the data of a provisioned volume are; undefined for volumes made by others. */
export function provisionedFolder(
  volume: PersistentVolume,
): { readonly node: string; readonly path: string } | undefined {
  if (volume.metadata.annotations?.[volumeKeys.provisionedBy] !== nodePathProvisioner) return undefined;
  const [term] = volume.spec.nodeAffinity?.required?.nodeSelectorTerms ?? [];
  const node = term?.matchExpressions?.find((each) => each.key === hostnameLabel)?.values?.[0];
  // From the name, never from what a user may have written into the spec.
  return node === undefined ? undefined : { node, path: folderOf(volume.metadata.name) };
}

function folderOf(volumeName: string): string {
  return join(basePath, volumeName);
}
