import { httpRoutes } from '#base/kube/resource.js';
import {
  type Change,
  type Corpus,
  type Json,
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
  unionRules,
} from './routes.js';
import {
  anyBoolean,
  headerName,
  oneOf,
  port,
  serviceNeedsPort,
  subdomain,
  unionType,
  wildcardHost,
} from './values.js';

const urlRewrite = { hostname: 'a.example', path: { type: 'ReplaceFullPath', replaceFullPath: '/new' } };
const cors = {
  allowOrigins: ['https://*.example.com'],
  allowMethods: ['GET'],
  allowHeaders: ['x-any'],
  exposeHeaders: ['x-any'],
  allowCredentials: true,
  maxAge: 60,
};
const redirectTo = (path: JsonMap): JsonMap => ({
  type: 'RequestRedirect',
  requestRedirect: { scheme: 'https', hostname: 'a.example', path, port: 8443, statusCode: 301 },
});
const rewriteTo = (path: JsonMap): JsonMap => ({ type: 'URLRewrite', urlRewrite: { path } });
const toPrefix = { type: 'ReplacePrefixMatch', replacePrefixMatch: '/new' };
const toFull = { type: 'ReplaceFullPath', replaceFullPath: '/new' };

/** One of each type but redirects, which exclude rewrites: 5 and 6 come after the common ones. */
const filters = [...commonFilters, { type: 'URLRewrite', urlRewrite }, { type: 'CORS', cors }];
const prefixMatch = { path: { type: 'PathPrefix', value: '/old' } };

const newPath = (field: 'replaceFullPath' | 'replacePrefixMatch'): Readonly<Record<string, Values>> => ({
  'path.type': unionType,
  [`path.${field}`]: { accepted: ['', '/', 'x'.repeat(1024)], refused: ['x'.repeat(1025), 1] },
});
const redirectFields: Readonly<Record<string, Values>> = {
  scheme: oneOf(['http', 'https'], ['HTTP', '', 1]),
  hostname: subdomain,
  port,
  statusCode: oneOf([301, 302, 303, 307, 308], [300, 304, '301']),
};

const filterFields: Readonly<Record<string, Values>> = {
  '[0].type': unionType,
  ...commonFilterFields,
  '[5].urlRewrite.hostname': subdomain,
  ...under('[5].urlRewrite', newPath('replaceFullPath')),
  ...under('[6].cors', {
    'allowOrigins[0]': {
      accepted: ['*', 'http://*', 'https://a.b-c:65535', 'http://*.a.b', `http://${'o'.repeat(246)}`],
      refused: [
        '',
        'a.example',
        'ftp://a',
        'http://a/',
        'http://a:123456',
        '*.a',
        `http://${'o'.repeat(247)}`,
        1,
      ],
    },
    'allowMethods[0]': oneOf(
      ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH', '*'],
      ['get', '', 1],
    ),
    'allowHeaders[0]': headerName,
    'exposeHeaders[0]': headerName,
    allowCredentials: anyBoolean,
    maxAge: { accepted: [1, 2_147_483_647], refused: [0, -1, '5'] },
  }),
};
const names: Size = { max: 64, element: (i) => `x-${i}`, isUnique: true };
const filterSizes: Readonly<Record<string, Size>> = {
  '': { max: 16, element: () => commonFilters[4] ?? {} },
  ...commonFilterSizes,
  ...under('[6].cors', {
    allowOrigins: { max: 64, element: (i) => `http://a${i}`, isUnique: true },
    // Nine methods there are, and "*" stands alone: more than allowed can only be had twice.
    allowMethods: { max: 9, isUnique: true },
    allowHeaders: names,
    exposeHeaders: names,
  }),
};
const filterRequired: Readonly<Record<string, readonly string[]>> = {
  '[0]': ['type'],
  ...commonFilterRequired,
  '[5].urlRewrite.path': ['type'],
};

const starAlone = (field: string, other: Json): Rule => ({
  message: '"*" stands alone',
  at: `[6].cors.${field}`,
  accepted: [
    { [`[6].cors.${field}`]: ['*'] },
    { [`[6].cors.${field}`]: [other] },
    { [`[6].cors.${field}`]: [] },
  ],
  refused: [{ [`[6].cors.${field}`]: ['*', other] }],
});
const pathRules = (at: string): Rule[] => [
  {
    message: 'type ReplaceFullPath needs replaceFullPath',
    at,
    accepted: [{ [at]: { type: 'ReplaceFullPath', replaceFullPath: '' } }],
    refused: [{ [at]: { type: 'ReplaceFullPath' } }],
  },
  {
    message: 'replaceFullPath is only for type ReplaceFullPath',
    at,
    accepted: [{ [at]: toFull }],
    refused: [{ [at]: { ...toPrefix, replaceFullPath: '/x' } }],
  },
  {
    message: 'type ReplacePrefixMatch needs replacePrefixMatch',
    at,
    accepted: [{ [at]: toFull }],
    refused: [{ [at]: { type: 'ReplacePrefixMatch' } }],
  },
  {
    message: 'replacePrefixMatch is only for type ReplacePrefixMatch',
    at,
    accepted: [{ [at]: toFull }],
    refused: [{ [at]: { ...toFull, replacePrefixMatch: '/x' } }],
  },
];
/** Of filters in a list with one of each type. */
const filterRules: readonly Rule[] = [
  ...commonFilterRules,
  ...unionRules('URLRewrite', 'urlRewrite', { index: 5, other: 0, value: urlRewrite }),
  ...unionRules('CORS', 'cors', { index: 6, other: 0, value: cors }),
  atMostOnce('RequestHeaderModifier', commonFilters[0] ?? {}, 7),
  atMostOnce('ResponseHeaderModifier', commonFilters[1] ?? {}, 7),
  atMostOnce('URLRewrite', { type: 'URLRewrite', urlRewrite: {} }, 7),
  atMostOnce('CORS', { type: 'CORS', cors: {} }, 7),
  {
    message: 'RequestRedirect and URLRewrite exclude each other',
    at: '',
    accepted: [{ '[5]': undefined }],
    refused: [{ '[7]': { type: 'RequestRedirect', requestRedirect: {} } }],
  },
  ...pathRules('[5].urlRewrite.path'),
  starAlone('allowOrigins', 'http://a'),
  starAlone('allowMethods', 'GET'),
  starAlone('allowHeaders', 'x-a'),
];
/** Of filters in a list with a redirect alone. */
const redirectRules: readonly Rule[] = [
  ...unionRules('RequestRedirect', 'requestRedirect', { index: 0, other: 1, value: { statusCode: 302 } }).map(
    // A filter of another type beside it.
    (rule) => ({ ...rule, refused: rule.refused.map((change) => ({ '[1]': commonFilters[0], ...change })) }),
  ),
  {
    message: 'RequestRedirect stands at most once',
    at: '',
    accepted: [{ '[1]': commonFilters[0] }],
    refused: [{ '[1]': { type: 'RequestRedirect', requestRedirect: {} } }],
  },
  ...pathRules('[0].requestRedirect.path'),
];

const value = 'spec.rules[0].matches[0].path';
const pathRule = (message: string, refused: readonly string[], accepted: readonly string[]): Rule => ({
  message,
  at: value,
  accepted: [
    ...accepted.map((path) => ({ [`${value}.value`]: path })),
    ...refused.map((path) => ({ [`${value}.value`]: path, [`${value}.type`]: 'RegularExpression' })),
  ],
  refused: refused.flatMap((path) =>
    ['Exact', 'PathPrefix'].map((type) => ({ [`${value}.value`]: path, [`${value}.type`]: type })),
  ),
});

const times = (length: number, path: (i: number) => string): JsonMap[] =>
  Array.from({ length }, (_, i) => ({ path: { type: 'Exact', value: path(i) } }));
const manyMatches = (...counts: readonly number[]): Change => ({
  'spec.rules': counts.map((length, r) => ({ matches: times(length, (i) => `/${r}/${i}`) })),
});
const manyRules = (last: number): Change => manyMatches(...Array.from({ length: 15 }, () => 8), last);

/** What replaces a prefix stands in a rule with exactly one match, of a prefix. */
const prefixRule = (message: string, filter: JsonMap, isOfBackend: boolean): Rule => {
  const rule = (matches: Json | undefined): Change => ({
    'spec.rules': [
      {
        ...(matches === undefined ? {} : { matches }),
        ...(isOfBackend
          ? { backendRefs: [{ name: 'b', port: 80, filters: [filter] }] }
          : { filters: [filter] }),
      },
    ],
  });
  return {
    message,
    at: 'spec.rules[0]',
    accepted: [rule([prefixMatch]), rule(undefined), rule([{ ...prefixMatch, method: 'GET' }])],
    refused: [
      rule([prefixMatch, prefixMatch]),
      rule([{ path: { type: 'Exact', value: '/old' } }]),
      rule([{ path: { type: 'RegularExpression', value: '/old' } }]),
      rule([]),
    ],
  };
};

const backend = 'spec.rules[0].backendRefs[0]';
const exactMatch = {
  path: { type: 'Exact', value: '/old' },
  method: 'GET',
  headers: [{ type: 'Exact', name: 'x-any', value: 'v' }],
  queryParams: [{ type: 'Exact', name: 'any', value: 'v' }],
};

export const httpRoute: Corpus = {
  resource: httpRoutes,
  otherVersions: ['v1beta1'],
  shortNames: [],
  columns: ['Name', 'Hostnames', 'Age'],
  base: {
    spec: {
      parentRefs: [aParent],
      hostnames: ['a.example'],
      rules: [
        {
          name: 'all',
          matches: [exactMatch],
          filters,
          backendRefs: [{ ...aBackend, filters }],
          timeouts: { request: '10s', backendRequest: '2s' },
        },
        { matches: [prefixMatch], filters: [redirectTo(toPrefix)] },
        { matches: [prefixMatch], filters: [redirectTo(toFull)] },
        {
          matches: [prefixMatch],
          filters: [rewriteTo(toPrefix)],
          backendRefs: [
            { name: 'a', port: 80, filters: [redirectTo(toPrefix)] },
            { name: 'b', port: 80, filters: [redirectTo(toFull)] },
            { name: 'c', port: 80, filters: [rewriteTo(toPrefix)] },
          ],
        },
      ],
    },
    status: aRouteStatus,
  },
  fields: {
    ...routeFields,
    'spec.hostnames[0]': wildcardHost,
    'spec.rules[0].name': subdomain,
    'spec.rules[0].matches[0].path.type': oneOf(
      ['Exact', 'PathPrefix', 'RegularExpression'],
      ['Prefix', '', 1],
    ),
    'spec.rules[0].matches[0].path.value': {
      accepted: ['/', '/a.b/~c;d=e:@', '/%20%c3', `/${'p'.repeat(1023)}`],
      refused: [`/${'p'.repeat(1024)}`, 1],
    },
    'spec.rules[0].matches[0].method': oneOf(
      ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'],
      ['get', '', '*', 1],
    ),
    ...under('spec.rules[0].matches[0]', headerMatch),
    'spec.rules[0].matches[0].queryParams[0].type': oneOf(['Exact', 'RegularExpression'], ['Prefix', '', 1]),
    'spec.rules[0].matches[0].queryParams[0].name': headerName,
    'spec.rules[0].matches[0].queryParams[0].value': {
      accepted: [' ', 'v'.repeat(1024)],
      refused: ['', 'v'.repeat(1025), 1],
    },
    ...under('spec.rules[0].filters', filterFields),
    ...under('spec.rules[1].filters[0].requestRedirect', {
      ...redirectFields,
      ...newPath('replacePrefixMatch'),
    }),
    ...under('spec.rules[2].filters[0].requestRedirect', newPath('replaceFullPath')),
    ...under('spec.rules[3].filters[0].urlRewrite', newPath('replacePrefixMatch')),
    ...under(backend, backendFields),
    ...under(`${backend}.filters`, filterFields),
    ...under('spec.rules[3].backendRefs[0].filters[0].requestRedirect', {
      ...redirectFields,
      ...newPath('replacePrefixMatch'),
    }),
    ...under('spec.rules[3].backendRefs[1].filters[0].requestRedirect', newPath('replaceFullPath')),
    ...under('spec.rules[3].backendRefs[2].filters[0].urlRewrite', newPath('replacePrefixMatch')),
    'spec.rules[0].timeouts.request': {
      accepted: ['1h2m3s4ms', '0s', '99999h'],
      refused: ['', '1', '1.5s', '-1s', '1d', '100000h', '1s1s1s1s1s', 1],
    },
    'spec.rules[0].timeouts.backendRequest': {
      accepted: ['1ms', '99999h', '2h'],
      refused: ['', '1', '1.5s', '-1s', '1d', '100000h', '1s1s1s1s1s', 1],
    },
  },
  sizes: {
    ...routeSizes,
    'spec.hostnames': { max: 16, element: (i) => `h${i}.example` },
    'spec.rules': { min: 1, max: 16, element: () => ({ matches: [prefixMatch] }) },
    'spec.rules[0].matches': { max: 64, element: (i) => times(i + 1, (n) => `/${n}`)[i] ?? {} },
    'spec.rules[0].matches[0].headers': headerMatches,
    'spec.rules[0].matches[0].queryParams': headerMatches,
    ...under('spec.rules[0].filters', filterSizes),
    'spec.rules[0].backendRefs': backends,
    ...under(`${backend}.filters`, filterSizes),
  },
  required: {
    ...routeRequired,
    'spec.rules[0].matches[0].headers[0]': ['name', 'value'],
    'spec.rules[0].matches[0].queryParams[0]': ['name', 'value'],
    ...under('spec.rules[0].filters', filterRequired),
    'spec.rules[1].filters[0].requestRedirect.path': ['type'],
    [backend]: ['name'],
    ...under(`${backend}.filters`, filterRequired),
    'spec.rules[3].backendRefs[0].filters[0].requestRedirect.path': ['type'],
  },
  rules: [
    ...parentRules,
    ...rulesUnder('spec.rules[0].filters', filterRules),
    ...rulesUnder('spec.rules[1].filters', redirectRules),
    ...rulesUnder(backend, [serviceNeedsPort]),
    ...rulesUnder(`${backend}.filters`, filterRules),
    ...rulesUnder('spec.rules[3].backendRefs[0].filters', redirectRules),
    pathRule('path begins with "/"', ['a', 'a/b'], ['/a']),
    pathRule('path has no empty segment, "//"', ['//', '/a//b'], ['/a/b/']),
    pathRule('path has no segment "."', ['/./a', '/a/./b'], ['/.a', '/a.b']),
    pathRule('path has no segment ".."', ['/../a', '/a/../b'], ['/..a', '/a..b']),
    pathRule('path has no escaped slash, "%2f"', ['/a%2fb'], ['/a%3fb']),
    pathRule('path has no escaped slash, "%2F"', ['/a%2Fb'], ['/a%3Fb']),
    pathRule('path has no "#"', ['/a#b'], ['/a%23b']),
    pathRule('path does not end with segment ".."', ['/a/..'], ['/a..']),
    pathRule('path does not end with segment "."', ['/a/.'], ['/a.']),
    pathRule(
      'path consists of the characters that a URI may have there',
      ['/a b', '/ä', '/%zz', '/a?b'],
      ["/-.~!$&'()*+,;=:@%20"],
    ),
    {
      message: 'all rules together have at most 128 matches',
      at: 'spec.rules',
      accepted: [manyMatches(64, 64), manyRules(8)],
      refused: [manyMatches(64, 64, 1), manyRules(9)],
    },
    {
      message: 'a rule that redirects takes no backendRefs',
      at: 'spec.rules[1]',
      accepted: [{ 'spec.rules[1].backendRefs': [] }],
      refused: [{ 'spec.rules[1].backendRefs': [{ name: 'b', port: 80 }] }],
    },
    prefixRule(
      'a redirect that replaces the matched prefix needs exactly one match, of a PathPrefix',
      redirectTo(toPrefix),
      false,
    ),
    prefixRule(
      'a rewrite that replaces the matched prefix needs exactly one match, of a PathPrefix',
      rewriteTo(toPrefix),
      false,
    ),
    prefixRule(
      'a redirect of a backend that replaces the matched prefix needs exactly one match, of a PathPrefix',
      redirectTo(toPrefix),
      true,
    ),
    prefixRule(
      'a rewrite of a backend that replaces the matched prefix needs exactly one match, of a PathPrefix',
      rewriteTo(toPrefix),
      true,
    ),
    {
      message: 'backendRequest is not longer than request',
      at: 'spec.rules[0].timeouts',
      accepted: [
        { 'spec.rules[0].timeouts': { request: '1s', backendRequest: '1000ms' } },
        { 'spec.rules[0].timeouts': { request: '0s', backendRequest: '1h' } },
        { 'spec.rules[0].timeouts': { backendRequest: '1h' } },
      ],
      refused: [
        { 'spec.rules[0].timeouts': { request: '1s', backendRequest: '1001ms' } },
        { 'spec.rules[0].timeouts': { request: '59m', backendRequest: '1h' } },
      ],
    },
  ],
  unbreakable: ['type is Exact, PathPrefix or RegularExpression'],
  unknown: { 'spec.rules[0].retry': { attempts: 2 }, 'spec.rules[0].sessionPersistence': { type: 'Cookie' } },
  defaults: [
    {
      given: { spec: {} },
      stored: { spec: { rules: [{ matches: [{ path: { type: 'PathPrefix', value: '/' } }] }] } },
    },
    {
      given: {
        spec: {
          parentRefs: [{ name: 'a' }],
          rules: [
            {
              matches: [
                {
                  headers: [{ name: 'x', value: 'v' }],
                  queryParams: [{ name: 'x', value: 'v' }],
                },
                { path: { value: '/a' } },
                { path: { type: 'Exact' } },
              ],
              filters: [
                {
                  type: 'RequestMirror',
                  requestMirror: { backendRef: { name: 'b', port: 1 }, fraction: { numerator: 1 } },
                },
                { type: 'CORS', cors: {} },
              ],
              backendRefs: [{ name: 'b', port: 80 }],
            },
            { filters: [{ type: 'RequestRedirect', requestRedirect: {} }] },
          ],
        },
      },
      stored: {
        spec: {
          parentRefs: [{ group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'a' }],
          rules: [
            {
              matches: [
                {
                  path: { type: 'PathPrefix', value: '/' },
                  headers: [{ type: 'Exact', name: 'x', value: 'v' }],
                  queryParams: [{ type: 'Exact', name: 'x', value: 'v' }],
                },
                { path: { type: 'PathPrefix', value: '/a' } },
                { path: { type: 'Exact', value: '/' } },
              ],
              filters: [
                {
                  type: 'RequestMirror',
                  requestMirror: {
                    backendRef: { group: '', kind: 'Service', name: 'b', port: 1 },
                    fraction: { numerator: 1, denominator: 100 },
                  },
                },
                { type: 'CORS', cors: { maxAge: 5 } },
              ],
              backendRefs: [{ group: '', kind: 'Service', name: 'b', port: 80, weight: 1 }],
            },
            {
              matches: [{ path: { type: 'PathPrefix', value: '/' } }],
              filters: [{ type: 'RequestRedirect', requestRedirect: { statusCode: 302 } }],
            },
          ],
        },
      },
    },
  ],
};
