import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { L4PolicyStore } from '#mesh/policy/l4/l4-policy-store.js';
import { MeshView } from '#mesh/view/mesh-view.js';
import { loadLocalConfig } from '#mesh/ztunnel/local/local-config.js';

const dir = mkdtempSync(join(tmpdir(), 'local-config-'));
afterAll(() => rmSync(dir, { recursive: true }));

async function load(yaml: string): Promise<{ view: MeshView; policies: L4PolicyStore }> {
  const path = join(dir, 'config.yaml');
  writeFileSync(path, yaml);
  const [view, policies] = [new MeshView(), new L4PolicyStore()];
  await loadLocalConfig({ path, view, policies });
  return { view, policies };
}

test('resources in the words of the state dump are taken as if a control plane had sent them', async () => {
  const { view, policies } = await load(`
workloads:
  - name: web
    namespace: shop
    workloadIps: [10.0.0.1, 'fd00::1']
    protocol: hbone
    status: Unhealthy
    capacity: 3
    locality: { region: r1 }
    waypoint: { destination: shop/wp.shop.svc.cluster.local }
    applicationTunnel: { protocol: PROXY, port: 9 }
    services: { shop/web.shop.svc.cluster.local: { 80: 8080 } }
services:
  - name: web
    namespace: shop
    hostname: web.shop.svc.cluster.local
    vips: [/10.96.0.1]
    cidrVips: [{ network: '', cidr: 10.97.0.0/16 }]
    ports: { 80: 8080 }
    ipFamilies: Dual
    visibility: Namespace
    waypoint: { destination: n1/10.0.0.9, hboneMtlsPort: 15009 }
    loadBalancer: { mode: failover, routingPreferences: [Network, zone], healthPolicy: AllowAll }
policies:
  - { name: p, namespace: shop, scope: Namespace, action: Deny, rules: [[[{ sourceIps: [10.0.0.0/8] }]]] }
`);
  expect(view.workload('Kubernetes//Pod/shop/web')).toMatchObject({
    addresses: ['10.0.0.1', 'fd00::1'],
    protocol: 'HBONE',
    status: 'Unhealthy',
    capacity: 3,
    identity: 'spiffe://cluster.local/ns/shop/sa/default',
    locality: { region: 'r1', zone: '', subzone: '' },
    waypoint: { destination: { kind: 'hostname', namespace: 'shop' }, hboneMtlsPort: 15008 },
    applicationTunnel: { protocol: 'PROXY', port: 9 },
  });
  const service = view.serviceAt({ network: '', ip: '10.97.3.3', clientNamespace: 'shop' });
  expect(service).toMatchObject({
    key: 'shop/web.shop.svc.cluster.local',
    vips: [{ network: '', ip: '10.96.0.1' }],
    ipFamilies: 'Dual',
    visibility: 'Namespace',
    waypoint: { destination: { kind: 'address', network: 'n1', ip: '10.0.0.9' }, hboneMtlsPort: 15009 },
    loadBalancer: { mode: 'Failover', routingPreferences: ['Network', 'Zone'], healthPolicy: 'AllowAll' },
  });
  expect(service?.ports.get(80)?.targetPort).toBe(8080);
  expect([...view.members('shop/web.shop.svc.cluster.local')]).toHaveLength(1);
  expect(policies.list().map((p) => p.key)).toEqual(['shop/p']);
});

test.each([
  ['workloads: [{ nmae: x }]', 'file.workloads[0] has the unknown key nmae'],
  ['workloads: [{ name: x, namespace: s, protocol: QUIC }]', 'protocol is QUIC, expected HBONE or TCP'],
  ['workloads: [{ name: x, namespace: s, workloadIps: [10.0.0] }]', '10.0.0 is not an IP address'],
  ['services: [{ name: x, namespace: s, hostname: h, ports: { a: 1 } }]', 'a: 1 are not ports'],
  ['services: [{ name: x, namespace: s, hostname: h, cidrVips: [{ cidr: 10.0.0.0/40 }] }]', 'address range'],
  ['services: [{ name: x }]', 'service without namespace or hostname'],
  ['services: {}', 'services is not a list'],
])('%s is refused, naming the place', async (yaml, message) => {
  await expect(load(yaml)).rejects.toMatchObject({
    code: 'MESH0503',
    message: expect.stringContaining(message),
  });
});
