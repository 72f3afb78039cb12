import { gatewayClasses } from '#base/kube/resource.js';
import type { Corpus } from './corpus.js';
import { under } from './corpus.js';
import {
  aCondition,
  condition,
  conditionRequired,
  conditions,
  controllerName,
  localReference,
  namespace,
  pending,
} from './values.js';

export const gatewayClass: Corpus = {
  resource: gatewayClasses,
  otherVersions: ['v1beta1'],
  shortNames: ['gc'],
  columns: ['Name', 'Controller', 'Accepted', 'Age', 'Description'],
  base: {
    spec: {
      controllerName: 'example.com/controller',
      description: 'Plain',
      parametersRef: { group: '', kind: 'ConfigMap', name: 'settings', namespace: 'infra' },
    },
    status: { conditions: [aCondition('Accepted')], supportedFeatures: [{ name: 'Gateway' }] },
  },
  fields: {
    'spec.controllerName': controllerName,
    'spec.description': { accepted: ['', 'd'.repeat(64)], refused: ['d'.repeat(65), 1] },
    ...under('spec.parametersRef', { ...localReference, namespace }),
    ...under('status.conditions[0]', condition),
    'status.supportedFeatures[0].name': { accepted: ['', 'Anything'], refused: [1] },
  },
  sizes: {
    'status.conditions': conditions,
    'status.supportedFeatures': { max: 64, element: (i) => ({ name: `F${i}` }), isUnique: true },
  },
  required: {
    '': ['spec'],
    spec: ['controllerName'],
    'spec.parametersRef': ['group', 'kind', 'name'],
    'status.conditions[0]': conditionRequired,
    'status.supportedFeatures[0]': ['name'],
  },
  rules: [],
  unknown: { 'spec.controller': 'x' },
  immutable: {
    change: { 'spec.controllerName': 'example.com/other' },
    at: 'spec.controllerName',
    message: 'controllerName cannot change; make another GatewayClass',
  },
  defaults: [
    {
      given: { spec: { controllerName: 'example.com/controller' } },
      stored: { spec: { controllerName: 'example.com/controller' }, status: pending('Accepted') },
    },
  ],
};
