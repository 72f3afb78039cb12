import { toJson } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import {
  convertPortLevel,
  peerAuthPolicyKeys,
  strictAuthorization,
} from '#mesh/rules/peer-authentication.js';
import { peerAuthFacts, type PeerAuthFacts } from '#mesh/rules/mtls-mode.js';
import { AuthorizationSchema } from '#mesh/xds/gen/istio/authorization_pb.js';

function facts(o: {
  namespace?: string;
  name?: string;
  mode?: string;
  app?: string;
  ports?: Record<string, string>;
  createdAt?: string;
}): PeerAuthFacts {
  return peerAuthFacts({
    apiVersion: 'security.istio.io/v1',
    kind: 'PeerAuthentication',
    metadata: {
      name: o.name ?? 'p',
      namespace: o.namespace ?? 'shop',
      creationTimestamp: o.createdAt ?? '2026-01-01T00:00:00Z',
    },
    spec: {
      ...(o.mode === undefined ? {} : { mtls: { mode: o.mode } }),
      ...(o.app === undefined ? {} : { selector: { matchLabels: { app: o.app } } }),
      portLevelMtls: Object.fromEntries(
        Object.entries(o.ports ?? {}).map(([port, mode]) => [port, { mode }]),
      ),
    },
  });
}

const mesh = (mode: string) => facts({ namespace: 'istio-system', mode });
const STRICT = 'istio-system/istio_converted_static_strict';
const CONVERTED = 'shop/converted_peer_authentication_p';
const keys = (root: PeerAuthFacts[], own: PeerAuthFacts[]) =>
  peerAuthPolicyKeys(
    { namespace: 'shop', labels: { app: 'x' } },
    { rootNamespace: 'istio-system', root, own },
  );

describe('which policies apply to a workload', () => {
  test.each<[string, PeerAuthFacts[], PeerAuthFacts[], string[]]>([
    ['nothing', [], [], []],
    ['mesh strict', [mesh('STRICT')], [], [STRICT]],
    ['namespace strict', [], [facts({ mode: 'STRICT' })], [STRICT]],
    ['namespace permissive over mesh strict', [mesh('STRICT')], [facts({ mode: 'PERMISSIVE' })], []],
    ['namespace unset under mesh strict', [mesh('STRICT')], [facts({ mode: 'UNSET' })], [STRICT]],
    ['DISABLE is permissive', [mesh('STRICT')], [facts({ mode: 'DISABLE' })], []],
    ['workload strict', [], [facts({ mode: 'STRICT', app: 'x' })], [STRICT]],
    ['another workload strict', [], [facts({ mode: 'STRICT', app: 'y' })], []],
    ['workload permissive under strict', [mesh('STRICT')], [facts({ mode: 'PERMISSIVE', app: 'x' })], []],
    [
      'selector in the root namespace is ignored',
      [facts({ namespace: 'istio-system', mode: 'STRICT', app: 'x' })],
      [],
      [],
    ],
    [
      'the oldest of a level wins',
      [],
      [
        facts({ name: 'new', mode: 'STRICT', createdAt: '2026-02-01T00:00:00Z' }),
        facts({ name: 'old', mode: 'PERMISSIVE' }),
      ],
      [],
    ],
    [
      'strict with an exempt port',
      [],
      [facts({ mode: 'STRICT', app: 'x', ports: { 80: 'PERMISSIVE' } })],
      [CONVERTED],
    ],
    [
      'strict with strict ports',
      [],
      [facts({ mode: 'STRICT', app: 'x', ports: { 80: 'STRICT' } })],
      [STRICT],
    ],
    [
      'permissive with a strict port',
      [],
      [facts({ mode: 'PERMISSIVE', app: 'x', ports: { 80: 'STRICT' } })],
      [CONVERTED],
    ],
    [
      'unset under strict with an exempt port',
      [mesh('STRICT')],
      [facts({ app: 'x', ports: { 80: 'DISABLE' } })],
      [CONVERTED],
    ],
    [
      'unset under permissive with a permissive port',
      [],
      [facts({ app: 'x', ports: { 80: 'PERMISSIVE' } })],
      [],
    ],
  ])('%s', (_name, root, own, expected) => {
    expect(keys(root, own)).toEqual(expected);
  });
});

describe('conversion', () => {
  const scope = (own: PeerAuthFacts[]) => ({ rootNamespace: 'istio-system', root: [], own });
  const unauthenticated = { notPrincipals: [{ presence: {} }] };

  test('strict refuses peers without identity', () => {
    expect(toJson(AuthorizationSchema, strictAuthorization('istio-system'))).toEqual({
      name: 'istio_converted_static_strict',
      namespace: 'istio-system',
      scope: 'WORKLOAD_SELECTOR',
      action: 'DENY',
      rules: [{ clauses: [{ matches: [unauthenticated] }] }],
    });
  });

  test('under strict one rule exempts all ports together', () => {
    const policy = facts({
      mode: 'STRICT',
      app: 'x',
      ports: { 90: 'DISABLE', 80: 'PERMISSIVE', 70: 'STRICT' },
    });
    const converted = convertPortLevel(policy, scope([policy]));
    expect(converted === undefined ? undefined : toJson(AuthorizationSchema, converted)).toMatchObject({
      rules: [
        {
          clauses: [
            { matches: [unauthenticated] },
            { matches: [{ notDestinationPorts: [80] }] },
            { matches: [{ notDestinationPorts: [90] }] },
          ],
        },
      ],
    });
  });

  test('under permissive each strict port is a rule', () => {
    const policy = facts({ app: 'x', ports: { 80: 'STRICT', 90: 'STRICT' } });
    const converted = convertPortLevel(policy, scope([policy]));
    expect(converted === undefined ? undefined : toJson(AuthorizationSchema, converted)).toMatchObject({
      rules: [80, 90].map((port) => ({
        clauses: [{ matches: [{ ...unauthenticated, destinationPorts: [port] }] }],
      })),
    });
  });

  test('a policy for a whole namespace has no port rules', () => {
    const policy = facts({ mode: 'STRICT', ports: { 80: 'PERMISSIVE' } });
    expect(convertPortLevel(policy, scope([policy]))).toBeUndefined();
  });
});
