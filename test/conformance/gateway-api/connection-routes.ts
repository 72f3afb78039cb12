import type { Resource } from '#base/kube/resource.js';
import { type Corpus, rulesUnder, under } from './corpus.js';
import {
  aBackend,
  aParent,
  aRouteStatus,
  backendFields,
  backends,
  parentRules,
  routeFields,
  routeRequired,
  routeSizes,
} from './routes.js';
import { serviceNeedsPort, subdomain, wildcardHost } from './values.js';

const resourceOf = (kind: string): Resource => ({
  group: 'gateway.networking.k8s.io',
  version: 'v1',
  plural: `${kind.toLowerCase()}s`,
  kind,
  isNamespaced: true,
});

const rule = { name: 'all', backendRefs: [aBackend] };

function connectionRoute(kind: string): Corpus {
  return {
    resource: resourceOf(kind),
    unserved: ['v1alpha2'],
    shortNames: [],
    columns: ['Name', 'Age'],
    base: { spec: { parentRefs: [aParent], rules: [rule] }, status: aRouteStatus },
    fields: {
      ...routeFields,
      'spec.rules[0].name': subdomain,
      ...under('spec.rules[0].backendRefs[0]', backendFields),
    },
    sizes: {
      ...routeSizes,
      'spec.rules': { min: 1, max: 1, element: () => rule },
      'spec.rules[0].backendRefs': { ...backends, min: 1 },
    },
    required: {
      ...routeRequired,
      spec: ['rules'],
      'spec.rules[0]': ['backendRefs'],
      'spec.rules[0].backendRefs[0]': ['name'],
    },
    rules: [...parentRules, ...rulesUnder('spec.rules[0].backendRefs[0]', [serviceNeedsPort])],
    unknown: { 'spec.useDefaultGateways': 'All' },
    defaults: [
      {
        given: { spec: { parentRefs: [{ name: 'a' }], rules: [{ backendRefs: [{ name: 'b', port: 1 }] }] } },
        stored: {
          spec: {
            parentRefs: [{ group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'a' }],
            rules: [{ backendRefs: [{ group: '', kind: 'Service', name: 'b', port: 1, weight: 1 }] }],
          },
        },
      },
    ],
  };
}

export const tcpRoute = connectionRoute('TCPRoute');
export const udpRoute = connectionRoute('UDPRoute');

const { spec } = tcpRoute.base as { spec: object };
export const tlsRoute: Corpus = {
  ...tcpRoute,
  resource: resourceOf('TLSRoute'),
  unserved: ['v1alpha2', 'v1alpha3'],
  base: { spec: { ...spec, hostnames: ['a.example'] }, status: aRouteStatus },
  fields: { ...tcpRoute.fields, 'spec.hostnames[0]': wildcardHost },
  sizes: { ...tcpRoute.sizes, 'spec.hostnames': { min: 1, max: 1024, element: (i) => `h${i}.example` } },
  required: { ...tcpRoute.required, spec: ['hostnames', 'rules'] },
  rules: [
    ...tcpRoute.rules,
    {
      message: 'a host is a name, not an IP address',
      at: 'spec.hostnames',
      accepted: [{ 'spec.hostnames': ['1.example', '1.2.3.4.example'] }],
      refused: [{ 'spec.hostnames': ['192.0.2.1'] }],
    },
    {
      message: 'a host without "*" is a DNS name',
      at: 'spec.hostnames',
      accepted: [{ 'spec.hostnames': ['a', 'a-b.example'] }],
      refused: [{ 'spec.hostnames': ['a..b'] }],
    },
    {
      message: '"*" stands only at the beginning, before a dot and a DNS name',
      at: 'spec.hostnames',
      accepted: [{ 'spec.hostnames': ['*.a', '*.a-b.example'] }],
      refused: [{ 'spec.hostnames': ['a.*.b'] }, { 'spec.hostnames': ['*a.b'] }, { 'spec.hostnames': ['*'] }],
    },
  ],
  defaults: [
    {
      given: { spec: { hostnames: ['a.example'], rules: [{ backendRefs: [{ name: 'b', port: 1 }] }] } },
      stored: {
        spec: {
          hostnames: ['a.example'],
          rules: [{ backendRefs: [{ group: '', kind: 'Service', name: 'b', port: 1, weight: 1 }] }],
        },
      },
    },
  ],
};
