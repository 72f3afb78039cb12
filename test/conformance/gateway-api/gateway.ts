import { gateways } from '#base/kube/resource.js';
import { type Corpus, type Rule, type Size, under, type Values } from './corpus.js';
import {
  aListenerStatus,
  aSecret,
  listenerFields,
  listenerRequired,
  listenerRules,
  listeners,
  listenerSizes,
  listenerStatusFields,
  secretReference,
} from './listeners.js';
import {
  aCondition,
  aSelector,
  count,
  group,
  kind,
  labelSelector,
  localReference,
  namespace,
  objectName,
  oneOf,
  pending,
  port,
} from './values.js';

const authority = { group: '', kind: 'ConfigMap', name: 'authorities', namespace: 'certs' };
const validation = { caCertificateRefs: [authority], mode: 'AllowValidOnly' };

const frontend: Readonly<Record<string, Values>> = {
  ...under('validation.caCertificateRefs[0]', { group, kind, name: objectName, namespace }),
  'validation.mode': oneOf(['AllowValidOnly', 'AllowInsecureFallback']),
};
const authorities: Size = { min: 1, max: 16, element: (i) => ({ ...authority, name: `a${i}` }) };
const authorityRequired = ['group', 'kind', 'name'];

/** An address's type, with a value that suits it. The pattern of types is anchored at neither end of its middle. */
const addressType: Values = {
  accepted: [],
  refused: ['', 'Else', 't'.repeat(254), 1],
};

const keyRules = (path: string): Rule[] => [
  {
    message: 'a key is a name, with or without a domain before it, as those of labels are',
    at: path,
    accepted: [{ [path]: { a: 'x', 'a.b/C_d': 'x', ['k'.repeat(63)]: 'x' } }],
    refused: [{ [path]: { '-a': 'x' } }, { [path]: { 'A.b/c': 'x' } }, { [path]: { ['k'.repeat(64)]: 'x' } }],
  },
  {
    message: 'the domain of a key is shorter than 253 characters',
    at: path,
    accepted: [{ [path]: { [`${'d'.repeat(252)}/k`]: 'x' } }],
    refused: [{ [path]: { [`${'d'.repeat(253)}/k`]: 'x' } }],
  },
];

const hostRule = (path: string, others: readonly string[]): Rule => ({
  message: 'the value of an address of type Hostname is a host name',
  at: path,
  accepted: ['a.example', '*.a.example', ...others].map((value) => ({ [path]: { type: 'Hostname', value } })),
  refused: ['A', 'a..b', 'a.*'].map((value) => ({ [path]: { type: 'Hostname', value } })),
});

/** Addresses of type IPAddress are addresses; others need not be. */
const ipRule = (path: string): Rule => ({
  message: 'must be of type ipv4',
  at: `${path}.value`,
  accepted: [
    { [path]: { type: 'IPAddress', value: '192.0.2.1' } },
    { [path]: { type: 'IPAddress', value: '2001:db8::1' } },
    { [path]: { value: '192.0.2.1' } },
    { [path]: { type: 'NamedAddress', value: 'blue' } },
    { [path]: { type: 'example.com/own', value: 'blue' } },
  ],
  refused: [
    { [path]: { type: 'IPAddress', value: 'blue' } },
    { [path]: { value: '192.0.2.256' } },
    { [path]: { type: 'IPAddress', value: '192.0.2.1/24' } },
  ],
});

export const gateway: Corpus = {
  resource: gateways,
  otherVersions: ['v1beta1'],
  shortNames: ['gtw'],
  columns: ['Name', 'Class', 'Address', 'Programmed', 'Age'],
  base: {
    spec: {
      gatewayClassName: 'example',
      listeners,
      addresses: [{ type: 'IPAddress', value: '192.0.2.1' }],
      infrastructure: {
        labels: { team: 'a' },
        annotations: { 'example.com/note': 'text' },
        parametersRef: { group: '', kind: 'ConfigMap', name: 'settings' },
      },
      allowedListeners: { namespaces: { from: 'Selector', selector: aSelector } },
      tls: {
        backend: { clientCertificateRef: aSecret },
        frontend: { default: { validation }, perPort: [{ port: 443, tls: { validation } }] },
      },
    },
    status: {
      addresses: [{ type: 'IPAddress', value: '192.0.2.1' }],
      attachedListenerSets: 1,
      conditions: [aCondition('Accepted')],
      listeners: [aListenerStatus],
    },
  },
  fields: {
    'spec.gatewayClassName': objectName,
    ...listenerFields,
    'spec.addresses[0].type': addressType,
    'spec.addresses[0].value': { accepted: ['192.0.2.7'], refused: ['v'.repeat(254), 1] },
    'spec.infrastructure.labels.team': {
      accepted: ['', 'A.b_c-d', 'l'.repeat(63)],
      refused: ['-a', 'a b', 'l'.repeat(64), 1],
    },
    'spec.infrastructure.annotations["example.com/note"]': {
      accepted: ['', 'x'.repeat(4096)],
      refused: ['x'.repeat(4097), 1],
    },
    ...under('spec.infrastructure.parametersRef', localReference),
    'spec.allowedListeners.namespaces.from': oneOf(['All', 'Selector', 'Same', 'None']),
    ...under('spec.allowedListeners.namespaces.selector', labelSelector),
    ...under('spec.tls.backend.clientCertificateRef', secretReference),
    ...under('spec.tls.frontend.default', frontend),
    'spec.tls.frontend.perPort[0].port': port,
    ...under('spec.tls.frontend.perPort[0].tls', frontend),
    'status.addresses[0].type': addressType,
    'status.addresses[0].value': { accepted: ['192.0.2.7'], refused: ['', 'v'.repeat(254), 1] },
    'status.attachedListenerSets': count,
    ...listenerStatusFields,
  },
  sizes: {
    ...listenerSizes,
    'spec.addresses': { max: 16, element: (i) => ({ value: `192.0.2.${i}` }) },
    'spec.infrastructure.labels': { max: 8, element: (i) => `v${i}`, key: (i) => `k${i}` },
    'spec.infrastructure.annotations': { max: 16, element: (i) => `v${i}`, key: (i) => `k${i}` },
    'spec.tls.frontend.default.validation.caCertificateRefs': authorities,
    'spec.tls.frontend.perPort': {
      max: 64,
      element: (i) => ({ port: i + 1, tls: {} }),
      isUnique: true,
    },
    'spec.tls.frontend.perPort[0].tls.validation.caCertificateRefs': authorities,
    'status.addresses': { max: 16, element: (i) => ({ value: `192.0.2.${i}` }) },
  },
  required: {
    '': ['spec'],
    spec: ['gatewayClassName', 'listeners'],
    ...listenerRequired,
    'spec.infrastructure.parametersRef': ['group', 'kind', 'name'],
    'spec.allowedListeners.namespaces.selector.matchExpressions[0]': ['key', 'operator'],
    'spec.tls.backend.clientCertificateRef': ['name'],
    'spec.tls.frontend': ['default'],
    'spec.tls.frontend.default.validation': ['caCertificateRefs'],
    'spec.tls.frontend.default.validation.caCertificateRefs[0]': authorityRequired,
    'spec.tls.frontend.perPort[0]': ['port', 'tls'],
    'spec.tls.frontend.perPort[0].tls.validation': ['caCertificateRefs'],
    'spec.tls.frontend.perPort[0].tls.validation.caCertificateRefs[0]': authorityRequired,
    'status.addresses[0]': ['value'],
  },
  rules: [
    ...listenerRules,
    hostRule('spec.addresses[0]', []),
    { ...hostRule('spec.addresses[0]', []), accepted: [{ 'spec.addresses[0]': { type: 'Hostname' } }] },
    hostRule('status.addresses[0]', []),
    ipRule('spec.addresses[0]'),
    ipRule('status.addresses[0]'),
    {
      message: 'an IP address stands there twice',
      at: 'spec.addresses',
      accepted: [
        { 'spec.addresses': [{ value: '192.0.2.1' }, { value: '192.0.2.2' }] },
        { 'spec.addresses': [{ type: 'IPAddress' }, { type: 'IPAddress' }] },
      ],
      refused: [{ 'spec.addresses': [{ value: '192.0.2.1' }, { type: 'IPAddress', value: '192.0.2.1' }] }],
    },
    {
      message: 'a host name stands there twice',
      at: 'spec.addresses',
      accepted: [
        {
          'spec.addresses': [
            { type: 'Hostname', value: 'a.example' },
            { type: 'Hostname', value: 'b.example' },
          ],
        },
        {
          'spec.addresses': [
            { type: 'NamedAddress', value: 'a' },
            { type: 'NamedAddress', value: 'a' },
          ],
        },
      ],
      refused: [
        {
          'spec.addresses': [
            { type: 'Hostname', value: 'a.example' },
            { type: 'Hostname', value: 'a.example' },
          ],
        },
      ],
    },
    ...keyRules('spec.infrastructure.labels'),
    ...keyRules('spec.infrastructure.annotations'),
    {
      message: 'two entries are for the same port',
      at: 'spec.tls.frontend.perPort',
      accepted: [{ 'spec.tls.frontend.perPort[1]': { port: 8443, tls: {} } }],
      refused: [{ 'spec.tls.frontend.perPort[1]': { port: 443, tls: {} } }],
    },
  ],
  unknown: { 'spec.defaultScope': 'All' },
  defaults: [
    {
      given: {
        spec: {
          gatewayClassName: 'example',
          listeners: [
            { name: 'a', port: 443, protocol: 'HTTPS', tls: { certificateRefs: [{ name: 'c' }] } },
            { name: 'b', port: 80, protocol: 'HTTP', allowedRoutes: { kinds: [{ kind: 'HTTPRoute' }] } },
          ],
          addresses: [{ value: '192.0.2.1' }],
          allowedListeners: {},
          tls: {
            backend: { clientCertificateRef: { name: 'c' } },
            frontend: {
              default: { validation: { caCertificateRefs: [{ group: '', kind: 'ConfigMap', name: 'a' }] } },
            },
          },
        },
      },
      stored: {
        spec: {
          gatewayClassName: 'example',
          listeners: [
            {
              name: 'a',
              port: 443,
              protocol: 'HTTPS',
              tls: { mode: 'Terminate', certificateRefs: [{ group: '', kind: 'Secret', name: 'c' }] },
              allowedRoutes: { namespaces: { from: 'Same' } },
            },
            {
              name: 'b',
              port: 80,
              protocol: 'HTTP',
              allowedRoutes: {
                namespaces: { from: 'Same' },
                kinds: [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute' }],
              },
            },
          ],
          addresses: [{ type: 'IPAddress', value: '192.0.2.1' }],
          allowedListeners: { namespaces: { from: 'None' } },
          tls: {
            backend: { clientCertificateRef: { group: '', kind: 'Secret', name: 'c' } },
            frontend: {
              default: {
                validation: {
                  caCertificateRefs: [{ group: '', kind: 'ConfigMap', name: 'a' }],
                  mode: 'AllowValidOnly',
                },
              },
            },
          },
        },
        status: pending('Accepted', 'Programmed'),
      },
    },
  ],
};
