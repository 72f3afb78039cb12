import type { Rows } from './row.js';

const extension = ['api-extensions'];

/** What extends or tunes the API itself, nodes and storage. */
export const machineryRows: Rows = {
  'admissionregistration.k8s.io/v1': [
    {
      kind: 'MutatingWebhookConfiguration',
      plural: 'mutatingwebhookconfigurations',
      cluster: true,
      generation: true,
      pinned: true,
      categories: extension,
    },
    {
      kind: 'ValidatingAdmissionPolicy',
      plural: 'validatingadmissionpolicies',
      cluster: true,
      status: true,
      generation: true,
      pinned: true,
      categories: extension,
    },
    {
      kind: 'ValidatingAdmissionPolicyBinding',
      plural: 'validatingadmissionpolicybindings',
      cluster: true,
      generation: true,
      pinned: true,
      categories: extension,
    },
    {
      kind: 'ValidatingWebhookConfiguration',
      plural: 'validatingwebhookconfigurations',
      cluster: true,
      generation: true,
      pinned: true,
      categories: extension,
    },
  ],
  'apiextensions.k8s.io/v1': [
    {
      kind: 'CustomResourceDefinition',
      plural: 'customresourcedefinitions',
      // As discovery of Kubernetes says it, whose store has kept to that version.
      storageVersion: 'apiextensions.k8s.io/v1beta1',
      short: 'crd crds',
      cluster: true,
      status: true,
      generation: true,
      pinned: true,
      categories: extension,
    },
  ],
  'apiregistration.k8s.io/v1': [
    {
      kind: 'APIService',
      plural: 'apiservices',
      cluster: true,
      status: true,
      name: 'path',
      categories: extension,
    },
  ],
  'flowcontrol.apiserver.k8s.io/v1': [
    { kind: 'FlowSchema', plural: 'flowschemas', cluster: true, status: true, generation: true },
    {
      kind: 'PriorityLevelConfiguration',
      plural: 'prioritylevelconfigurations',
      cluster: true,
      status: true,
      generation: true,
    },
  ],
  'node.k8s.io/v1': [
    { kind: 'RuntimeClass', plural: 'runtimeclasses', cluster: true, upsert: true, pinned: true },
  ],
  'storage.k8s.io/v1': [
    { kind: 'CSIDriver', plural: 'csidrivers', cluster: true, pinned: true },
    { kind: 'CSINode', plural: 'csinodes', cluster: true, pinned: true },
    { kind: 'CSIStorageCapacity', plural: 'csistoragecapacities', pinned: true },
    { kind: 'StorageClass', plural: 'storageclasses', short: 'sc', cluster: true },
    { kind: 'VolumeAttachment', plural: 'volumeattachments', cluster: true, status: true, pinned: true },
  ],
};
