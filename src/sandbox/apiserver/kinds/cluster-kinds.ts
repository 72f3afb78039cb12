import { fieldError } from '../http/api-error.js';
import { objectsOf, stringOf } from '../json.js';
import { specOf, type Strategy } from '../registry/resource.js';

/** Smaller kinds whose defaults clients rely on. */
export const clusterStrategies: Readonly<Record<string, Strategy>> = {
  nodes: {
    validateUpdate: (node, old) => {
      const before = stringOf(specOf(old).podCIDR);
      return before !== '' && stringOf(specOf(node).podCIDR) !== before
        ? [
            fieldError.forbidden(
              'spec.podCIDR',
              'node updates may not change podCIDR except from "" to valid',
            ),
          ]
        : [];
    },
  },
  persistentvolumeclaims: {
    defaults: (draft) => {
      specOf(draft).volumeMode ??= 'Filesystem';
    },
    prepareCreate: (draft) => {
      draft.status = { phase: 'Pending' };
    },
  },
  'networkpolicies.networking.k8s.io': {
    defaults: (draft) => {
      const spec = specOf(draft);
      spec.podSelector ??= {};
      spec.policyTypes ??= spec.egress === undefined ? ['Ingress'] : ['Ingress', 'Egress'];
      for (const rule of [...objectsOf(spec.ingress), ...objectsOf(spec.egress)]) {
        for (const port of objectsOf(rule.ports)) port.protocol ??= 'TCP';
      }
    },
  },
  'ingresses.networking.k8s.io': {
    validate: (ingress) => {
      const spec = specOf(ingress);
      return spec.defaultBackend === undefined && objectsOf(spec.rules).length === 0
        ? [fieldError.invalid('spec', 'object', 'either `defaultBackend` or `rules` must be specified')]
        : [];
    },
  },
  'endpointslices.discovery.k8s.io': {
    defaults: (draft) => {
      for (const port of objectsOf(draft.ports)) {
        port.protocol ??= 'TCP';
        port.name ??= '';
      }
    },
  },
  endpoints: {
    defaults: (draft) => {
      for (const subset of objectsOf(draft.subsets)) {
        for (const port of objectsOf(subset.ports)) port.protocol ??= 'TCP';
      }
    },
  },
  'priorityclasses.scheduling.k8s.io': {
    defaults: (draft) => {
      draft.preemptionPolicy ??= 'PreemptLowerPriority';
    },
  },
  'storageclasses.storage.k8s.io': {
    defaults: (draft) => {
      draft.reclaimPolicy ??= 'Delete';
      draft.volumeBindingMode ??= 'Immediate';
    },
  },
};
