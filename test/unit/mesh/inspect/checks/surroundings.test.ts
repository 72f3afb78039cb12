import { describe, expect, test } from 'vitest';
import { networkPolicies } from '#base/kube/network-policy.js';
import {
  mutatingWebhookConfigurations,
  namespaces,
  pods,
  type Resource,
  services,
  validatingWebhookConfigurations,
} from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import type { ConfigurationCheck } from '#mesh/inspect/checks/configuration-check.js';
import { networkPoliciesCheck } from '#mesh/inspect/checks/network-policies-check.js';
import { servicesCheck } from '#mesh/inspect/checks/services-check.js';
import { sidecarLeftovers } from '#mesh/inspect/checks/sidecar-leftovers-check.js';
import { configurationOf, foundIn } from './configuration.js';

const object = (kind: string, metadata: object, rest: object = {}): KubeObject =>
  ({ apiVersion: 'v1', kind, metadata, ...rest }) as KubeObject;
const enrolled = (name = 'shop', labels = {}): KubeObject =>
  object('Namespace', { name, labels: { 'istio.io/dataplane-mode': 'ambient', ...labels } });
const pod = (
  name: string,
  o: { namespace?: string; labels?: object; annotations?: object } = {},
): KubeObject =>
  object(
    'Pod',
    {
      name,
      namespace: o.namespace ?? 'shop',
      labels: o.labels ?? { app: name },
      annotations: o.annotations ?? {},
    },
    { spec: { containers: [] }, status: { phase: 'Running' } },
  );

function found(check: ConfigurationCheck, objects: readonly KubeObject[]): readonly string[] {
  const resources: readonly Resource[] = [
    namespaces,
    pods,
    services,
    networkPolicies,
    mutatingWebhookConfigurations,
    validatingWebhookConfigurations,
  ];
  const configuration = configurationOf(
    resources.map(
      (resource) =>
        [resource, objects.filter(({ kind }) => kind === resource.kind)] as readonly [Resource, KubeObject[]],
    ),
  );
  return check.run(configuration).map(({ code, message }) => `${code} ${message}`);
}

describe('NetworkPolicies', () => {
  const policy = (spec: object): KubeObject =>
    object('NetworkPolicy', { name: 'np', namespace: 'shop' }, { spec });
  const fromApp = { podSelector: { matchLabels: { app: 'sleep' } } };
  const ingress = (rules: object[]) =>
    policy({ podSelector: { matchLabels: { app: 'web' } }, ingress: rules });
  const world = [
    enrolled(),
    pod('web'),
    pod('sleep'),
    object('Namespace', { name: 'plain' }),
    pod('probe', { namespace: 'plain' }),
  ];
  const port = (number: number, endPort?: number) => ({
    port: number,
    ...(endPort === undefined ? {} : { endPort }),
  });

  test('one that admits the application only is named, with what to add', () => {
    expect(
      found(networkPoliciesCheck, [...world, ingress([{ from: [fromApp], ports: [port(8080)] }])]),
    ).toEqual([
      'MESH1140 NetworkPolicy shop/np (ingress) admits port 8080 but not 15008, on which calls from pods of the mesh arrive: they time out',
    ]);
    expect(
      found(networkPoliciesCheck, [
        ...world,
        policy({
          podSelector: {},
          policyTypes: ['Egress'],
          egress: [{ ports: [port(8080), { protocol: 'UDP', port: 53 }] }],
        }),
      ]),
    ).toEqual([
      'MESH1140 NetworkPolicy shop/np (egress) admits port 8080 but not 15008, on which calls to pods of the mesh leave: they time out',
    ]);
  });

  test.each([
    ['15008 in the same rule', [{ from: [fromApp], ports: [port(8080), port(15008)] }]],
    ['a range with 15008', [{ from: [fromApp], ports: [port(15000, 15010)] }]],
    ['all ports', [{ from: [fromApp] }]],
    [
      '15008 in a rule for the same peers',
      [
        { from: [fromApp], ports: [port(8080)] },
        { from: [fromApp], ports: [port(15008)] },
      ],
    ],
    ['15008 for everybody', [{ from: [fromApp], ports: [port(8080)] }, { ports: [port(15008)] }]],
    [
      'peers outside of the mesh',
      [{ from: [{ namespaceSelector: { matchLabels: { name: 'none' } } }], ports: [port(8080)] }],
    ],
    ['peers by address', [{ from: [{ ipBlock: { cidr: '10.0.0.0/8' } }], ports: [port(8080)] }]],
    ['nothing at all, on purpose', []],
  ])('fine: %s', (_name, rules) => {
    expect(found(networkPoliciesCheck, [...world, ingress(rules)])).toEqual([]);
  });

  test('pods outside of the mesh need no 15008', () => {
    const plain = [object('Namespace', { name: 'shop' }), pod('web'), pod('sleep')];
    expect(
      found(networkPoliciesCheck, [...plain, ingress([{ from: [fromApp], ports: [port(8080)] }])]),
    ).toEqual([]);
  });
});

test('probes of pods whose policy names who may call are noted', () => {
  const probed = `
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { istio.io/dataplane-mode: ambient } }
---
apiVersion: v1
kind: Pod
metadata: { name: web, namespace: shop, labels: { app: web } }
spec: { containers: [{ name: web, readinessProbe: { httpGet: { port: 80 } } }] }
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: np, namespace: shop }
spec: { podSelector: {}, ingress: [{ from: [{ podSelector: {} }] }] }
`;
  expect(foundIn(networkPoliciesCheck, probed)).toEqual([
    'MESH1142 NetworkPolicy shop/np does not name 169.254.7.127, from which probes reach pods of the mesh: some CNI plugins refuse them then',
  ]);
  const named = probed.replace('{ podSelector: {} }]', '{ ipBlock: { cidr: 169.254.7.127/32 } }]');
  expect(foundIn(networkPoliciesCheck, named)).toEqual([]);
});

describe('leftovers of sidecars', () => {
  test('a webhook that calls the controller of this mesh is left over: nobody answers it', () => {
    const text = `
apiVersion: v1
kind: Service
metadata: { name: istiod, namespace: istio-system }
spec: {}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: { name: injector }
webhooks:
  - name: namespace.sidecar-injector.istio.io
    clientConfig: { service: { namespace: istio-system, name: istiod, path: /inject } }
`;
    expect(foundIn(sidecarLeftovers, text)).toEqual([
      'MESH1150 MutatingWebhookConfiguration injector of Istio calls Service istio-system/istiod, the controller of this mesh, which answers no webhooks: what it selects cannot be created or changed',
    ]);
  });

  test('pods on the network of their node are named', () => {
    const onHost = `
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { istio.io/dataplane-mode: ambient } }
---
apiVersion: v1
kind: Pod
metadata: { name: agent, namespace: shop }
spec: { hostNetwork: true, containers: [] }
`;
    expect(foundIn(sidecarLeftovers, onHost)).toEqual([
      'MESH1106 Namespace shop is in the mesh, but 1 of its pods use the network of their node and are left out: agent',
    ]);
    expect(foundIn(sidecarLeftovers, onHost.replace('hostNetwork: true, ', ''))).toEqual([]);
  });

  const webhook = (kind: string, name: string, failurePolicy: string): KubeObject =>
    object(
      kind,
      { name },
      {
        webhooks: [
          {
            name: 'w',
            failurePolicy,
            clientConfig: { service: { namespace: 'old-system', name: 'injector' } },
          },
        ],
      },
    );
  const service = object('Service', { name: 'injector', namespace: 'old-system' }, { spec: {} });

  test('a webhook whose service is gone blocks, or delays', () => {
    expect(
      found(sidecarLeftovers, [webhook('MutatingWebhookConfiguration', 'istio-sidecar-injector', 'Fail')]),
    ).toEqual([
      'MESH1150 MutatingWebhookConfiguration istio-sidecar-injector of Istio calls Service old-system/injector, which does not exist: what it selects cannot be created or changed',
    ]);
    expect(
      found(sidecarLeftovers, [webhook('ValidatingWebhookConfiguration', 'linkerd-policy', 'Ignore')]),
    ).toEqual([
      'MESH1150 ValidatingWebhookConfiguration linkerd-policy of Linkerd calls Service old-system/injector, which does not exist: every such request waits for it in vain',
    ]);
  });

  test('one that works is of another mesh; those of others are left alone', () => {
    expect(
      found(sidecarLeftovers, [
        service,
        webhook('MutatingWebhookConfiguration', 'linkerd-proxy-injector', 'Fail'),
      ]),
    ).toEqual([
      'MESH1151 MutatingWebhookConfiguration linkerd-proxy-injector belongs to another mesh (Linkerd): pods that it gives a sidecar are left out of this one',
    ]);
    expect(
      found(sidecarLeftovers, [webhook('ValidatingWebhookConfiguration', 'cert-manager-webhook', 'Fail')]),
    ).toEqual([]);
  });

  test('labels of both modes, and pods with sidecars', () => {
    expect(found(sidecarLeftovers, [enrolled('shop', { 'istio-injection': 'enabled' })])).toEqual([
      'MESH1104 Namespace shop asks for sidecars (istio-injection=enabled) and for ambient mode: a pod that gets a sidecar is left out of the mesh, all others are captured',
    ]);
    expect(
      found(sidecarLeftovers, [
        enrolled(),
        pod('a', { annotations: { 'sidecar.istio.io/status': '{}' } }),
        pod('b'),
      ]),
    ).toEqual(['MESH1105 Namespace shop is in the mesh, but 1 of its pods have a sidecar and are left out']);
    expect(found(sidecarLeftovers, [enrolled('shop', { 'istio-injection': 'disabled' }), pod('a')])).toEqual(
      [],
    );
  });
});

describe('Services', () => {
  const service = (selector: object | undefined): KubeObject =>
    object(
      'Service',
      { name: 'web', namespace: 'shop' },
      { spec: selector === undefined ? {} : { selector } },
    );

  test('one that selects nobody is named with the labels that come nearest', () => {
    const configuration = [enrolled(), pod('web', { labels: { app: 'web-v1' } }), service({ app: 'web' })];
    expect(found(servicesCheck, configuration)).toEqual([
      'MESH1160 Service shop/web has no endpoints: no pod of shop has app=web',
    ]);
  });

  test('fine: with pods, without a selector, outside of the mesh', () => {
    expect(found(servicesCheck, [enrolled(), pod('web'), service({ app: 'web' })])).toEqual([]);
    expect(found(servicesCheck, [enrolled(), service(undefined)])).toEqual([]);
    expect(found(servicesCheck, [object('Namespace', { name: 'shop' }), service({ app: 'web' })])).toEqual(
      [],
    );
  });
});
