import { type Corpus, type JsonMap, under } from './corpus.js';
import {
  aCondition,
  condition,
  conditionRequired,
  conditions,
  controllerName,
  group,
  kind,
  localReference,
  namespace,
  objectName,
  optionValue,
  port,
  subdomain,
  tlsOptions,
  unionType,
  wildcardHost,
} from './values.js';

const aTarget = { group: '', kind: 'Service', name: 'orders', sectionName: 'https' };
const anAncestor = {
  group: 'gateway.networking.k8s.io',
  kind: 'Gateway',
  namespace: 'infra',
  name: 'edge',
  sectionName: 'https',
  port: 443,
};
const targets = (...refs: readonly JsonMap[]): { 'spec.targetRefs': readonly JsonMap[] } => ({
  'spec.targetRefs': refs.map((ref) => ({ group: '', kind: 'Service', ...ref })),
});
const names = 'spec.validation.subjectAltNames';
const withoutAuthorities = { 'spec.validation.caCertificateRefs': undefined };

export const backendTlsPolicy: Corpus = {
  resource: {
    group: 'gateway.networking.k8s.io',
    version: 'v1',
    plural: 'backendtlspolicies',
    kind: 'BackendTLSPolicy',
    isNamespaced: true,
  },
  unserved: ['v1alpha3'],
  shortNames: ['btlspolicy'],
  columns: ['Name', 'Age'],
  base: {
    spec: {
      targetRefs: [aTarget],
      validation: {
        caCertificateRefs: [{ group: '', kind: 'ConfigMap', name: 'authorities' }],
        hostname: 'orders.example',
        subjectAltNames: [
          { type: 'Hostname', hostname: '*.orders.example' },
          { type: 'URI', uri: 'spiffe://cluster.local/ns/shop/sa/orders' },
        ],
      },
      options: { 'example.com/ciphers': 'modern' },
    },
    status: {
      ancestors: [
        {
          ancestorRef: anAncestor,
          controllerName: 'example.com/controller',
          conditions: [aCondition('Accepted')],
        },
      ],
    },
  },
  fields: {
    ...under('spec.targetRefs[0]', { ...localReference, sectionName: subdomain }),
    ...under('spec.validation.caCertificateRefs[0]', localReference),
    'spec.validation.hostname': subdomain,
    'spec.validation.wellKnownCACertificates': {
      accepted: [],
      refused: ['', 'Else', 'system', 'a/b/c', 'example.com/-a', 'w'.repeat(254), 1],
    },
    [`${names}[0].type`]: unionType,
    [`${names}[0].hostname`]: wildcardHost,
    [`${names}[1].uri`]: {
      accepted: ['https://a.example/b?c#d', `a://${'u'.repeat(249)}`],
      refused: ['', 'no-scheme', '//a', 'mailto:a', `a://${'u'.repeat(250)}`, 1],
    },
    'spec.options["example.com/ciphers"]': optionValue,
    ...under('status.ancestors[0].ancestorRef', {
      group,
      kind,
      namespace,
      name: objectName,
      sectionName: subdomain,
      port,
    }),
    'status.ancestors[0].controllerName': controllerName,
    ...under('status.ancestors[0].conditions[0]', condition),
  },
  sizes: {
    'spec.targetRefs': {
      min: 1,
      max: 16,
      element: (i) => ({ group: '', kind: 'Service', name: `s${i}` }),
    },
    'spec.validation.caCertificateRefs': {
      max: 8,
      element: (i) => ({ group: '', kind: 'ConfigMap', name: `a${i}` }),
    },
    [names]: { max: 5, element: (i) => ({ type: 'Hostname', hostname: `h${i}.example` }) },
    'spec.options': tlsOptions,
    'status.ancestors': {
      max: 16,
      element: (i) => ({
        ancestorRef: { name: `g${i}` },
        controllerName: 'example.com/controller',
        conditions: [aCondition('Accepted')],
      }),
    },
    'status.ancestors[0].conditions': { ...conditions, min: 1 },
  },
  required: {
    '': ['spec'],
    spec: ['targetRefs', 'validation'],
    'spec.targetRefs[0]': ['group', 'kind', 'name'],
    'spec.validation': ['hostname'],
    'spec.validation.caCertificateRefs[0]': ['group', 'kind', 'name'],
    [`${names}[0]`]: ['type'],
    status: ['ancestors'],
    'status.ancestors[0]': ['ancestorRef', 'conditions', 'controllerName'],
    'status.ancestors[0].ancestorRef': ['name'],
    'status.ancestors[0].conditions[0]': conditionRequired,
  },
  rules: [
    {
      message: 'of several references to one target, each names a sectionName, or none',
      at: 'spec.targetRefs',
      accepted: [
        targets({ name: 'a', sectionName: 'x' }, { name: 'a', sectionName: 'y' }),
        targets({ name: 'a', sectionName: 'x' }, { name: 'b' }),
      ],
      refused: [targets({ name: 'a', sectionName: 'x' }, { name: 'a' })],
    },
    {
      message: 'two references are to the same sectionName of the same target',
      at: 'spec.targetRefs',
      accepted: [targets({ name: 'a' }, { name: 'a', kind: 'ServiceImport' })],
      refused: [
        targets({ name: 'a' }, { name: 'a' }),
        targets({ name: 'a', sectionName: 'x' }, { name: 'a', sectionName: 'x' }),
      ],
    },
    {
      message: 'caCertificateRefs and wellKnownCACertificates exclude each other',
      at: 'spec.validation',
      accepted: ['System', 'example.com/private'].map((set) => ({
        ...withoutAuthorities,
        'spec.validation.wellKnownCACertificates': set,
      })),
      refused: [{ 'spec.validation.wellKnownCACertificates': 'System' }],
    },
    {
      message: 'needs caCertificateRefs or wellKnownCACertificates',
      at: 'spec.validation',
      accepted: [
        { 'spec.validation.caCertificateRefs': [], 'spec.validation.wellKnownCACertificates': 'System' },
      ],
      refused: [withoutAuthorities, { 'spec.validation.caCertificateRefs': [] }],
    },
    {
      message: 'type Hostname needs hostname',
      at: `${names}[0]`,
      accepted: [{ [`${names}[0]`]: { type: 'Hostname', hostname: 'a.example' } }],
      refused: [{ [`${names}[0]`]: { type: 'Hostname' } }],
    },
    {
      message: 'hostname is only for type Hostname',
      at: `${names}[1]`,
      accepted: [{ [`${names}[1]`]: { type: 'URI', uri: 'a://b' } }],
      refused: [{ [`${names}[1].hostname`]: 'a.example' }],
    },
    {
      message: 'type URI needs uri',
      at: `${names}[1]`,
      accepted: [{ [`${names}[1]`]: { type: 'URI', uri: 'a://b' } }],
      refused: [{ [`${names}[1]`]: { type: 'URI' } }],
    },
    {
      message: 'uri is only for type URI',
      at: `${names}[0]`,
      accepted: [{ [`${names}[0]`]: { type: 'Hostname', hostname: 'a.example' } }],
      refused: [{ [`${names}[0].uri`]: 'a://b' }],
    },
  ],
  unknown: { 'spec.validation.insecure': true },
  defaults: [
    {
      given: {
        spec: {
          targetRefs: [{ group: '', kind: 'Service', name: 'a' }],
          validation: { hostname: 'a.example', wellKnownCACertificates: 'System' },
        },
      },
      stored: {
        spec: {
          targetRefs: [{ group: '', kind: 'Service', name: 'a' }],
          validation: { hostname: 'a.example', wellKnownCACertificates: 'System' },
        },
      },
    },
  ],
};
