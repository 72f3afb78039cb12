import { describe, expect, it } from 'vitest';
import { MeshError } from '#base/errors/mesh-error.js';
import { readGatewayConfig } from '#mesh/gateway/config.js';

const env = {
  POD_NAME: 'waypoint-7d9-x',
  POD_NAMESPACE: 'shop',
  INSTANCE_IP: '10.244.1.9',
  SERVICE_ACCOUNT: 'waypoint',
  GATEWAY_NAME: 'waypoint',
};

describe('readConfig', () => {
  it('fills in what a plain pod template leaves out', () => {
    const config = readGatewayConfig([], env);
    expect(config).toMatchObject({
      gateway: { namespace: 'shop', name: 'waypoint' },
      hostname: 'waypoint.shop.svc.cluster.local',
      identity: 'spiffe://cluster.local/ns/shop/sa/waypoint',
      clusterId: 'Kubernetes',
      network: '',
      ports: { hbone: 15008, admin: 15000, stats: 15020, ready: 15021 },
      accessLog: 'text',
      drainMs: 5_000,
    });
    expect(config.controlPlane.address).toBe('istiod.istio-system.svc:15012');
  });

  it('takes names, places and limits from outside', () => {
    const config = readGatewayConfig(['--domain', 'shop.svc.mesh.example', '--unknown', 'x'], {
      ...env,
      TRUST_DOMAIN: 'mesh.example',
      TRUST_DOMAIN_ALIASES: 'old.example, older.example,',
      CA_ADDR: 'istiod-canary:15012',
      ACCESS_LOG: 'JSON',
      TERMINATION_DRAIN_DURATION_SECONDS: '30s',
    });
    expect(config.hostname).toBe('waypoint.shop.svc.mesh.example');
    expect(config.identity).toBe('spiffe://mesh.example/ns/shop/sa/waypoint');
    expect(config.names.trustDomainAliases).toEqual(['old.example', 'older.example']);
    expect(config.controlPlane.address).toBe('istiod-canary:15012');
    expect(config.accessLog).toBe('json');
    expect(config.drainMs).toBe(30_000);
  });

  it('reads a flag written with an equals sign', () => {
    expect(readGatewayConfig(['--domain=a.b'], env).hostname).toBe('waypoint.a.b');
  });

  it.each(['POD_NAME', 'POD_NAMESPACE', 'INSTANCE_IP', 'SERVICE_ACCOUNT'])(
    'names %s when it is missing',
    (name) => {
      const broken: Record<string, string> = { ...env };
      delete broken[name];
      const read = (): unknown => readGatewayConfig([], broken);
      expect(read).toThrow(MeshError);
      expect(read).toThrow(name);
    },
  );

  it.each([
    ['ACCESS_LOG', 'yes'],
    ['TERMINATION_DRAIN_DURATION_SECONDS', '-1'],
    ['TERMINATION_DRAIN_DURATION_SECONDS', 'soon'],
    ['TERMINATION_DRAIN_DURATION_SECONDS', '1e9'],
  ])('refuses %s=%s', (name, value) => {
    expect(() => readGatewayConfig([], { ...env, [name]: value })).toThrow(name);
  });
});
