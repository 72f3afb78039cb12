import { expect, test } from 'vitest';
import { productVersion } from '#mesh/telemetry/version.js';
import { readZtunnelConfig } from '#mesh/ztunnel/config.js';

test('defaults are upstream’s', () => {
  expect(readZtunnelConfig({ KUBERNETES_SERVICE_HOST: '10.96.0.1' })).toMatchObject({
    xds: { address: 'https://istiod.istio-system.svc:15012', clusterId: 'Kubernetes' },
    ca: { address: 'https://istiod.istio-system.svc:15012' },
    zdsPath: '/var/run/ztunnel/ztunnel.sock',
    mark: 1337,
    secretTtlSeconds: 86_400,
    poolStreamsMax: 100,
    drainMs: 5_000,
    adminPort: 15000,
    statsPort: 15020,
    readinessPort: 15021,
  });
});

test('the node tells who it is', () => {
  const { node } = readZtunnelConfig({
    POD_NAME: 'ztunnel-abc',
    POD_NAMESPACE: 'istio-system',
    INSTANCE_IP: '10.0.0.1',
    NODE_NAME: 'node-1',
    ISTIO_META_ISTIO_VERSION: '1.31',
    ISTIO_METAJSON_X: '{"a":1}',
  });
  expect(node.id).toBe('ztunnel~10.0.0.1~ztunnel-abc.istio-system~istio-system.svc.cluster.local');
  expect(node.metadata).toMatchObject({
    NAME: 'ztunnel-abc',
    NODE_NAME: 'node-1',
    ISTIO_VERSION: '1.31',
    X: { a: 1 },
  });
  expect(readZtunnelConfig({}).node.metadata).toMatchObject({ ISTIO_VERSION: productVersion });
});

test.each([
  ['30', 25_000],
  ['10', 9_000],
  ['1', 1_000],
])('a grace period of %s s drains for %d ms', (seconds, drainMs) => {
  expect(readZtunnelConfig({ TERMINATION_GRACE_PERIOD_SECONDS: seconds }).drainMs).toBe(drainMs);
});

test.each([
  ['SECRET_TTL', 'soon'],
  ['PACKET_MARK', '0x539'],
  ['IPV6_ENABLED', 'yes'],
  ['PROXY_MODE', 'dedicated'],
  ['ISTIO_METAJSON_X', '{'],
])('%s=%s is refused by name', (name, value) => {
  expect(() => readZtunnelConfig({ [name]: value })).toThrow(name);
});

test('nothing to learn the mesh from is refused', () => {
  expect(() => readZtunnelConfig({ XDS_ADDRESS: '' })).toThrow('LOCAL_XDS_PATH');
});
