import { describe, expect, test } from 'vitest';
import { bearerToken } from '#mesh/controller/server/call-credentials.js';
import { nodeMismatch } from '#mesh/controller/server/grpc-servers.js';
import { refuseImpersonation, type PodDirectory } from '#mesh/controller/server/node-authorizer.js';
import { callerOf, type Caller } from '#mesh/controller/server/token-authenticator.js';
import type { TokenReview } from '#base/kube/types.js';

function review(o: Partial<NonNullable<TokenReview['status']>> = {}): TokenReview {
  return {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenReview',
    metadata: { name: '' },
    spec: { token: 't' },
    status: {
      authenticated: true,
      audiences: ['istio-ca'],
      user: {
        username: 'system:serviceaccount:istio-system:ztunnel',
        groups: ['system:serviceaccounts'],
        extra: {
          'authentication.kubernetes.io/pod-name': ['z'],
          'authentication.kubernetes.io/pod-uid': ['u'],
        },
      },
      ...o,
    },
  };
}

describe('the caller behind a token', () => {
  test('is the service account, with the pod the token is bound to', () => {
    expect(callerOf(review())).toEqual({
      namespace: 'istio-system',
      serviceAccount: 'ztunnel',
      pod: { name: 'z', uid: 'u' },
    });
  });

  test.each<[string, Partial<NonNullable<TokenReview['status']>>]>([
    ['not authenticated', { authenticated: false }],
    ['another audience', { audiences: ['other'] }],
    ['a server that ignored the audience', { audiences: [] }],
    ['a person', { user: { username: 'admin', groups: ['system:serviceaccounts'] } }],
    ['not in the group', { user: { username: 'system:serviceaccount:a:b', groups: [] } }],
    [
      'a forged name',
      { user: { username: 'system:serviceaccount:a:b:c', groups: ['system:serviceaccounts'] } },
    ],
  ])('is nobody for %s', (_name, status) => {
    expect(callerOf(review(status))).toBeUndefined();
  });

  test.each([
    ['Bearer abc', 'abc'],
    ['bearer abc', 'abc'],
    ['Basic abc', undefined],
    ['Bearer ', undefined],
    ['Bearer a b', undefined],
    [undefined, undefined],
    [`Bearer ${'x'.repeat(100_000)}`, undefined],
  ])('header %s', (header, token) => {
    expect(bearerToken(header)).toBe(token);
  });
});

describe('impersonation', () => {
  const pods: PodDirectory = {
    pod: (namespace, name) =>
      namespace === 'istio-system' && name === 'z'
        ? { uid: 'u', serviceAccount: 'ztunnel', node: 'node-1' }
        : undefined,
    runsOn: ({ namespace, serviceAccount, node }) =>
      `${namespace}/${serviceAccount}/${node}` === 'shop/web/node-1',
  };
  const deps = {
    pods,
    trustedAccounts: new Set(['istio-system/ztunnel']),
    names: () => ({ trustDomain: 'cluster.local', trustDomainAliases: ['old.example'] }),
  };
  const ztunnel: Caller = {
    namespace: 'istio-system',
    serviceAccount: 'ztunnel',
    pod: { name: 'z', uid: 'u' },
  };
  const web = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'web' };

  test('a node proxy may speak for what runs on its node', () => {
    expect(refuseImpersonation({ caller: ztunnel, requested: web }, deps)).toBeUndefined();
    const renamed = { ...web, trustDomain: 'old.example' };
    expect(refuseImpersonation({ caller: ztunnel, requested: renamed }, deps)).toBeUndefined();
  });

  test.each<[string, Partial<Caller>, Partial<typeof web>]>([
    ['an account that is not trusted', { serviceAccount: 'other' }, {}],
    ['the same account name elsewhere', { namespace: 'shop' }, {}],
    ['a token without pod', { pod: undefined }, {}],
    ['a pod that is gone', { pod: { name: 'gone', uid: 'u' } }, {}],
    ['a token of an earlier pod of that name', { pod: { name: 'z', uid: 'old' } }, {}],
    ['an identity of another node', {}, { serviceAccount: 'elsewhere' }],
    ['another trust domain', {}, { trustDomain: 'evil' }],
  ])('refuses %s', (_name, caller, requested) => {
    const input = { caller: { ...ztunnel, ...caller }, requested: { ...web, ...requested } };
    expect(refuseImpersonation(input, deps)).toEqual(expect.any(String));
  });
});

describe('the node a stream claims', () => {
  const caller: Caller = { namespace: 'shop', serviceAccount: 'waypoint', pod: undefined };
  const subscriber = (nodeId: string, metadata: Record<string, string> = {}) => ({
    nodeId,
    proxyType: 'waypoint',
    metadata,
  });
  const id = 'waypoint~10.0.0.1~w-1.shop~shop.svc.cluster.local';

  test('is its own namespace and account', () => {
    expect(
      nodeMismatch(subscriber(id, { SERVICE_ACCOUNT: 'waypoint', GATEWAY_NAMESPACE: 'shop' }), caller),
    ).toBeUndefined();
  });

  test.each([
    [subscriber('waypoint~10.0.0.1~w-1.other~other.svc.cluster.local')],
    [subscriber('nonsense')],
    [subscriber(id, { SERVICE_ACCOUNT: 'admin' })],
    [subscriber(id, { GATEWAY_NAMESPACE: 'other' })],
  ])('refuses %j', (claimed) => {
    expect(nodeMismatch(claimed, caller)).toEqual(expect.any(String));
  });
});
