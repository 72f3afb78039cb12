import { create, type MessageInitShape } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseSpiffe } from '#mesh/identity/spiffe.js';
import { authorizeL4 } from '#mesh/policy/l4/authorize.js';
import { compileL4Policy, type L4Connection } from '#mesh/policy/l4/compile.js';
import { Action, AuthorizationSchema, type MatchSchema } from '#mesh/xds/gen/istio/authorization_pb.js';
import { ipToBytes } from '#base/net/address.js';

type MatchInit = MessageInitShape<typeof MatchSchema>;

const web = parseSpiffe('spiffe://cluster.local/ns/shop/sa/web');

function connection(overrides: Partial<L4Connection> = {}): L4Connection {
  return {
    sourceIp: '10.1.2.3',
    destinationIp: '10.9.9.9',
    destinationPort: 8080,
    identity: web,
    ...overrides,
  };
}

/** A policy whose rules are lists of clauses, which are lists of matches. */
function policy(action: Action, rules: MatchInit[][][], extra: { dryRun?: boolean; name?: string } = {}) {
  const source = create(AuthorizationSchema, {
    name: extra.name ?? 'p',
    namespace: 'shop',
    action,
    dryRun: extra.dryRun ?? false,
    rules: rules.map((clauses) => ({ clauses: clauses.map((matches) => ({ matches })) })),
  });
  return compileL4Policy(source);
}

function allows(rules: MatchInit[][][], c: L4Connection): boolean {
  return authorizeL4([policy(Action.ALLOW, rules).policy], c).isAllowed;
}

const exact = (value: string) => ({ matchType: { case: 'exact' as const, value } });
const prefix = (value: string) => ({ matchType: { case: 'prefix' as const, value } });
const suffix = (value: string) => ({ matchType: { case: 'suffix' as const, value } });
const presence = { matchType: { case: 'presence' as const, value: {} } };
const cidr = (ip: string, length: number) => ({ address: ipToBytes(ip) ?? new Uint8Array(), length });
const plaintext = connection({ identity: undefined });
const strict: MatchInit = { notPrincipals: [presence] };

describe('order of decisions', () => {
  test('without policies everything is admitted', () => {
    expect(authorizeL4([], plaintext).isAllowed).toBe(true);
  });

  test('DENY wins over ALLOW and names itself', () => {
    const deny = policy(Action.DENY, [[[{ destinationPorts: [8080] }]]], { name: 'no-8080' }).policy;
    const allow = policy(Action.ALLOW, [[]]).policy;
    const decision = authorizeL4([allow, deny], connection());
    expect(decision).toMatchObject({ isAllowed: false, policy: 'shop/no-8080' });
    expect(decision.reason).toBe('explicitly denied by: shop/no-8080');
  });

  test('an ALLOW without rules refuses everybody', () => {
    expect(authorizeL4([policy(Action.ALLOW, []).policy], connection())).toMatchObject({
      isAllowed: false,
      reason: 'allow policies exist, but none allowed',
    });
  });

  test('dry-run policies are reported and change nothing', () => {
    const decision = authorizeL4([policy(Action.DENY, [[]], { dryRun: true }).policy], connection());
    expect(decision).toMatchObject({ isAllowed: true, dryRun: ['shop/p'] });
    // A dry-run ALLOW does not switch the default to "refuse" either.
    expect(authorizeL4([policy(Action.ALLOW, [], { dryRun: true }).policy], connection()).isAllowed).toBe(
      true,
    );
  });

  test('STRICT refuses plaintext and admits any identity', () => {
    const deny = policy(Action.DENY, [[[strict]]]).policy;
    expect(authorizeL4([deny], plaintext).isAllowed).toBe(false);
    expect(authorizeL4([deny], connection()).isAllowed).toBe(true);
  });

  test('STRICT with a port exception admits plaintext on that port only', () => {
    const deny = policy(Action.DENY, [[[strict], [{ notDestinationPorts: [9090] }]]]).policy;
    expect(authorizeL4([deny], plaintext).isAllowed).toBe(false);
    expect(authorizeL4([deny], { ...plaintext, destinationPort: 9090 }).isAllowed).toBe(true);
  });
});

describe('matching', () => {
  const vectors: [string, MatchInit[][][], L4Connection, boolean][] = [
    ['a rule without clauses matches everything', [[]], plaintext, true],
    ['a clause without matches matches', [[[]]], plaintext, true],
    ['a match without fields never matches', [[[{}]]], connection(), false],
    [
      'several matches: any one suffices',
      [[[{ destinationPorts: [1] }, { destinationPorts: [8080] }]]],
      connection(),
      true,
    ],
    [
      'several clauses: all must match',
      [[[{ destinationPorts: [8080] }], [{ destinationPorts: [1] }]]],
      connection(),
      false,
    ],
    [
      'several rules: any one suffices',
      [[[{ destinationPorts: [1] }]], [[{ destinationPorts: [8080] }]]],
      connection(),
      true,
    ],
    [
      'kinds within a match are ANDed',
      [[[{ destinationPorts: [8080], namespaces: [exact('other')] }]]],
      connection(),
      false,
    ],
    ['principal exact', [[[{ principals: [exact('cluster.local/ns/shop/sa/web')] }]]], connection(), true],
    [
      'principal with scheme never matches',
      [[[{ principals: [exact('spiffe://cluster.local/ns/shop/sa/web')] }]]],
      connection(),
      false,
    ],
    ['principal prefix', [[[{ principals: [prefix('cluster.local/ns/shop/')] }]]], connection(), true],
    ['principal suffix', [[[{ principals: [suffix('/sa/web')] }]]], connection(), true],
    ['principal of nobody never matches', [[[{ principals: [prefix('')] }]]], plaintext, false],
    ['presence needs an identity', [[[{ principals: [presence] }]]], plaintext, false],
    ['negative principal passes for nobody', [[[{ notPrincipals: [exact('x')] }]]], plaintext, true],
    [
      'one matching negative is enough to fail',
      [[[{ notPrincipals: [exact('x'), suffix('/sa/web')] }]]],
      connection(),
      false,
    ],
    ['namespace', [[[{ namespaces: [exact('shop')] }]]], connection(), true],
    ['namespace of nobody is empty', [[[{ namespaces: [exact('')] }]]], plaintext, true],
    [
      'service account',
      [[[{ serviceAccounts: [{ namespace: 'shop', serviceAccount: 'web' }] }]]],
      connection(),
      true,
    ],
    [
      'service account of another namespace',
      [[[{ serviceAccounts: [{ namespace: 'x', serviceAccount: 'web' }] }]]],
      connection(),
      false,
    ],
    [
      'service account of nobody',
      [[[{ serviceAccounts: [{ namespace: '', serviceAccount: '' }] }]]],
      plaintext,
      false,
    ],
    ['source range', [[[{ sourceIps: [cidr('10.1.0.0', 16)] }]]], plaintext, true],
    ['source range with odd length', [[[{ sourceIps: [cidr('10.1.2.0', 30)] }]]], plaintext, true],
    ['source outside an odd range', [[[{ sourceIps: [cidr('10.1.2.4', 30)] }]]], plaintext, false],
    ['everything of a family', [[[{ sourceIps: [cidr('0.0.0.0', 0)] }]]], plaintext, true],
    ['families must agree', [[[{ sourceIps: [cidr('::', 0)] }]]], plaintext, false],
    ['IPv6 range', [[[{ sourceIps: [cidr('fd00:1::', 32)] }]]], connection({ sourceIp: 'fd00:1::9' }), true],
    ['negative source range', [[[{ notSourceIps: [cidr('10.0.0.0', 8)] }]]], plaintext, false],
    ['destination address', [[[{ destinationIps: [cidr('10.9.9.9', 32)] }]]], plaintext, true],
    ['negative port', [[[{ notDestinationPorts: [8080] }]]], plaintext, false],
  ];
  test.each(vectors)('%s', (_name, rules, c, expected) => {
    expect(allows(rules, c)).toBe(expected);
  });

  test('an address is inside exactly the ranges its leading bits spell', () => {
    fc.assert(
      fc.property(fc.nat(0xffffffff), fc.nat(0xffffffff), fc.integer({ min: 0, max: 32 }), (a, b, length) => {
        const text = (n: number): string => [n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255].join('.');
        const isInside = length === 0 || a >>> (32 - length) === b >>> (32 - length);
        expect(allows([[[{ sourceIps: [cidr(text(b), length)] }]]], connection({ sourceIp: text(a) }))).toBe(
          isInside,
        );
      }),
    );
  });
});

describe('parts without meaning', () => {
  const broken: MatchInit = {
    destinationPorts: [8080],
    sourceIps: [{ address: Uint8Array.of(1, 2), length: 8 }],
  };

  test('make an ALLOW admit nobody', () => {
    const { policy: p, problem } = policy(Action.ALLOW, [[[broken]]]);
    expect(problem).toContain('not an address range');
    expect(authorizeL4([p], connection()).isAllowed).toBe(false);
  });

  test('make a DENY refuse everybody', () => {
    const { policy: p } = policy(Action.DENY, [[[{ principals: [{ matchType: { case: undefined } }] }]]]);
    expect(authorizeL4([p], connection({ destinationPort: 1 })).isAllowed).toBe(false);
  });

  test('an unknown action is rejected', () => {
    expect(() => policy(7 as Action, [])).toThrow('unknown action 7');
  });
});
