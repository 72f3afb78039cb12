import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { type TrafficLabels, TrafficMetrics } from '#mesh/telemetry/traffic-metrics.js';

const peer = (name: string) => ({
  workloadName: name,
  namespace: 'shop',
  canonicalName: name,
  canonicalRevision: 'v1',
  clusterId: 'c1',
  locality: { region: 'r1', zone: '' },
});

const call: TrafficLabels = {
  reporter: 'source',
  source: peer('web'),
  sourcePrincipal: 'spiffe://cluster.local/ns/shop/sa/web',
  destination: peer('cart'),
  destinationPrincipal: 'spiffe://cluster.local/ns/shop/sa/cart',
  service: { hostname: 'cart.shop.svc.cluster.local', namespace: 'shop', name: 'cart' },
  isMutualTls: true,
};

async function samples(registry: Registry, name: string) {
  return (await registry.getSingleMetric(name)?.get())?.values ?? [];
}

test('a connection is counted when it opens, moves bytes and closes', async () => {
  const registry = new Registry();
  const connection = new TrafficMetrics(registry).open(call);
  connection.addBytes(10, 20);
  connection.addBytes(1, 2);
  connection.closed('DENY');
  const [opened] = await samples(registry, 'istio_tcp_connections_opened_total');
  expect(opened?.value).toBe(1);
  expect(opened?.labels).toMatchObject({
    reporter: 'source',
    source_workload: 'web',
    source_principal: 'spiffe://cluster.local/ns/shop/sa/web',
    destination_service: 'cart.shop.svc.cluster.local',
    destination_service_name: 'cart',
    destination_app: 'cart',
    request_protocol: 'tcp',
    response_flags: '-',
    connection_security_policy: 'mutual_tls',
    source_region: 'r1',
    source_zone: 'unknown',
  });
  expect((await samples(registry, 'istio_tcp_received_bytes_total'))[0]?.value).toBe(11);
  expect((await samples(registry, 'istio_tcp_sent_bytes_total'))[0]?.value).toBe(22);
  const [closed] = await samples(registry, 'istio_tcp_connections_closed_total');
  expect(closed?.labels['response_flags']).toBe('DENY');
});

test('what is not known reads unknown, and locality is left out when nobody is known', async () => {
  const registry = new Registry();
  const stranger = { ...call, source: undefined, sourcePrincipal: undefined, destination: undefined };
  new TrafficMetrics(registry).fail({ ...stranger, service: undefined, isMutualTls: false }, 'CONNECT');
  const [failed] = await samples(registry, 'istio_tcp_connections_failed_total');
  expect(failed?.labels).toMatchObject({
    source_workload: 'unknown',
    source_principal: 'unknown',
    destination_service: 'unknown',
    response_flags: 'CONNECT',
    connection_security_policy: 'unknown',
  });
  expect(failed?.labels).not.toHaveProperty('source_region');
});
