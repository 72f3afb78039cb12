import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import type { HttpAttributes, L7Attributes } from '#mesh/policy/l7/attributes.js';
import { authorize, denialDetails } from '#mesh/policy/l7/authorize.js';
import { type CompiledPolicy, compileL7Policy, policiesFor } from '#mesh/policy/l7/compile.js';
import { explain } from '#mesh/policy/l7/explain.js';
import {
  AuthorizationPolicy_Action as Action,
  AuthorizationPolicySchema,
} from '#mesh/xds/gen/meshctl/l7_pb.js';

const names = { trustDomain: 'cluster.local', trustDomainAliases: [] };
const sleep = 'cluster.local/ns/default/sa/sleep';

function policy(init: MessageInitShape<typeof AuthorizationPolicySchema>): CompiledPolicy {
  return compileL7Policy(create(AuthorizationPolicySchema, { name: 'p', namespace: 'shop', ...init }), names);
}

function http(init: Partial<HttpAttributes> & { headers?: Record<string, string> } = {}): HttpAttributes {
  const { headers = {}, ...rest } = init;
  return {
    method: 'GET',
    path: '/',
    host: 'frontend',
    header: (name) => headers[name],
    auth: undefined,
    ...rest,
  };
}

function request(init: Partial<L7Attributes> = {}): L7Attributes {
  return {
    sourcePrincipal: sleep,
    sourceIp: '10.244.1.5',
    remoteIp: '10.244.1.5',
    destinationIp: '10.96.0.20',
    destinationPort: 80,
    sni: undefined,
    http: http(),
    ...init,
  };
}

const tcp = request({ http: undefined });

describe('the seed policy: GET from sleep only', () => {
  const viewer = policy({
    name: 'frontend-viewer',
    action: Action.ALLOW,
    rules: [{ from: [{ principals: [sleep] }], to: [{ methods: ['GET'] }] }],
  });

  it('lets the GET of sleep through and names the rule', () => {
    expect(authorize([viewer], request())).toMatchObject({
      allowed: true,
      reason: 'allow-matched',
      match: { namespace: 'shop', name: 'frontend-viewer', rule: 0 },
    });
  });

  it('refuses its DELETE', () => {
    const decision = authorize([viewer], request({ http: http({ method: 'DELETE' }) }));
    expect(decision).toMatchObject({ allowed: false, reason: 'no-allow-matched', match: undefined });
    expect(denialDetails(decision)).toBe('rbac_access_denied_matched_policy[none]');
  });

  it('refuses the GET of anybody else, and of a caller without identity', () => {
    expect(authorize([viewer], request({ sourcePrincipal: 'cluster.local/ns/x/sa/sleep' })).allowed).toBe(
      false,
    );
    expect(authorize([viewer], request({ sourcePrincipal: undefined })).allowed).toBe(false);
  });
});

describe('the seed policy of three alternatives', () => {
  const rules = policy({
    action: Action.ALLOW,
    rules: [
      { from: [{ requestPrincipals: ['*'] }] },
      { to: [{ paths: ['/auth/*', '/healthz', '/.well-known/*'] }] },
      { from: [{ principals: ['cluster.local/ns/microservices/sa/*'] }] },
    ],
  });
  const ingress = 'cluster.local/ns/istio-ingress/sa/gateway';
  const auth = { principal: 'iss/sub', audiences: [], presenter: undefined, claims: {} };
  it.each([
    ['/healthz, no token', request({ sourcePrincipal: ingress, http: http({ path: '/healthz' }) }), 1],
    ['/orders, token', request({ sourcePrincipal: ingress, http: http({ path: '/orders', auth }) }), 0],
    [
      '/orders, own namespace',
      request({
        sourcePrincipal: 'cluster.local/ns/microservices/sa/a',
        http: http({ path: '/orders' }),
      }),
      2,
    ],
    ['/orders, no token', request({ sourcePrincipal: ingress, http: http({ path: '/orders' }) }), undefined],
    ['/auth, no token', request({ sourcePrincipal: ingress, http: http({ path: '/auth' }) }), undefined],
  ])('%s', (_what, attributes, rule) => {
    const decision = authorize([rules], attributes);
    expect(decision.allowed).toBe(rule !== undefined);
    expect(decision.match?.rule).toBe(rule);
  });
});

describe('evaluation order and forms', () => {
  const allowAll = policy({ name: 'all', action: Action.ALLOW, rules: [{}] });

  it('allows when no ALLOW policy is in scope', () => {
    expect(authorize([], request())).toMatchObject({ allowed: true, reason: 'no-allow-policies' });
  });

  it('denies everything under an ALLOW policy without rules', () => {
    expect(authorize([policy({ action: Action.ALLOW })], request()).allowed).toBe(false);
  });

  it('lets DENY win over ALLOW and names it', () => {
    const deny = policy({
      name: 'no-delete',
      action: Action.DENY,
      rules: [{}, { to: [{ methods: ['PUT'] }] }],
    });
    const decision = authorize([allowAll, deny], request());
    expect(decision).toMatchObject({ allowed: false, reason: 'deny-matched' });
    expect(denialDetails(decision)).toBe(
      'rbac_access_denied_matched_policy[ns[shop]-policy[no-delete]-rule[0]]',
    );
  });

  it('never triggers a DENY policy without rules', () => {
    expect(authorize([policy({ action: Action.DENY })], request()).allowed).toBe(true);
  });

  it('reports AUDIT matches without deciding', () => {
    const audit = policy({ name: 'watch', action: Action.AUDIT, rules: [{ to: [{ methods: ['GET'] }] }] });
    expect(authorize([audit], request())).toMatchObject({
      allowed: true,
      audited: [{ name: 'watch', rule: 0 }],
    });
  });

  it('refuses what a CUSTOM policy selects, before DENY and ALLOW', () => {
    const custom = policy({ action: Action.CUSTOM, rules: [{ to: [{ paths: ['/admin/*'] }] }] });
    expect(authorize([custom, allowAll], request({ http: http({ path: '/admin/x' }) })).reason).toBe(
      'custom-unavailable',
    );
    expect(authorize([custom, allowAll], request()).allowed).toBe(true);
  });

  it('keeps dry-run policies out of the outcome and reports what they would do', () => {
    const dry = policy({ name: 'dry', action: Action.DENY, dryRun: true, rules: [{}] });
    expect(authorize([allowAll, dry], request())).toMatchObject({
      allowed: true,
      shadow: { deny: { allowed: false, match: { name: 'dry' } } },
    });
  });

  it('attaches policies by service, and policies without a target to everything', () => {
    const service = { namespace: 'shop', hostname: 'frontend.shop.svc.cluster.local' };
    const targeted = policy({ name: 'targeted', targets: [service] });
    expect(policiesFor([allowAll, targeted], service)).toEqual([allowAll, targeted]);
    expect(policiesFor([allowAll, targeted], { ...service, namespace: 'other' })).toEqual([allowAll]);
    expect(policiesFor([allowAll, targeted], undefined)).toEqual([allowAll]);
  });
});

describe('each field', () => {
  const auth = {
    principal: 'https://issuer/alice',
    audiences: ['api', 'web'],
    presenter: 'cli',
    claims: { groups: ['admin', 7], realm: { roles: ['ops'] }, level: 3 },
  };
  const full = request({
    remoteIp: '203.0.113.9',
    sni: 'db.example',
    http: http({
      method: 'POST',
      path: '/a/b',
      host: 'Shop.Example:80',
      headers: { 'x-tier': 'gold' },
      auth,
    }),
  });
  type Rule = NonNullable<MessageInitShape<typeof AuthorizationPolicySchema>['rules']>[number];
  const when = (key: string, values: string[], notValues: string[] = []): Rule => ({
    when: [{ key, values, notValues }],
  });
  it.each<[string, Rule, boolean]>([
    ['principals', { from: [{ principals: [sleep] }] }, true],
    ['notPrincipals', { from: [{ notPrincipals: [sleep] }] }, false],
    ['requestPrincipals', { from: [{ requestPrincipals: ['https://issuer/*'] }] }, true],
    ['notRequestPrincipals', { from: [{ notRequestPrincipals: ['*'] }] }, false],
    ['namespaces', { from: [{ namespaces: ['def*'] }] }, true],
    ['notNamespaces', { from: [{ notNamespaces: ['shop'] }] }, true],
    ['serviceAccounts', { from: [{ serviceAccounts: ['default/sleep'] }] }, true],
    ['serviceAccounts, short', { from: [{ serviceAccounts: ['sleep'] }] }, false],
    ['notServiceAccounts', { from: [{ notServiceAccounts: ['default/sleep'] }] }, false],
    ['ipBlocks', { from: [{ ipBlocks: ['10.244.0.0/16'] }] }, true],
    ['notIpBlocks', { from: [{ notIpBlocks: ['10.244.1.5'] }] }, false],
    ['remoteIpBlocks', { from: [{ remoteIpBlocks: ['203.0.113.0/24'] }] }, true],
    ['notRemoteIpBlocks', { from: [{ notRemoteIpBlocks: ['10.0.0.0/8'] }] }, true],
    ['hosts', { to: [{ hosts: ['shop.example:*'] }] }, true],
    ['hosts without port', { to: [{ hosts: ['shop.example'] }] }, false],
    ['notHosts', { to: [{ notHosts: ['shop.example*'] }] }, false],
    ['ports', { to: [{ ports: ['80'] }] }, true],
    ['notPorts', { to: [{ notPorts: ['80', '81'] }] }, false],
    ['methods', { to: [{ methods: ['P*'] }] }, true],
    ['methods, lower case', { to: [{ methods: ['post'] }] }, false],
    ['notMethods', { to: [{ notMethods: ['GET'] }] }, true],
    ['paths', { to: [{ paths: ['/a/{*}'] }] }, true],
    ['notPaths', { to: [{ notPaths: ['/a/*'] }] }, false],
    ['header', when('request.headers[X-Tier]', ['go*']), true],
    ['absent header', when('request.headers[x-none]', ['*']), false],
    ['absent header, not', when('request.headers[x-none]', [], ['*']), true],
    ['source.ip', when('source.ip', ['10.0.0.0/8']), true],
    ['remote.ip', when('remote.ip', ['10.0.0.0/8']), false],
    ['destination.ip', when('destination.ip', ['10.96.0.0/16']), true],
    ['destination.port', when('destination.port', ['80']), true],
    ['source.namespace', when('source.namespace', ['default']), true],
    ['source.principal', when('source.principal', ['*/sa/sleep']), true],
    ['source.serviceAccount', when('source.serviceAccount', ['default/sleep']), true],
    ['source.trustDomain', when('source.trustDomain', ['cluster.*']), true],
    ['request.auth.principal', when('request.auth.principal', ['*/alice']), true],
    ['request.auth.audiences', when('request.auth.audiences', ['web']), true],
    ['request.auth.presenter', when('request.auth.presenter', ['cli']), true],
    ['claim list', when('request.auth.claims[groups]', ['admin']), true],
    ['nested claim', when('request.auth.claims[realm][roles]', ['ops']), true],
    ['number claim', when('request.auth.claims[level]', ['3']), false],
    ['inherited claim name', when('request.auth.claims[constructor]', ['*']), false],
    ['connection.sni', when('connection.sni', ['*.example']), true],
    ['values and notValues', when('destination.port', ['80'], ['80']), false],
    ['two fields of a source', { from: [{ principals: [sleep], ipBlocks: ['192.0.2.1'] }] }, false],
    ['second source', { from: [{ ipBlocks: ['192.0.2.1'] }, { principals: [sleep] }] }, true],
    ['from and to', { from: [{ principals: [sleep] }], to: [{ methods: ['GET'] }] }, false],
  ])('%s', (_what, rule, expected) => {
    expect(authorize([policy({ action: Action.ALLOW, rules: [rule] })], full).allowed).toBe(expected);
    expect(authorize([policy({ action: Action.DENY, rules: [rule] })], full).allowed).toBe(!expected);
  });
});

describe('what cannot be evaluated fails closed', () => {
  it.each([
    ['unknown key', { when: [{ key: 'experimental.envoy.filters.x[y]', values: ['z'] }] }],
    ['unknown key, negated', { when: [{ key: 'no.such.key', notValues: ['z'] }] }],
    ['condition without values', { when: [{ key: 'source.ip' }] }],
    ['malformed block', { from: [{ ipBlocks: ['nonsense'] }] }],
    ['malformed block, negated', { from: [{ notIpBlocks: ['nonsense'] }] }],
    ['malformed port', { to: [{ ports: ['http'] }] }],
    ['malformed template', { to: [{ paths: ['/{**}/{*}'] }] }],
    ['empty string', { to: [{ methods: [''] }] }],
    ['empty source', { from: [{}] }],
    ['unknown server name', { when: [{ key: 'connection.sni', notValues: ['x'] }] }],
  ])('%s', (_what, rule) => {
    expect(authorize([policy({ action: Action.ALLOW, rules: [rule] })], request()).allowed).toBe(false);
    expect(authorize([policy({ action: Action.DENY, rules: [rule] })], request()).allowed).toBe(false);
  });

  it('does not deny when another condition rules the request out', () => {
    const rule = { from: [{ ipBlocks: ['nonsense'] }], to: [{ methods: ['DELETE'] }] };
    expect(authorize([policy({ action: Action.DENY, rules: [rule] })], request()).allowed).toBe(true);
  });

  it('refuses under policies marked unsupported and under actions it does not know', () => {
    const rules = [{ to: [{ methods: ['GET'] }] }];
    expect(authorize([policy({ action: Action.ALLOW, unsupported: true, rules })], request()).allowed).toBe(
      false,
    );
    const deny = authorize([policy({ action: Action.DENY, unsupported: true })], request());
    expect(deny).toMatchObject({ allowed: false, match: { rule: undefined } });
    // The wire may carry an action of a newer controller.
    expect(authorize([policy({ action: 9 as Action })], request()).allowed).toBe(false);
  });
});

describe('on a TCP connection', () => {
  it('drops an ALLOW rule that names HTTP attributes, even beside an alternative that matches', () => {
    const allow = policy({
      action: Action.ALLOW,
      rules: [{ to: [{ methods: ['GET'] }, { ports: ['80'] }] }],
    });
    expect(authorize([allow], tcp).allowed).toBe(false);
  });

  it('keeps an ALLOW rule of connection attributes', () => {
    const allow = policy({ action: Action.ALLOW, rules: [{ from: [{ principals: [sleep] }] }] });
    expect(authorize([allow], tcp).allowed).toBe(true);
  });

  it('widens a DENY rule by its HTTP attributes', () => {
    const deny = (ports: string[]): CompiledPolicy =>
      policy({ action: Action.DENY, rules: [{ to: [{ methods: ['DELETE'], ports }] }] });
    expect(authorize([deny(['80'])], tcp).allowed).toBe(false);
    expect(authorize([deny(['81'])], tcp).allowed).toBe(true);
  });
});

describe('explain', () => {
  it('shows every condition of every policy, with what the request had', () => {
    const viewer = policy({
      name: 'viewer',
      action: Action.ALLOW,
      rules: [{ from: [{ principals: [sleep] }], to: [{ methods: ['GET'] }] }],
    });
    const { decision, policies } = explain([viewer], request({ http: http({ method: 'DELETE' }) }));
    expect(decision.allowed).toBe(false);
    expect(policies[0]?.rules[0]).toEqual({
      index: 0,
      result: 'no',
      applies: false,
      from: [
        {
          result: 'yes',
          conditions: [{ field: 'principals', wanted: [sleep], actual: [sleep], result: 'yes' }],
        },
      ],
      to: [
        {
          result: 'no',
          conditions: [{ field: 'methods', wanted: ['GET'], actual: ['DELETE'], result: 'no' }],
        },
      ],
      when: [],
    });
  });
});
