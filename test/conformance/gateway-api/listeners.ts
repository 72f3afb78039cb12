import { type JsonMap, type Rule, type Size, type Values, under } from './corpus.js';
import {
  aCondition,
  aSelector,
  condition,
  conditionRequired,
  conditions,
  count,
  group,
  kind,
  labelSelector,
  namespace,
  objectName,
  oneOf,
  optionValue,
  port,
  routeKinds,
  subdomain,
  tlsOptions,
  wildcardHost,
} from './values.js';

/** Listeners, as Gateways and ListenerSets have them: one for each protocol. */

export const secretReference = { group, kind, name: objectName, namespace };
export const aSecret = { group: '', kind: 'Secret', name: 'certificate', namespace: 'certs' };

export const listeners: readonly JsonMap[] = [
  {
    name: 'https',
    hostname: '*.example.com',
    port: 443,
    protocol: 'HTTPS',
    tls: { mode: 'Terminate', certificateRefs: [aSecret], options: { 'example.com/ciphers': 'modern' } },
    allowedRoutes: {
      namespaces: { from: 'Selector', selector: aSelector },
      kinds: [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute' }],
    },
  },
  { name: 'http', port: 80, protocol: 'HTTP' },
  { name: 'tls', port: 8443, protocol: 'TLS', tls: { mode: 'Passthrough' } },
  { name: 'tcp', port: 5432, protocol: 'TCP' },
  { name: 'mesh', port: 15_008, protocol: 'HBONE' },
];

export const listenerFields: Readonly<Record<string, Values>> = under('spec.listeners[0]', {
  name: subdomain,
  hostname: wildcardHost,
  port,
  protocol: {
    accepted: ['QUIC', 'a-b', 'example.com/Own'],
    refused: ['', '-a', 'a b', 'p'.repeat(256), 1],
  },
  'tls.mode': { accepted: ['Terminate'], refused: ['Else', '', 1] },
  ...under('tls.certificateRefs[0]', secretReference),
  'tls.options["example.com/ciphers"]': optionValue,
  'allowedRoutes.namespaces.from': oneOf(['All', 'Selector', 'Same'], ['None', '', 1]),
  ...under('allowedRoutes.namespaces.selector', labelSelector),
  ...under('allowedRoutes', routeKinds),
});

export const listenerStatusFields: Readonly<Record<string, Values>> = {
  ...under('status.conditions[0]', condition),
  ...under('status.listeners[0]', {
    name: subdomain,
    attachedRoutes: count,
    'supportedKinds[0].group': group,
    'supportedKinds[0].kind': kind,
  }),
  ...under('status.listeners[0].conditions[0]', condition),
};

export const aListenerStatus = {
  name: 'https',
  attachedRoutes: 2,
  supportedKinds: [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute' }],
  conditions: [aCondition('Accepted')],
};

export const listenerSizes: Readonly<Record<string, Size>> = {
  'spec.listeners': {
    min: 1,
    max: 64,
    element: (i) => ({ name: `l${i}`, port: i + 1, protocol: 'HTTP' }),
    isUnique: true,
  },
  'spec.listeners[0].tls.certificateRefs': { max: 64, element: (i) => ({ name: `c${i}` }) },
  'spec.listeners[0].tls.options': tlsOptions,
  'spec.listeners[0].allowedRoutes.kinds': { max: 8, element: (i) => ({ kind: `Kind${i}` }) },
  'status.conditions': conditions,
  'status.listeners': {
    max: 64,
    element: (i) => ({ ...aListenerStatus, name: `l${i}` }),
    isUnique: true,
  },
  'status.listeners[0].conditions': conditions,
  'status.listeners[0].supportedKinds': { max: 8, element: (i) => ({ kind: `Kind${i}` }) },
};

export const listenerRequired: Readonly<Record<string, readonly string[]>> = {
  'spec.listeners[0]': ['name', 'port', 'protocol'],
  'spec.listeners[0].tls.certificateRefs[0]': ['name'],
  'spec.listeners[0].allowedRoutes.namespaces.selector.matchExpressions[0]': ['key', 'operator'],
  'spec.listeners[0].allowedRoutes.kinds[0]': ['kind'],
  'status.conditions[0]': conditionRequired,
  'status.listeners[0]': ['name', 'attachedRoutes', 'conditions'],
  'status.listeners[0].conditions[0]': conditionRequired,
  'status.listeners[0].supportedKinds[0]': ['kind'],
};

const at = 'spec.listeners';
export const listenerRules: readonly Rule[] = [
  {
    message: 'mode Terminate needs certificateRefs or options',
    at: 'spec.listeners[0].tls',
    accepted: [
      { 'spec.listeners[0].tls.options': undefined },
      { 'spec.listeners[0].tls.certificateRefs': [] },
    ],
    refused: [{ 'spec.listeners[0].tls.options': {}, 'spec.listeners[0].tls.certificateRefs': [] }],
  },
  {
    message: 'a listener with protocol HTTP, TCP or UDP takes no tls',
    at,
    accepted: [
      { 'spec.listeners[4].tls': { mode: 'Passthrough' } },
      { 'spec.listeners[0].tls': undefined, 'spec.listeners[0].protocol': 'HTTP' },
    ],
    refused: ['HTTP', 'TCP', 'UDP'].map((protocol) => ({
      'spec.listeners[0].protocol': protocol,
      'spec.listeners[0].hostname': undefined,
    })),
  },
  {
    message: 'a listener with protocol HTTPS has tls.mode Terminate',
    at,
    accepted: [{ 'spec.listeners[0].tls': undefined }],
    refused: [{ 'spec.listeners[0].tls.mode': 'Passthrough' }],
  },
  {
    message: 'a listener with protocol TLS needs tls with a mode',
    at,
    accepted: [
      { 'spec.listeners[2].tls': { certificateRefs: [{ name: 'c' }] } },
      { 'spec.listeners[2].tls.mode': 'Passthrough' },
    ],
    refused: [{ 'spec.listeners[2].tls': undefined }],
  },
  {
    message: 'a listener with protocol TCP or UDP takes no hostname',
    at,
    accepted: [{ 'spec.listeners[1].hostname': 'a.example' }, { 'spec.listeners[3].protocol': 'UDP' }],
    refused: [
      { 'spec.listeners[3].hostname': 'a.example' },
      { 'spec.listeners[3].hostname': 'a.example', 'spec.listeners[3].protocol': 'UDP' },
    ],
  },
  {
    message: 'two listeners have the same name',
    at,
    accepted: [{ 'spec.listeners[1].name': 'other' }],
    refused: [{ 'spec.listeners[1].name': 'https' }],
  },
  {
    message: 'two listeners have the same port, protocol and hostname',
    at,
    accepted: [
      { 'spec.listeners[5]': { name: 'also', port: 80, protocol: 'HTTP', hostname: 'a.example' } },
      { 'spec.listeners[5]': { name: 'also', port: 80, protocol: 'HTTPS' } },
      {
        'spec.listeners[1].hostname': 'a.example',
        'spec.listeners[5]': { name: 'also', port: 80, protocol: 'HTTP', hostname: 'b.example' },
      },
    ],
    refused: [
      { 'spec.listeners[5]': { name: 'also', port: 80, protocol: 'HTTP' } },
      {
        'spec.listeners[1].hostname': 'a.example',
        'spec.listeners[5]': { name: 'also', port: 80, protocol: 'HTTP', hostname: 'a.example' },
      },
    ],
  },
];
