import { toJson } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { convertToL4, l4Shortfall } from '#mesh/rules/l4-authorization.js';
import { defaultMeshConfig } from '#mesh/rules/mesh-config.js';
import type { AuthorizationPolicy, AuthorizationRule } from '#base/kube/types.js';
import { Action, AuthorizationSchema } from '#mesh/xds/gen/istio/authorization_pb.js';

function policy(
  spec: NonNullable<AuthorizationPolicy['spec']>,
  o: { namespace?: string; annotations?: Record<string, string> } = {},
): AuthorizationPolicy {
  return {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: 'p', namespace: o.namespace ?? 'shop', annotations: o.annotations ?? {} },
    spec,
  };
}

const mesh = defaultMeshConfig('istio-system');
const convert = (spec: NonNullable<AuthorizationPolicy['spec']>, o = {}) =>
  convertToL4(policy(spec, o), mesh);
const convertIgnoring = (spec: NonNullable<AuthorizationPolicy['spec']>) =>
  convertToL4(policy(spec), { ...mesh, l7PolicyAtZtunnel: 'ignore' });
const json = (spec: NonNullable<AuthorizationPolicy['spec']>, o = {}) => {
  const { authorization } = convert(spec, o);
  return authorization === undefined ? undefined : toJson(AuthorizationSchema, authorization);
};
const rulesOf = (rules: AuthorizationRule[], action = 'ALLOW') => json({ action, rules });

describe('scope', () => {
  const selector = { matchLabels: { app: 'x' } };
  test.each([
    [{}, 'shop', 'NAMESPACE'],
    [{}, 'istio-system', undefined],
    [{ selector }, 'shop', 'WORKLOAD_SELECTOR'],
    [{ selector }, 'istio-system', 'WORKLOAD_SELECTOR'],
    // An empty selector is no selector: it must not silently apply to nothing.
    [{ selector: {} }, 'shop', 'NAMESPACE'],
    [{ selector: { matchLabels: {} } }, 'istio-system', undefined],
  ])('%j in %s is %s', (spec, namespace, scope) => {
    // GLOBAL is the default value and therefore absent from JSON.
    expect(json(spec, { namespace })).toEqual({
      name: 'p',
      namespace,
      ...(scope === undefined ? {} : { scope }),
    });
  });
});

test('an audit is not for a node proxy', () => {
  const conversion = convert({ action: 'AUDIT', rules: [{}] });
  expect(conversion).toMatchObject({ authorization: undefined, unsupportedPolicy: 'action AUDIT' });
  expect(l4Shortfall(conversion)).toContain('not enforced');
});

test.each([['CUSTOM'], ['SOMETHING']])(
  'what action %s would ask somebody else about is refused, unless it is to be ignored',
  (action) => {
    const spec = { action: action as 'CUSTOM', rules: [{ from: [{ source: { namespaces: ['a'] } }] }] };
    const conversion = convert(spec);
    expect(conversion).toMatchObject({
      authorization: { action: Action.DENY, rules: [{ clauses: [{ matches: [{ namespaces: [{}] }] }] }] },
      unsupportedPolicy: `action ${action}`,
      stricterRules: [1],
    });
    expect(l4Shortfall(conversion)).toContain('refused');
    expect(convertIgnoring(spec).authorization).toBeUndefined();
  },
);

test.each([['true'], ['True'], ['1']])('a dry run (%s) is not enforced', (value) => {
  expect(convert({}, { annotations: { 'istio.io/dry-run': value } }).authorization).toBeUndefined();
});

test('a principal of "this mesh" is one of its trust domain', () => {
  const rules = [{ from: [{ source: { principals: ['cluster.local/ns/a/sa/*', 'other/ns/a/sa/b'] } }] }];
  const { authorization } = convertToL4(policy({ rules }), { ...mesh, trustDomain: 'td.example' });
  expect(authorization?.rules[0]?.clauses[0]?.matches[0]?.principals).toMatchObject([
    { matchType: { value: 'td.example/ns/a/sa/' } },
    { matchType: { value: 'other/ns/a/sa/b' } },
  ]);
});

test('a principal of one of its trust domains means the same name in all of them', () => {
  const rules = [{ from: [{ source: { principals: ['td.example/ns/a/sa/b'] } }] }];
  const names = { trustDomain: 'td2.example', trustDomainAliases: ['td.example'] };
  const { authorization } = convertToL4(policy({ rules }), { ...mesh, ...names });
  expect(authorization?.rules[0]?.clauses[0]?.matches[0]?.principals).toMatchObject([
    { matchType: { value: 'td2.example/ns/a/sa/b' } },
    { matchType: { value: 'td.example/ns/a/sa/b' } },
  ]);
});

describe('rules', () => {
  test('no rules stay none; an empty rule matches everything', () => {
    expect(json({})).not.toHaveProperty('rules');
    expect(rulesOf([{}])).toMatchObject({ rules: [{}] });
  });

  test('to, from and each condition are clauses of their own', () => {
    const rule: AuthorizationRule = {
      to: [{ operation: { ports: ['80'] } }, { operation: { notPorts: ['90'] } }],
      from: [{ source: { principals: ['*/sa/x', 'a/*', '*', 'exact'], notNamespaces: ['n'] } }],
      when: [
        { key: 'source.ip', values: ['10.0.0.0/8'], notValues: ['10.1.2.3'] },
        { key: 'destination.port', values: ['8080'] },
      ],
    };
    expect(rulesOf([rule])).toMatchObject({
      rules: [
        {
          clauses: [
            { matches: [{ destinationPorts: [80] }, { notDestinationPorts: [90] }] },
            {
              matches: [
                {
                  principals: [{ suffix: '/sa/x' }, { prefix: 'a/' }, { presence: {} }, { exact: 'exact' }],
                  notNamespaces: [{ exact: 'n' }],
                },
              ],
            },
            {
              matches: [
                {
                  sourceIps: [{ address: 'CgAAAA==', length: 8 }],
                  notSourceIps: [{ address: 'CgECAw==', length: 32 }],
                },
              ],
            },
            { matches: [{ destinationPorts: [8080] }] },
          ],
        },
      ],
    });
  });

  test('service accounts are taken from the own namespace unless they name one', () => {
    const rule = { from: [{ source: { serviceAccounts: ['a', 'other/b'] } }] };
    expect(rulesOf([rule])).toMatchObject({
      rules: [
        {
          clauses: [
            {
              matches: [
                {
                  serviceAccounts: [
                    { namespace: 'shop', serviceAccount: 'a' },
                    { namespace: 'other', serviceAccount: 'b' },
                  ],
                },
              ],
            },
          ],
        },
      ],
    });
  });
});

describe('attributes a node proxy does not see', () => {
  const l4 = { from: [{ source: { principals: ['x'] } }] };
  const l7 = { to: [{ operation: { methods: ['GET'] } }] };

  test('ALLOW leaves the whole rule out, so that its traffic stays denied', () => {
    const result = convert({ action: 'ALLOW', rules: [{ ...l4, ...l7 }, l4] });
    expect(result.authorization?.rules).toHaveLength(1);
    expect(result).toMatchObject({ omittedRules: [1], unsupported: ['to.operation.methods'] });
  });

  const clausesOf = (spec: NonNullable<AuthorizationPolicy['spec']>, converter = convert) =>
    converter(spec).authorization?.rules.map(({ clauses }) => clauses.length);

  test.each<[string, AuthorizationRule, number]>([
    ['an operation of its own', { ...l4, ...l7 }, 1],
    ['nothing else', l7, 0],
    ['one of two operations', { ...l4, to: [...l7.to, { operation: { ports: ['80'] } }] }, 1],
    ['a negation', { ...l4, to: [{ operation: { notMethods: ['GET'] } }] }, 1],
    ['a condition', { ...l4, when: [{ key: 'request.headers[x]', values: ['y'] }] }, 1],
    ['a condition nobody knows', { ...l4, when: [{ key: 'source.port', values: ['1'] }] }, 1],
    ['a source', { from: [{ source: { requestPrincipals: ['*'] } }] }, 0],
    ['a port that is none', { ...l4, to: [{ operation: { ports: ['80', 'http'] } }] }, 1],
    ['a block that is none', { from: [{ source: { ipBlocks: ['10.0.0.0/8', '10.0.0.0/99'] } }] }, 0],
    ['a pattern without a form', { from: [{ source: { namespaces: ['a*b'] } }] }, 0],
    ['a service account pattern', { from: [{ source: { serviceAccounts: ['a/*'] } }] }, 0],
  ])('DENY with %s refuses whoever the rest of the rule matches', (_name, rule, clauses) => {
    const spec = { action: 'DENY' as const, rules: [rule] };
    expect(clausesOf(spec)).toEqual([clauses]);
    expect(convert(spec)).toMatchObject({ omittedRules: [], ineffectiveRules: [], stricterRules: [1] });
    expect(l4Shortfall(convert(spec))).toContain('refuse whoever the rest of them matches: 1');
  });

  test('DENY keeps what it can evaluate beside an attribute, and the exemptions it can read', () => {
    const matchOf = (operation: NonNullable<NonNullable<AuthorizationRule['to']>[number]['operation']>) =>
      convert({ action: 'DENY', rules: [{ to: [{ operation }] }] }).authorization?.rules[0]?.clauses[0]
        ?.matches[0];
    expect(matchOf({ methods: ['GET'], ports: ['80'] })?.destinationPorts).toEqual([80]);
    expect(matchOf({ notPorts: ['80', 'http'] })?.notDestinationPorts).toEqual([80]);
  });

  test('told to ignore, DENY loses the attribute; a clause of nothing else never matches', () => {
    const spec = { action: 'DENY' as const, rules: [l4, { ...l4, ...l7 }] };
    expect(convertIgnoring(spec)).toMatchObject({ ineffectiveRules: [2], stricterRules: [] });
    expect(clausesOf(spec, convertIgnoring)).toEqual([1, 2]);
    expect(l4Shortfall(convertIgnoring(spec))).toContain('never match: 2');
  });

  test.each([
    [{ from: [{ source: { requestPrincipals: ['*'] } }] }],
    [{ from: [{ source: { remoteIpBlocks: ['10.0.0.0/8'] } }] }],
    [{ to: [{ operation: { notPaths: ['/x'] } }] }],
    [{ to: [{ operation: { hosts: ['h'] } }] }],
    [{ when: [{ key: 'request.headers[x]', values: ['y'] }] }],
    // A field of a later API version.
    [{ from: [{ source: { namespaces: ['x'], planets: ['mars'] } as object }] }],
    // A value that cannot be read must not widen an ALLOW rule.
    [{ from: [{ source: { principals: ['x'], ipBlocks: ['10.0.0.0/99'] } }] }],
    [{ to: [{ operation: { notPorts: ['http'] } }] }],
    [{ when: [{ key: 'source.ip', notValues: ['nonsense'] }] }],
  ])('ALLOW omits %j', (rule) => {
    expect(convert({ rules: [rule] })).toMatchObject({ omittedRules: [1] });
  });
});
