import { toJson } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { convertToL4 } from '#mesh/rules/l4-authorization.js';
import type { AuthorizationPolicy, AuthorizationRule } from '#base/kube/types.js';
import { AuthorizationSchema } from '#mesh/xds/gen/istio/authorization_pb.js';

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

const convert = (spec: NonNullable<AuthorizationPolicy['spec']>, o = {}) =>
  convertToL4(policy(spec, o), 'istio-system');
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

test.each([['CUSTOM'], ['AUDIT']])('action %s is not for a node proxy', (action) => {
  expect(convert({ action })).toMatchObject({
    authorization: undefined,
    unsupportedPolicy: `action ${action}`,
  });
});

test('a dry run is not enforced', () => {
  expect(convert({}, { annotations: { 'istio.io/dry-run': 'true' } }).authorization).toBeUndefined();
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

  test('DENY drops the attribute and keeps the rest of the clause', () => {
    const result = convert({
      action: 'DENY',
      rules: [{ to: [{ operation: { methods: ['GET'], ports: ['80'] } }] }],
    });
    expect(result.authorization?.rules[0]?.clauses[0]?.matches[0]?.destinationPorts).toEqual([80]);
    expect(result).toMatchObject({ omittedRules: [], ineffectiveRules: [] });
  });

  test('DENY with a clause of nothing else can never match, which is reported', () => {
    expect(convert({ action: 'DENY', rules: [l4, { ...l4, ...l7 }] })).toMatchObject({
      ineffectiveRules: [2],
    });
  });

  test.each([
    [{ from: [{ source: { requestPrincipals: ['*'] } }] }],
    [{ from: [{ source: { remoteIpBlocks: ['10.0.0.0/8'] } }] }],
    [{ to: [{ operation: { notPaths: ['/x'] } }] }],
    [{ to: [{ operation: { hosts: ['h'] } }] }],
    [{ when: [{ key: 'request.headers[x]', values: ['y'] }] }],
    // A value that cannot be read must not widen an ALLOW rule.
    [{ from: [{ source: { principals: ['x'], ipBlocks: ['10.0.0.0/99'] } }] }],
    [{ to: [{ operation: { notPorts: ['http'] } }] }],
    [{ when: [{ key: 'source.ip', notValues: ['nonsense'] }] }],
  ])('ALLOW omits %j', (rule) => {
    expect(convert({ rules: [rule] })).toMatchObject({ omittedRules: [1] });
  });
});
