import { type JsonMap, type Rule, type Size, type Values, under } from './corpus.js';
import {
  aCondition,
  backendReference,
  condition,
  conditionRequired,
  conditions,
  controllerName,
  group,
  headerName,
  headerValue,
  kind,
  localReference,
  namespace,
  objectName,
  port,
  serviceNeedsPort,
  subdomain,
  weight,
} from './values.js';

/** What routes of every kind have: parents, backends, status. */

const parent = { group, kind, namespace, name: objectName, sectionName: subdomain, port };
export const aParent = {
  group: 'gateway.networking.k8s.io',
  kind: 'Gateway',
  namespace: 'infra',
  name: 'edge',
  sectionName: 'https',
  port: 443,
};

export const routeFields: Readonly<Record<string, Values>> = {
  ...under('spec.parentRefs[0]', parent),
  ...under('status.parents[0].parentRef', parent),
  'status.parents[0].controllerName': controllerName,
  ...under('status.parents[0].conditions[0]', condition),
};
export const aRouteStatus = {
  parents: [
    { parentRef: aParent, controllerName: 'example.com/controller', conditions: [aCondition('Accepted')] },
  ],
};
export const routeSizes: Readonly<Record<string, Size>> = {
  'spec.parentRefs': { max: 32, element: (i) => ({ name: `p${i}` }) },
  'status.parents': {
    max: 32,
    element: (i) => ({
      parentRef: { name: `p${i}` },
      controllerName: 'example.com/controller',
      conditions: [aCondition('Accepted')],
    }),
  },
  'status.parents[0].conditions': { ...conditions, min: 1 },
};
export const routeRequired: Readonly<Record<string, readonly string[]>> = {
  '': ['spec'],
  'spec.parentRefs[0]': ['name'],
  status: ['parents'],
  'status.parents[0]': ['conditions', 'controllerName', 'parentRef'],
  'status.parents[0].parentRef': ['name'],
  'status.parents[0].conditions[0]': conditionRequired,
};
const parents = (...refs: readonly JsonMap[]): { 'spec.parentRefs': readonly JsonMap[] } => ({
  'spec.parentRefs': refs,
});
export const parentRules: readonly Rule[] = [
  {
    message: 'of several references to one parent, each names a sectionName, or none',
    at: 'spec.parentRefs',
    accepted: [
      parents({ name: 'a', sectionName: 'x' }, { name: 'a', sectionName: 'y' }),
      parents({ name: 'a', sectionName: 'x' }, { name: 'b' }),
      parents({ name: 'a', sectionName: 'x' }, { name: 'a', namespace: 'other' }),
      parents({ name: 'a', sectionName: 'x' }, { name: 'a', kind: 'ListenerSet' }),
    ],
    refused: [
      parents({ name: 'a', sectionName: 'x' }, { name: 'a' }),
      parents({ name: 'a', namespace: 'n', sectionName: 'x' }, { name: 'a', namespace: 'n' }),
    ],
  },
  {
    message: 'two references are to the same sectionName of the same parent',
    at: 'spec.parentRefs',
    accepted: [
      parents({ name: 'a' }, { name: 'a', namespace: 'other' }),
      parents({ name: 'a' }, { name: 'a', group: '', kind: 'Service', port: 80 }),
    ],
    refused: [
      parents({ name: 'a' }, { name: 'a' }),
      // Ports do not tell references apart in the standard channel.
      parents({ name: 'a', port: 80 }, { name: 'a', port: 81 }),
      parents({ name: 'a', sectionName: 'x' }, { name: 'a', sectionName: 'x' }),
    ],
  },
];

export const aBackend = {
  group: '',
  kind: 'Service',
  name: 'orders',
  namespace: 'shop',
  port: 80,
  weight: 3,
};
export const backendFields: Readonly<Record<string, Values>> = { ...backendReference, weight };
export const backends: Size = { max: 16, element: (i) => ({ name: `b${i}`, port: 80 }) };

/** Filters that HTTP and gRPC routes share; each at its place in the list of `filters`. */
export const commonFilters: readonly JsonMap[] = [
  {
    type: 'RequestHeaderModifier',
    requestHeaderModifier: {
      set: [{ name: 'x-set', value: '1' }],
      add: [{ name: 'x-add', value: '2' }],
      remove: ['x-remove'],
    },
  },
  {
    type: 'ResponseHeaderModifier',
    responseHeaderModifier: {
      set: [{ name: 'x-set', value: '1' }],
      add: [{ name: 'x-add', value: '2' }],
      remove: ['x-remove'],
    },
  },
  {
    type: 'RequestMirror',
    requestMirror: {
      backendRef: { group: '', kind: 'Service', name: 'copy', namespace: 'shop', port: 80 },
      percent: 10,
    },
  },
  {
    type: 'RequestMirror',
    requestMirror: {
      backendRef: { name: 'copy', port: 80 },
      fraction: { numerator: 1, denominator: 3 },
    },
  },
  { type: 'ExtensionRef', extensionRef: { group: 'example.com', kind: 'Filter', name: 'own' } },
];

const modifier: Readonly<Record<string, Values>> = {
  'set[0].name': headerName,
  'set[0].value': headerValue,
  'add[0].name': headerName,
  'add[0].value': headerValue,
  'remove[0]': { accepted: ['', 'any thing'], refused: [1] },
};
export const commonFilterFields: Readonly<Record<string, Values>> = {
  ...under('[0].requestHeaderModifier', modifier),
  ...under('[1].responseHeaderModifier', modifier),
  ...under('[2].requestMirror.backendRef', backendReference),
  '[2].requestMirror.percent': { accepted: [0, 100], refused: [-1, 101, 0.5, '1'] },
  '[3].requestMirror.fraction.numerator': { accepted: [0, 3], refused: [-1, '1', 0.5] },
  '[3].requestMirror.fraction.denominator': {
    accepted: [1, 2_147_483_647],
    refused: [0, -1, '1'],
  },
  ...under('[4].extensionRef', localReference),
};
const headers: Size = { max: 16, element: (i) => ({ name: `x-${i}`, value: 'v' }), isUnique: true };
const removed: Size = { max: 16, element: (i) => `x-${i}`, isUnique: true };
export const commonFilterSizes: Readonly<Record<string, Size>> = {
  ...under('[0].requestHeaderModifier', { set: headers, add: headers, remove: removed }),
  ...under('[1].responseHeaderModifier', { set: headers, add: headers, remove: removed }),
};
const header = ['name', 'value'];
export const commonFilterRequired: Readonly<Record<string, readonly string[]>> = {
  ...under('[0].requestHeaderModifier', { 'set[0]': header, 'add[0]': header }),
  ...under('[1].responseHeaderModifier', { 'set[0]': header, 'add[0]': header }),
  '[2].requestMirror': ['backendRef'],
  '[2].requestMirror.backendRef': ['name'],
  '[3].requestMirror.fraction': ['numerator'],
  '[4].extensionRef': ['group', 'kind', 'name'],
};

/** That a filter has the field of its type, and no other. `index` is a filter of that type, `other` one of another. */
export function unionRules(
  type: string,
  field: string,
  o: { index: number; other: number; value: JsonMap },
): Rule[] {
  return [
    {
      message: `type ${type} needs ${field}`,
      at: `[${o.index}]`,
      accepted: [{ [`[${o.index}].${field}`]: o.value }],
      refused: [{ [`[${o.index}].${field}`]: undefined }],
    },
    {
      message: `${field} is only for type ${type}`,
      at: `[${o.other}]`,
      accepted: [{ [`[${o.index}].${field}`]: o.value }],
      refused: [{ [`[${o.other}].${field}`]: o.value }],
    },
  ];
}
export const atMostOnce = (type: string, filter: JsonMap, count: number): Rule => ({
  message: `${type} stands at most once`,
  at: '',
  accepted: [{ [`[${count}]`]: commonFilters[4] ?? {} }],
  refused: [{ [`[${count}]`]: filter }],
});
const aModifier = { set: [{ name: 'a', value: 'b' }] };
const aMirror = { backendRef: { name: 'copy', port: 80 } };
export const commonFilterRules: readonly Rule[] = [
  ...unionRules('RequestHeaderModifier', 'requestHeaderModifier', { index: 0, other: 1, value: aModifier }),
  ...unionRules('ResponseHeaderModifier', 'responseHeaderModifier', { index: 1, other: 0, value: aModifier }),
  ...unionRules('RequestMirror', 'requestMirror', { index: 2, other: 0, value: aMirror }),
  ...unionRules('ExtensionRef', 'extensionRef', {
    index: 4,
    other: 0,
    value: { group: 'example.com', kind: 'Filter', name: 'own' },
  }),
  {
    message: 'percent and fraction exclude each other',
    at: '[2].requestMirror',
    accepted: [{ '[2].requestMirror.percent': undefined }],
    refused: [{ '[2].requestMirror.fraction': { numerator: 1 } }],
  },
  {
    message: 'numerator is not above denominator',
    at: '[3].requestMirror.fraction',
    accepted: [
      { '[3].requestMirror.fraction': { numerator: 100 } },
      { '[3].requestMirror.fraction': { numerator: 7, denominator: 7 } },
    ],
    refused: [
      { '[3].requestMirror.fraction': { numerator: 101 } },
      { '[3].requestMirror.fraction': { numerator: 8, denominator: 7 } },
    ],
  },
  ...[2, 3].map((index) => ({
    ...serviceNeedsPort,
    at: `[${index}].requestMirror.backendRef`,
    accepted: serviceNeedsPort.accepted.map((change) => under(`[${index}].requestMirror.backendRef`, change)),
    refused: serviceNeedsPort.refused.map((change) => under(`[${index}].requestMirror.backendRef`, change)),
  })),
];

export const headerMatch: Readonly<Record<string, Values>> = {
  'headers[0].type': { accepted: ['Exact', 'RegularExpression'], refused: ['Prefix', '', 1] },
  'headers[0].name': headerName,
  'headers[0].value': headerValue,
};
export const headerMatches: Size = headers;
