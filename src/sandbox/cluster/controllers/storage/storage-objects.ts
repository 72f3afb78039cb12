import type { Resource } from '#base/kube/resource.js';
import type { Condition, KubeObject, LabelSelector, NodeSelectorTerm } from '#base/kube/types.js';

/** core/v1 PersistentVolumeClaim. */
export interface PersistentVolumeClaim extends KubeObject {
  spec: {
    accessModes?: string[];
    resources?: { requests?: Record<string, string> };
    selector?: LabelSelector;
    storageClassName?: string;
    volumeMode?: string;
    volumeName?: string;
  };
  status?: {
    phase?: string;
    accessModes?: string[];
    capacity?: Record<string, string>;
    conditions?: Condition[];
  };
}

/** core/v1 PersistentVolume. */
export interface PersistentVolume extends KubeObject {
  spec: {
    accessModes?: string[];
    capacity?: Record<string, string>;
    claimRef?: ClaimReference;
    hostPath?: { path: string; type?: string };
    local?: { path: string };
    nodeAffinity?: { required?: { nodeSelectorTerms: NodeSelectorTerm[] } };
    persistentVolumeReclaimPolicy?: string;
    storageClassName?: string;
    volumeMode?: string;
  };
  status?: { phase?: string; reason?: string; message?: string };
}

/** Which claim a volume is for. Without a uid it is reserved for a claim that may not exist yet. */
export interface ClaimReference {
  apiVersion?: string;
  kind?: string;
  name: string;
  namespace: string;
  uid?: string;
  resourceVersion?: string;
}

/** storage.k8s.io/v1 StorageClass. */
export interface StorageClass extends KubeObject {
  provisioner: string;
  reclaimPolicy?: string;
  volumeBindingMode?: string;
}

/** storage.k8s.io/v1 */
export const storageClasses: Resource = {
  group: 'storage.k8s.io',
  version: 'v1',
  plural: 'storageclasses',
  kind: 'StorageClass',
  isNamespaced: false,
};

/** Well-known annotations and finalizers of volumes (kubernetes.io documentation, "Well-Known Labels, Annotations and Taints"). */
export const volumeKeys = {
  selectedNode: 'volume.kubernetes.io/selected-node',
  bindCompleted: 'pv.kubernetes.io/bind-completed',
  boundByController: 'pv.kubernetes.io/bound-by-controller',
  provisionedBy: 'pv.kubernetes.io/provisioned-by',
  storageProvisioner: 'volume.kubernetes.io/storage-provisioner',
  claimProtection: 'kubernetes.io/pvc-protection',
  volumeProtection: 'kubernetes.io/pv-protection',
} as const;
