import { describe, expect, test } from 'vitest';
import {
  authorizationPolicies,
  gatewayClasses,
  gateways,
  namespaces,
  peerAuthentications,
  pods,
  type Resource,
  services,
} from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import type { ConfigurationCheck } from '#mesh/inspect/checks/configuration-check.js';
import { l4Policies } from '#mesh/inspect/checks/l4-policies-check.js';
import { policyTargets } from '#mesh/inspect/checks/policy-targets-check.js';
import { waypointBindings } from '#mesh/inspect/checks/waypoint-bindings-check.js';
import { configurationOf } from './configuration.js';

type Labels = Record<string, string>;

const namespace = (name: string, labels: Labels = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name, labels },
});
const service = (name: string, labels: Labels = {}): KubeObject =>
  ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'shop', labels },
    spec: { selector: { app: name }, ports: [{ port: 80 }] },
  }) as KubeObject;
const pod = (name: string, labels: Labels = {}): KubeObject =>
  ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'shop', labels },
    spec: { containers: [] },
    status: { phase: 'Running' },
  }) as KubeObject;
const waypoint = (
  name: string,
  o: { namespace?: string; labels?: Labels; isReady?: boolean; from?: string } = {},
): KubeObject =>
  ({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name, namespace: o.namespace ?? 'shop', labels: o.labels ?? {} },
    spec: {
      gatewayClassName: 'istio-waypoint',
      listeners: [
        {
          name: 'mesh',
          port: 15008,
          protocol: 'HBONE',
          ...(o.from === undefined ? {} : { allowedRoutes: { namespaces: { from: o.from } } }),
        },
      ],
    },
    status: o.isReady === false ? {} : { addresses: [{ type: 'IPAddress', value: '10.0.0.9' }] },
  }) as KubeObject;
const policy = (spec: object): KubeObject =>
  ({
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: 'p', namespace: 'shop' },
    spec,
  }) as KubeObject;

/** What a check finds in a whole cluster of these objects, as code and message. */
function found(check: ConfigurationCheck, objects: readonly KubeObject[]): readonly string[] {
  const resources: readonly Resource[] = [
    namespaces,
    services,
    pods,
    gateways,
    gatewayClasses,
    authorizationPolicies,
    peerAuthentications,
  ];
  const configuration = configurationOf(
    resources.map(
      (resource) =>
        [resource, objects.filter(({ kind }) => kind === resource.kind)] as readonly [Resource, KubeObject[]],
    ),
  );
  return check.run(configuration).map(({ code, message }) => `${code} ${message}`);
}

const used = { 'istio.io/use-waypoint': 'wp' };

describe('waypoint bindings', () => {
  test('a waypoint that exists, is ready and is for services is fine', () => {
    expect(
      found(waypointBindings, [namespace('shop', used), service('web'), pod('a'), waypoint('wp')]),
    ).toEqual([]);
  });

  test('one that does not exist: the services are refused, and the label is to blame', () => {
    expect(found(waypointBindings, [namespace('shop', used), service('web'), service('db')])).toEqual([
      'MESH1110 Namespace shop uses waypoint shop/wp, which does not exist: calls to Services shop/web, shop/db are refused',
    ]);
  });

  test('one that is not ready', () => {
    expect(
      found(waypointBindings, [namespace('shop'), service('web', used), waypoint('wp', { isReady: false })]),
    ).toEqual([
      'MESH1111 waypoint shop/wp, which Service shop/web uses, is not ready: calls to Service shop/web are refused',
    ]);
  });

  test('one of another namespace that does not admit this one', () => {
    const elsewhere = { ...used, 'istio.io/use-waypoint-namespace': 'infra' };
    const objects = (from: string) => [
      namespace('shop', elsewhere),
      service('web'),
      waypoint('wp', { namespace: 'infra', from }),
    ];
    expect(found(waypointBindings, objects('Same'))).toEqual([
      'MESH1112 waypoint infra/wp does not admit namespace shop, though Namespace shop names it: calls to Service shop/web go past it, without its policies',
    ]);
    expect(found(waypointBindings, objects('All'))).toEqual([]);
  });

  test('one for workloads that services use', () => {
    expect(
      found(waypointBindings, [
        namespace('shop', used),
        service('web'),
        waypoint('wp', { labels: { 'istio.io/waypoint-for': 'workload' } }),
      ]),
    ).toEqual([
      'MESH1113 waypoint shop/wp is for workload traffic, and Namespace shop uses it for services: calls to Service shop/web go past it, without its policies',
    ]);
  });
});

describe('targets of policies', () => {
  const deny = (targetRefs: object[]) => policy({ action: 'DENY', targetRefs, rules: [{}] });
  const toWeb = { kind: 'Service', group: '', name: 'web' };

  test('a Service with a waypoint is fine', () => {
    expect(
      found(policyTargets, [namespace('shop', used), service('web'), waypoint('wp'), deny([toWeb])]),
    ).toEqual([]);
  });

  test('a Service without a waypoint: nobody enforces the policy', () => {
    expect(found(policyTargets, [namespace('shop'), service('web'), deny([toWeb])])).toEqual([
      'MESH1120 AuthorizationPolicy shop/p (DENY) is enforced by nobody at Service web: Service shop/web is not bound to a waypoint',
    ]);
  });

  test('targets that do not exist', () => {
    const toGateway = { kind: 'Gateway', group: 'gateway.networking.k8s.io', name: 'gone' };
    expect(found(policyTargets, [namespace('shop'), deny([toWeb, toGateway])])).toEqual([
      'MESH1121 AuthorizationPolicy shop/p (DENY) is enforced by nobody at Service web: Service shop/web does not exist',
      'MESH1121 AuthorizationPolicy shop/p (DENY) is enforced by nobody at Gateway gone: Gateway shop/gone does not exist',
    ]);
  });
});

describe('policies for node proxies', () => {
  const enrolled = namespace('shop', { 'istio.io/dataplane-mode': 'ambient' });
  const selector = { matchLabels: { app: 'web' } };
  const web = pod('web', { app: 'web' });

  test('an L4 policy for pods of the mesh is fine', () => {
    const rules = [{ from: [{ source: { namespaces: ['shop'] } }] }];
    expect(found(l4Policies, [enrolled, web, policy({ selector, rules })])).toEqual([]);
  });

  test('an HTTP rule in a selector policy: every call is refused', () => {
    const rules = [{ to: [{ operation: { methods: ['GET'] } }] }];
    expect(found(l4Policies, [enrolled, web, policy({ selector, rules })])).toEqual([
      'MESH1130 AuthorizationPolicy shop/p (ALLOW) asks node proxies for what only a waypoint can do: every call to the pods it selects is refused',
    ]);
  });

  test('a selector that matches no pod', () => {
    const rules = [{ from: [{ source: { namespaces: ['shop'] } }] }];
    expect(found(l4Policies, [enrolled, pod('other'), policy({ selector, rules })])).toEqual([
      'MESH1131 AuthorizationPolicy shop/p selects no pod: none in shop has app=web',
    ]);
  });

  test('pods that are not in the mesh', () => {
    const rules = [{ from: [{ source: { namespaces: ['shop'] } }] }];
    expect(found(l4Policies, [namespace('shop'), web, policy({ selector, rules })])).toEqual([
      'MESH1132 AuthorizationPolicy shop/p has no effect: none of what it selects (1 pod) is in the mesh',
    ]);
  });

  test('ports of a PeerAuthentication without a selector', () => {
    const peer = (spec: object): KubeObject =>
      ({
        apiVersion: 'security.istio.io/v1',
        kind: 'PeerAuthentication',
        metadata: { name: 'strict', namespace: 'shop' },
        spec,
      }) as KubeObject;
    expect(found(l4Policies, [enrolled, peer({ mtls: { mode: 'STRICT' } })])).toEqual([]);
    expect(
      found(l4Policies, [
        enrolled,
        peer({ mtls: { mode: 'STRICT' }, portLevelMtls: { 80: { mode: 'DISABLE' } } }),
      ]),
    ).toEqual([
      expect.stringMatching(/^MESH1133 PeerAuthentication shop\/strict is not followed as it is written: /),
    ]);
  });
});
