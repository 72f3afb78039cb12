import { describe, expect, it } from 'vitest';
import { readGatewayConfig } from '#mesh/gateway/config.js';
import { backoffMs, defaultRoute } from '#mesh/l7/route/route.js';

const env = {
  POD_NAME: 'waypoint-5c6',
  POD_NAMESPACE: 'shop',
  INSTANCE_IP: '10.244.1.9',
  SERVICE_ACCOUNT: 'waypoint',
  GATEWAY_NAME: 'waypoint',
};

describe('readConfig', () => {
  it('reads what the template gives and ignores flags of other proxies', () => {
    const config = readGatewayConfig(
      ['proxy', 'waypoint', '--domain', 'shop.svc.example', '--serviceCluster', 'x', '--concurrency=2'],
      { ...env, CA_ADDR: 'istiod.istio-system.svc:15012', TRUST_DOMAIN: 'example' },
    );
    expect(config).toMatchObject({
      gateway: { namespace: 'shop', name: 'waypoint' },
      hostname: 'waypoint.shop.svc.example',
      identity: 'spiffe://example/ns/shop/sa/waypoint',
      controlPlane: { address: 'istiod.istio-system.svc:15012', clusterId: 'Kubernetes' },
      accessLog: 'text',
      drainMs: 5_000,
    });
  });

  it('falls back to the workload name of older templates', () => {
    const { GATEWAY_NAME: _, ...rest } = env;
    expect(readGatewayConfig([], { ...rest, ISTIO_META_WORKLOAD_NAME: 'gw' }).gateway.name).toBe('gw');
  });

  it.each([
    [{ POD_NAMESPACE: '' }, 'POD_NAMESPACE'],
    [{ INSTANCE_IP: undefined }, 'INSTANCE_IP'],
    [{ ACCESS_LOG: 'loud' }, 'ACCESS_LOG'],
    [{ TERMINATION_DRAIN_DURATION_SECONDS: 'soon' }, 'TERMINATION_DRAIN_DURATION_SECONDS'],
  ])('refuses %j by name', (change, name) => {
    expect(() => readGatewayConfig([], { ...env, ...change })).toThrowError(new RegExp(name));
  });
});

describe('backoffMs', () => {
  it('grows with each retry up to ten times the base', () => {
    expect([1, 2, 3, 9].map((retry) => backoffMs(defaultRoute.retry, retry, 1))).toEqual([25, 75, 175, 250]);
    expect(backoffMs(defaultRoute.retry, 3, 0)).toBe(0);
  });
});
