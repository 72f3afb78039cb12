import { describe, expect, test } from 'vitest';
import { convertToL7 } from '#mesh/rules/l7-authorization.js';
import { resolveTargets, type TargetLookup } from '#mesh/rules/policy-targets.js';
import { policyConditions } from '#mesh/controller/status/policy-conditions.js';
import type { AuthorizationPolicy } from '#base/kube/types.js';
import { AuthorizationPolicy_Action } from '#mesh/xds/gen/meshctl/l7_pb.js';

type Spec = NonNullable<AuthorizationPolicy['spec']>;

function policyOf(
  spec: Spec,
  o: { namespace?: string; annotations?: Record<string, string> } = {},
): AuthorizationPolicy {
  const { namespace = 'shop', annotations } = o;
  return {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: 'p', namespace, generation: 7, ...(annotations === undefined ? {} : { annotations }) },
    spec,
  };
}

/** shop has a ready and a young Gateway; a Service bound to each, one bound to none. */
const lookup: TargetLookup = {
  rootNamespace: 'istio-system',
  clusterDomain: 'cluster.local',
  gateway: (key) =>
    new Map([
      ['shop/ready', { isReady: true }],
      ['shop/young', { isReady: false }],
    ]).get(key),
  serviceWaypoint: (namespace, name) =>
    namespace !== 'shop'
      ? undefined
      : new Map([
          ['bound', { gateway: 'infra/central', isReady: true }],
          ['waiting', { gateway: 'shop/young', isReady: false }],
          ['free', null],
        ]).get(name),
  gatewayClass: (name) =>
    new Map([
      ['istio-waypoint', { controllerName: 'istio.io/mesh-controller' }],
      ['istio', { controllerName: 'istio.io/gateway-controller' }],
    ]).get(name),
  gatewaysOfClass: () => ['shop/ready', 'shop/young'],
};

const gatewayApi = 'gateway.networking.k8s.io';
const ref = (kind: string, name: string, group = kind === 'Service' ? '' : gatewayApi) => ({
  kind,
  name,
  group,
});

describe('one target', () => {
  test.each<[string, NonNullable<Spec['targetRefs']>, string, readonly string[], string, string]>([
    ['a Gateway', [ref('Gateway', 'ready')], 'shop', ['shop/ready'], 'True', 'Accepted'],
    // Sent already: the proxy must have it when it starts.
    [
      'a Gateway without address',
      [ref('Gateway', 'young')],
      'shop',
      ['shop/young'],
      'False',
      'TargetNotFound',
    ],
    ['a Gateway that is not there', [ref('Gateway', 'gone')], 'shop', [], 'False', 'TargetNotFound'],
    [
      'a Gateway of another namespace',
      [{ ...ref('Gateway', 'ready'), namespace: 'x' }],
      'shop',
      [],
      'False',
      'Invalid',
    ],
    ['a Service', [ref('Service', 'bound')], 'shop', ['infra/central'], 'True', 'Accepted'],
    [
      'a Service of group core',
      [ref('Service', 'bound', 'core')],
      'shop',
      ['infra/central'],
      'True',
      'Accepted',
    ],
    [
      'a Service whose waypoint is young',
      [ref('Service', 'waiting')],
      'shop',
      ['shop/young'],
      'False',
      'AncestorNotBound',
    ],
    ['a Service without waypoint', [ref('Service', 'free')], 'shop', [], 'False', 'AncestorNotBound'],
    ['a Service that is not there', [ref('Service', 'gone')], 'shop', [], 'False', 'TargetNotFound'],
    [
      'the waypoint class',
      [ref('GatewayClass', 'istio-waypoint')],
      'istio-system',
      ['shop/ready', 'shop/young'],
      'True',
      'Accepted',
    ],
    ['a class from elsewhere', [ref('GatewayClass', 'istio-waypoint')], 'shop', [], 'False', 'Invalid'],
    ['another class', [ref('GatewayClass', 'istio')], 'istio-system', [], 'False', 'Invalid'],
    ['a class that is not there', [ref('GatewayClass', 'x')], 'istio-system', [], 'False', 'TargetNotFound'],
    ['something else', [ref('Deployment', 'x', 'apps')], 'shop', [], 'False', 'Invalid'],
  ])('%s', (_name, targetRefs, namespace, gateways, status, reason) => {
    const policy = policyOf({ targetRefs }, { namespace });
    const targets = resolveTargets(policy, lookup);
    expect(targets.flatMap((target) => target.gateways)).toEqual(gateways);
    expect(policyConditions({ policy, l4: undefined, targets })).toMatchObject([
      { type: 'WaypointAccepted', status, reason, observedGeneration: 7 },
    ]);
  });
});

test('several targets make one condition', () => {
  const condition = (...names: string[]) => {
    const policy = policyOf({ targetRefs: names.map((name) => ref('Gateway', name)) });
    return policyConditions({ policy, l4: undefined, targets: resolveTargets(policy, lookup) })[0];
  };
  expect(condition('ready', 'ready')).toMatchObject({ status: 'True', reason: 'Accepted' });
  expect(condition('ready', 'gone')).toMatchObject({ status: 'True', reason: 'PartiallyInvalid' });
  expect(condition('ready', 'gone')?.message).toContain('shop/gone');
  expect(condition('gone', 'young')).toMatchObject({ status: 'False', reason: 'Invalid' });
});

describe('conversion', () => {
  test('rules arrive as written', () => {
    const l7 = convertToL7(
      policyOf({
        action: 'DENY',
        targetRefs: [ref('Service', 'bound')],
        rules: [
          {
            from: [{ source: { principals: ['*/sa/web'], notNamespaces: ['test'] } }],
            to: [
              { operation: { methods: ['GET'], notPaths: ['/admin*'], hosts: ['*.shop'], ports: ['80'] } },
            ],
            when: [{ key: 'request.headers[x]', values: ['1'], notValues: ['2'] }],
          },
          {},
        ],
      }),
      [{ namespace: 'shop', hostname: 'bound.shop.svc.cluster.local' }],
    );
    expect(l7).toMatchObject({
      namespace: 'shop',
      name: 'p',
      action: AuthorizationPolicy_Action.DENY,
      dryRun: false,
      unsupported: false,
      targets: [{ namespace: 'shop', hostname: 'bound.shop.svc.cluster.local' }],
      rules: [
        {
          from: [{ principals: ['*/sa/web'], notNamespaces: ['test'] }],
          to: [{ methods: ['GET'], notPaths: ['/admin*'], hosts: ['*.shop'], ports: ['80'] }],
          when: [{ key: 'request.headers[x]', values: ['1'], notValues: ['2'] }],
        },
        { from: [], to: [], when: [] },
      ],
    });
  });

  test.each([
    [undefined, AuthorizationPolicy_Action.ALLOW, false],
    ['AUDIT', AuthorizationPolicy_Action.AUDIT, false],
    // Never reported as accepted, and marked so that the proxy denies instead of ignoring it.
    ['CUSTOM', AuthorizationPolicy_Action.CUSTOM, true],
    ['SOMETHING', AuthorizationPolicy_Action.DENY, true],
  ])('action %s', (action, expected, isUnsupported) => {
    const policy = policyOf({
      ...(action === undefined ? {} : { action: action as 'ALLOW' }),
      targetRefs: [ref('Gateway', 'ready')],
    });
    expect(convertToL7(policy, [])).toMatchObject({ action: expected, unsupported: isUnsupported });
    const [condition] = policyConditions({ policy, l4: undefined, targets: resolveTargets(policy, lookup) });
    expect(condition?.status).toBe(isUnsupported ? 'False' : 'True');
  });

  test('a dry run stays one', () => {
    expect(convertToL7(policyOf({}, { annotations: { 'istio.io/dry-run': 'true' } }), []).dryRun).toBe(true);
  });
});
