import { labelSelectorMatches } from '#base/kube/labels.js';
import { termMatches } from '#base/kube/node-selector.js';
import { parseQuantity } from '../../../base/quantity.js';
import type { KubeObject } from '#base/kube/types.js';
import type { PersistentVolume, PersistentVolumeClaim } from './storage-objects.js';

/** Whether a volume can be reached from a node. */
export function isReachable(volume: PersistentVolume, node: KubeObject): boolean {
  const required = volume.spec.nodeAffinity?.required;
  return required === undefined || required.nodeSelectorTerms.some((term) => termMatches(term, node));
}

/** Whether the volume is reserved for, or bound to, this very claim. */
export function isFor(volume: PersistentVolume, claim: PersistentVolumeClaim): boolean {
  const { claimRef } = volume.spec;
  return (
    claimRef !== undefined &&
    claimRef.name === claim.metadata.name &&
    claimRef.namespace === claim.metadata.namespace &&
    (claimRef.uid === undefined || claimRef.uid === '' || claimRef.uid === claim.metadata.uid)
  );
}

/**
 * The volume a claim is bound to: one that is reserved for it, otherwise the
 * smallest free one that offers what it asks (kubernetes.io documentation,
 * "Persistent Volumes": Binding). `node` narrows it to what that node reaches.
 */
export function findVolume(
  claim: PersistentVolumeClaim,
  volumes: readonly PersistentVolume[],
  node?: KubeObject,
): PersistentVolume | undefined {
  const living = volumes.filter((volume) => volume.metadata.deletionTimestamp === undefined);
  const reserved = living.find((volume) => isFor(volume, claim));
  if (reserved !== undefined) return reserved;
  const sizeOf = (volume: PersistentVolume): number => parseQuantity(volume.spec.capacity?.['storage']) ?? 0;
  const [smallest] = living
    .filter((volume) => volume.spec.claimRef === undefined && suits(volume, claim))
    .filter((volume) => node === undefined || isReachable(volume, node))
    .toSorted((a, b) => sizeOf(a) - sizeOf(b) || a.metadata.name.localeCompare(b.metadata.name));
  return smallest;
}

function suits(volume: PersistentVolume, claim: PersistentVolumeClaim): boolean {
  const wanted = parseQuantity(claim.spec.resources?.requests?.['storage']) ?? 0;
  const offered = parseQuantity(volume.spec.capacity?.['storage']) ?? 0;
  const modes = volume.spec.accessModes ?? [];
  return (
    offered >= wanted &&
    (claim.spec.storageClassName ?? '') === (volume.spec.storageClassName ?? '') &&
    (claim.spec.volumeMode ?? 'Filesystem') === (volume.spec.volumeMode ?? 'Filesystem') &&
    (claim.spec.accessModes ?? []).every((mode) => modes.includes(mode)) &&
    (claim.spec.selector === undefined || labelSelectorMatches(claim.spec.selector, volume.metadata.labels))
  );
}
