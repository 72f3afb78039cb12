import {
  type Change,
  type Corpus,
  type JsonMap,
  type Rule,
  rulesUnder,
  type Size,
  under,
  type Values,
} from './corpus.js';
import {
  aBackend,
  aParent,
  aRouteStatus,
  atMostOnce,
  backendFields,
  backends,
  commonFilterFields,
  commonFilterRequired,
  commonFilterRules,
  commonFilters,
  commonFilterSizes,
  headerMatch,
  headerMatches,
  parentRules,
  routeFields,
  routeRequired,
  routeSizes,
} from './routes.js';
import { oneOf, serviceNeedsPort, subdomain, unionType, wildcardHost } from './values.js';

const filters = commonFilters;
const filterFields: Readonly<Record<string, Values>> = { '[0].type': unionType, ...commonFilterFields };
const filterSizes: Readonly<Record<string, Size>> = {
  '': { max: 16, element: () => commonFilters[4] ?? {} },
  ...commonFilterSizes,
};
const filterRequired = { '[0]': ['type'], ...commonFilterRequired };
const filterRules: readonly Rule[] = [
  ...commonFilterRules,
  atMostOnce('RequestHeaderModifier', commonFilters[0] ?? {}, 5),
  atMostOnce('ResponseHeaderModifier', commonFilters[1] ?? {}, 5),
];

const times = (length: number): JsonMap[] =>
  Array.from({ length }, (_, i) => ({ method: { service: `s${i}` } }));
const manyMatches = (...counts: readonly number[]): Change => ({
  'spec.rules': counts.map((length) => ({ matches: times(length) })),
});
const manyRules = (last: number): Change => manyMatches(...Array.from({ length: 15 }, () => 8), last);

const method = 'spec.rules[0].matches[0].method';
const backend = 'spec.rules[0].backendRefs[0]';
const nameRule = (
  message: string,
  field: string,
  accepted: readonly string[],
  refused: readonly string[],
): Rule => ({
  message,
  at: method,
  accepted: [
    ...accepted.map((name) => ({ [`${method}.${field}`]: name })),
    ...refused.map((name) => ({ [`${method}.${field}`]: name, [`${method}.type`]: 'RegularExpression' })),
  ],
  refused: refused.map((name) => ({ [`${method}.${field}`]: name })),
});

export const grpcRoute: Corpus = {
  resource: {
    group: 'gateway.networking.k8s.io',
    version: 'v1',
    plural: 'grpcroutes',
    kind: 'GRPCRoute',
    isNamespaced: true,
  },
  shortNames: [],
  columns: ['Name', 'Hostnames', 'Age'],
  base: {
    spec: {
      parentRefs: [aParent],
      hostnames: ['a.example'],
      rules: [
        {
          name: 'all',
          matches: [
            {
              method: { type: 'Exact', service: 'shop.v1.Orders', method: 'Get' },
              headers: [{ type: 'Exact', name: 'x-any', value: 'v' }],
            },
          ],
          filters,
          backendRefs: [{ ...aBackend, filters }],
        },
      ],
    },
    status: aRouteStatus,
  },
  fields: {
    ...routeFields,
    'spec.hostnames[0]': wildcardHost,
    'spec.rules[0].name': subdomain,
    [`${method}.type`]: oneOf(['Exact', 'RegularExpression'], ['Prefix', '', 1]),
    [`${method}.service`]: { accepted: ['s', 's'.repeat(1024)], refused: ['s'.repeat(1025), 1] },
    [`${method}.method`]: { accepted: ['m', 'm'.repeat(1024)], refused: ['m'.repeat(1025), 1] },
    ...under('spec.rules[0].matches[0]', headerMatch),
    ...under('spec.rules[0].filters', filterFields),
    ...under(backend, backendFields),
    ...under(`${backend}.filters`, filterFields),
  },
  sizes: {
    ...routeSizes,
    'spec.hostnames': { max: 16, element: (i) => `h${i}.example` },
    'spec.rules': { max: 16, element: (i) => ({ name: `r${i}` }) },
    'spec.rules[0].matches': { max: 64, element: (i) => ({ method: { service: `s${i}` } }) },
    'spec.rules[0].matches[0].headers': headerMatches,
    ...under('spec.rules[0].filters', filterSizes),
    'spec.rules[0].backendRefs': backends,
    ...under(`${backend}.filters`, filterSizes),
  },
  required: {
    ...routeRequired,
    'spec.rules[0].matches[0].headers[0]': ['name', 'value'],
    ...under('spec.rules[0].filters', filterRequired),
    [backend]: ['name'],
    ...under(`${backend}.filters`, filterRequired),
  },
  rules: [
    ...parentRules,
    ...rulesUnder('spec.rules[0].filters', filterRules),
    ...rulesUnder(backend, [serviceNeedsPort]),
    ...rulesUnder(`${backend}.filters`, filterRules),
    {
      message: 'needs service or method',
      at: method,
      accepted: [{ [method]: { service: 'S' } }, { [method]: { method: 'M' } }],
      refused: [{ [method]: {} }, { [method]: { type: 'RegularExpression' } }],
    },
    nameRule(
      'service is a name with dots, of letters, digits and underscores',
      'service',
      ['s', '_s1', '.a.B', 'shop.V1.Orders'],
      ['', '1s', 'a..b', 'a-b', 'a.'],
    ),
    nameRule(
      'method is a name of letters, digits and underscores',
      'method',
      ['m', '_M1'],
      ['', '1m', 'a.b', 'a-b'],
    ),
    {
      message: 'all rules together have at most 128 matches',
      at: 'spec.rules',
      accepted: [manyMatches(64, 64), manyRules(8)],
      refused: [manyMatches(64, 64, 1), manyRules(9)],
    },
  ],
  unknown: { 'spec.rules[0].sessionPersistence': { type: 'Cookie' } },
  defaults: [
    { given: { spec: {} }, stored: { spec: {} } },
    {
      given: {
        spec: {
          rules: [
            {
              matches: [{ method: { service: 'S' }, headers: [{ name: 'x', value: 'v' }] }],
              backendRefs: [{ name: 'b', port: 80 }],
            },
          ],
        },
      },
      stored: {
        spec: {
          rules: [
            {
              matches: [
                {
                  method: { type: 'Exact', service: 'S' },
                  headers: [{ type: 'Exact', name: 'x', value: 'v' }],
                },
              ],
              backendRefs: [{ group: '', kind: 'Service', name: 'b', port: 80, weight: 1 }],
            },
          ],
        },
      },
    },
  ],
};
