import type { Corpus } from './corpus.js';
import { under } from './corpus.js';
import {
  aListenerStatus,
  listenerFields,
  listenerRequired,
  listenerRules,
  listeners,
  listenerSizes,
  listenerStatusFields,
} from './listeners.js';
import { aCondition, group, kind, namespace, objectName, pending } from './values.js';

export const listenerSet: Corpus = {
  resource: {
    group: 'gateway.networking.k8s.io',
    version: 'v1',
    plural: 'listenersets',
    kind: 'ListenerSet',
    isNamespaced: true,
  },
  shortNames: ['lset'],
  columns: ['Name', 'Accepted', 'Programmed', 'Age'],
  base: {
    spec: {
      parentRef: { group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'edge', namespace: 'infra' },
      listeners,
    },
    status: { conditions: [aCondition('Accepted')], listeners: [aListenerStatus] },
  },
  fields: {
    ...under('spec.parentRef', { group, kind, name: objectName, namespace }),
    ...listenerFields,
    ...listenerStatusFields,
  },
  sizes: listenerSizes,
  required: {
    '': ['spec'],
    spec: ['listeners', 'parentRef'],
    'spec.parentRef': ['name'],
    ...listenerRequired,
  },
  rules: listenerRules,
  unknown: { 'spec.parentRef.sectionName': 'a' },
  defaults: [
    {
      given: {
        spec: { parentRef: { name: 'edge' }, listeners: [{ name: 'a', port: 80, protocol: 'HTTP' }] },
      },
      stored: {
        spec: {
          parentRef: { group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'edge' },
          listeners: [
            {
              name: 'a',
              port: 80,
              protocol: 'HTTP',
              allowedRoutes: { namespaces: { from: 'Same' } },
            },
          ],
        },
        status: pending('Accepted', 'Programmed'),
      },
    },
  ],
};
