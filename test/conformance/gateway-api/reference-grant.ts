import type { Corpus } from './corpus.js';
import { under } from './corpus.js';
import { group, kind, namespace, objectName } from './values.js';

export const referenceGrant: Corpus = {
  resource: {
    group: 'gateway.networking.k8s.io',
    version: 'v1',
    plural: 'referencegrants',
    kind: 'ReferenceGrant',
    isNamespaced: true,
  },
  otherVersions: ['v1beta1'],
  shortNames: ['refgrant'],
  columns: ['Name', 'Age'],
  base: {
    spec: {
      from: [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', namespace: 'shop' }],
      to: [{ group: '', kind: 'Service', name: 'orders' }],
    },
  },
  fields: {
    ...under('spec.from[0]', { group, kind, namespace }),
    ...under('spec.to[0]', { group, kind, name: objectName }),
  },
  sizes: {
    'spec.from': { min: 1, max: 16, element: (i) => ({ group: '', kind: 'Secret', namespace: `n${i}` }) },
    'spec.to': { min: 1, max: 16, element: (i) => ({ group: '', kind: 'Secret', name: `s${i}` }) },
  },
  required: {
    '': ['spec'],
    spec: ['from', 'to'],
    'spec.from[0]': ['group', 'kind', 'namespace'],
    'spec.to[0]': ['group', 'kind'],
  },
  rules: [],
  unknown: { 'spec.from[0].name': 'a' },
  defaults: [
    {
      given: {
        spec: {
          from: [{ group: '', kind: 'Gateway', namespace: 'a' }],
          to: [{ group: '', kind: 'Secret' }],
        },
      },
      stored: {
        spec: {
          from: [{ group: '', kind: 'Gateway', namespace: 'a' }],
          to: [{ group: '', kind: 'Secret' }],
        },
      },
    },
  ],
};
