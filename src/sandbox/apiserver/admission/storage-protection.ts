import type { AdmissionPlugin } from '../registry/admission.js';

const finalizers: Readonly<Record<string, string>> = {
  persistentvolumeclaims: 'kubernetes.io/pvc-protection',
  persistentvolumes: 'kubernetes.io/pv-protection',
};

/** Keeps claims and volumes from disappearing under their users; controllers take the finalizers off again. */
export function storageProtection(): AdmissionPlugin {
  return {
    name: 'StorageObjectInUseProtection',
    admit: ({ operation, resource, object, subresource }) => {
      const finalizer = finalizers[resource.storage];
      if (operation !== 'CREATE' || finalizer === undefined || (subresource ?? '') !== '') return;
      const present = object.metadata.finalizers ?? [];
      if (!present.includes(finalizer)) object.metadata.finalizers = [...present, finalizer];
    },
  };
}
