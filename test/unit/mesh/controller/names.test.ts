import { expect, test } from 'vitest';
import { readTemplateFiles } from '#mesh/templates/files.js';
import { createWaypointRenderer } from '#mesh/controller/gateway/waypoint-objects.js';
import { parseMeshConfig, defaultMeshConfig } from '#mesh/rules/mesh-config.js';
import { nodeMismatch } from '#mesh/controller/server/grpc-servers.js';
import { readSettings } from '#mesh/controller/settings.js';
import type { Deployment, Service } from '#base/kube/types.js';

// The proxy was told the object's name as its Gateway: it asked for another Gateway's policies, got none, and
// let everything pass.
test('a waypoint under another name still knows its Gateway, and is still selected by it', () => {
  const render = createWaypointRenderer(readTemplateFiles(), {
    image: 'i',
    imagePullPolicy: 'Always',
    imagePullSecrets: ['pull'],
    logFormat: 'plain',
    resources: undefined,
    revision: 'default',
    clusterDomain: 'cluster.local',
    clusterId: 'Kubernetes',
    network: '',
    discoveryAddress: 'istiod.istio-system.svc:15012',
  });
  const [account, deployment, service] = render(
    {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'Gateway',
      metadata: {
        name: 'gate',
        namespace: 'shop',
        annotations: { 'gateway.istio.io/name-override': 'other' },
      },
      spec: {
        gatewayClassName: 'istio-waypoint',
        listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE' }],
      },
    },
    {
      controllerName: 'istio.io/mesh-controller',
      names: { trustDomain: 'cluster.local', trustDomainAliases: [] },
    },
  ).map(({ object }) => object);
  expect([account, deployment, service].map((object) => object?.metadata.name)).toEqual([
    'other',
    'other',
    'other',
  ]);
  const { selector, template } = (deployment as Deployment).spec;
  expect(template.spec.imagePullSecrets).toEqual([{ name: 'pull' }]);
  const env = new Map(template.spec.containers[0]?.env?.map(({ name, value }) => [name, value]));
  expect(env.get('GATEWAY_NAME')).toBe('gate');
  const mark = { 'gateway.networking.k8s.io/gateway-name': 'gate' };
  expect(selector.matchLabels).toEqual(mark);
  expect(template.metadata?.labels).toMatchObject(mark);
  expect((service as Service).spec.selector).toEqual(mark);
});

// A Gateway `waypoint.v1` makes pods `waypoint.v1-...`; the part after the first dot was taken for the namespace.
test('a pod with dots in its name is admitted, and cannot claim a namespace by them', () => {
  const claim = (nodeId: string) =>
    nodeMismatch(
      { nodeId, proxyType: 'waypoint', metadata: {} },
      { namespace: 'shop', serviceAccount: 'w', pod: undefined },
    );
  expect(claim('waypoint~10.0.0.1~waypoint.v1-abc.shop~shop.svc.cluster.local')).toBeUndefined();
  expect(claim('waypoint~10.0.0.1~w.shop.other~other.svc.cluster.local')).toEqual(expect.any(String));
});

test('variables that are set but empty count as absent; replicas without a name differ', () => {
  const { settings } = readSettings(['discovery'], {
    REVISION: '',
    CLUSTER_ID: '',
    POD_NAMESPACE: '',
    POD_NAME: '',
  });
  expect(settings).toMatchObject({
    revision: 'default',
    clusterId: 'Kubernetes',
    systemNamespace: 'istio-system',
  });
  expect(settings.podName).not.toMatch(/^(istiod)?$/);
  const accounts = readSettings([], { CA_TRUSTED_NODE_ACCOUNTS: ' a/z, b/z ,' }).settings.trustedNodeAccounts;
  expect([...accounts]).toEqual(['a/z', 'b/z']);
});

test.each(['Cluster.Local', 'a b', 'x/ns/y', 'spiffe://x'])('%s is no trust domain', (trustDomain) => {
  const text = `trustDomain: ${JSON.stringify(trustDomain)}`;
  expect(() => parseMeshConfig(text, defaultMeshConfig('istio-system'))).toThrowError(
    expect.objectContaining({ code: 'MESH0401' }),
  );
});

test('lifetimes of certificates are durations as Go writes them', () => {
  const ttls = (value: string) =>
    readSettings([], { DEFAULT_WORKLOAD_CERT_TTL: value }).settings.workloadCertificates;
  expect(ttls('24h0m0s')).toEqual({ defaultTtlSeconds: 86_400 });
  expect(ttls('90s')).toEqual({ defaultTtlSeconds: 90 });
  expect(ttls('')).toEqual({});
  expect(ttls('1.5h')).toEqual({ defaultTtlSeconds: 5_400 });
  for (const bad of ['1d', '0s', 'h', '5', '-1h'])
    expect(() => ttls(bad)).toThrow(/DEFAULT_WORKLOAD_CERT_TTL/);
});
