import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { waypointOf } from '#mesh/rules/waypoint.js';
import { convertToL4 } from '#mesh/rules/l4-authorization.js';
import { defaultMeshConfig } from '#mesh/rules/mesh-config.js';
import { convertToL7 } from '#mesh/rules/l7-authorization.js';
import { peerAuthFacts } from '#mesh/rules/mtls-mode.js';
import { peerAuthPolicyKeys, strictAuthorization } from '#mesh/rules/peer-authentication.js';
import type { AuthorizationPolicy, Gateway, PeerAuthentication } from '#base/kube/types.js';
import { Action, Scope } from '#mesh/xds/gen/istio/authorization_pb.js';

// The documents that the project was asked to serve, as written.
const seed = <T>(name: string): T => parse(readFileSync(`test/e2e/fixtures/seed-${name}.yaml`, 'utf8')) as T;
const bank = 'bank-of-ambient';

test('frontend-policy: two principals, for the frontend only', () => {
  const policy = seed<AuthorizationPolicy>('frontend-policy');
  expect(convertToL4(policy, defaultMeshConfig('istio-system'))).toMatchObject({
    unsupported: [],
    unsupportedPolicy: undefined,
    authorization: {
      name: 'frontend-policy',
      namespace: bank,
      scope: Scope.WORKLOAD_SELECTOR,
      action: Action.ALLOW,
      rules: [
        {
          clauses: [
            {
              matches: [
                {
                  principals: [
                    {
                      matchType: { case: 'exact', value: 'cluster.local/ns/istio-ingress/sa/istio-ingress' },
                    },
                    { matchType: { case: 'exact', value: `cluster.local/ns/${bank}/sa/sleep` } },
                  ],
                  notPrincipals: [],
                  destinationPorts: [],
                },
              ],
            },
          ],
        },
      ],
    },
  });
});

test('strict-mtls: every workload of the namespace and no other refuses peers without identity', () => {
  const own = [peerAuthFacts(seed<PeerAuthentication>('strict-mtls'))];
  const keysIn = (namespace: string) =>
    peerAuthPolicyKeys(
      { namespace, labels: { app: 'frontend' } },
      { rootNamespace: 'istio-system', root: [], own: namespace === bank ? own : [] },
    );
  const strict = strictAuthorization('istio-system');
  expect(keysIn(bank)).toEqual([`${strict.namespace}/${strict.name}`]);
  expect(keysIn('default')).toEqual([]);
  expect(strict).toMatchObject({
    action: Action.DENY,
    scope: Scope.WORKLOAD_SELECTOR,
    rules: [{ clauses: [{ matches: [{ notPrincipals: [{ matchType: { case: 'presence' } }] }] }] }],
  });
});

test('frontend-viewer: methods for a waypoint; a node proxy would deny instead of guessing', () => {
  const policy = seed<AuthorizationPolicy>('frontend-viewer');
  const l7 = convertToL7(policy, []);
  expect(l7.unsupported).toBe(false);
  expect(l7.rules.flatMap(({ to }) => to.flatMap(({ methods }) => methods))).toContain('GET');
  const asSelector = { ...policy, spec: { ...policy.spec, targetRefs: [] } };
  const { authorization, omittedRules } = convertToL4(asSelector, defaultMeshConfig('istio-system'));
  expect(omittedRules).toEqual([1]);
  expect(authorization?.rules).toEqual([]);
});

test('the waypoint serves services of its own namespace', () => {
  const gateway = seed<Gateway>('waypoint');
  expect(waypointOf(gateway, undefined)).toMatchObject({
    name: 'namespace',
    className: 'istio-waypoint',
    addresses: [],
    traffic: 'service',
    allowedRoutes: { from: 'Same' },
  });
});
