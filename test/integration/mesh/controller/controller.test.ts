import { status } from '@grpc/grpc-js';
import { X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createSigningRequest } from '#mesh/identity/csr.js';
import { formatSpiffeId } from '#mesh/identity/spiffe.js';
import * as resources from '#base/kube/resource.js';
import type {
  AuthorizationPolicy,
  ConfigMap,
  Deployment,
  Gateway,
  KubeObject,
  Service,
} from '#base/kube/types.js';
import { TunnelProtocol, WorkloadStatus } from '#mesh/xds/gen/istio/workload_pb.js';
import { addressType, authorizationType, l7AuthorizationType } from '#mesh/xds/type-urls.js';
import { productVersion } from '#mesh/telemetry/version.js';
import { eventually } from '../../sandbox/apiserver/api-under-test.js';
import { createCertificate, DeltaClient } from './delta-client.js';
import { MeshUnderTest } from './mesh-under-test.js';

const uid = (namespace: string, name: string) => `Kubernetes//Pod/${namespace}/${name}`;
const backendKey = 'shop/backend.shop.svc.cluster.local';

describe('controller on a real API server', () => {
  let mesh: MeshUnderTest;
  let rootPem: string;
  let ztunnelPod: KubeObject;
  let ztunnelToken: string;
  let ztunnel: DeltaClient;
  const ztunnelNode = { id: 'ztunnel~10.244.1.2~ztunnel-a.istio-system~istio-system.svc.cluster.local' };

  const connect = (token = ztunnelToken) =>
    new DeltaClient({ target: mesh.target, rootPem, token, node: ztunnelNode });

  beforeAll(async () => {
    mesh = await MeshUnderTest.start();
    rootPem = await mesh.rootPem();
    await mesh.create(resources.nodes, {
      metadata: {
        name: 'node-1',
        labels: { 'topology.kubernetes.io/region': 'r1', 'topology.kubernetes.io/zone': 'z1' },
      },
    });
    await mesh.create(resources.nodes, { metadata: { name: 'node-2' } });
    await mesh.create(resources.namespaces, { metadata: { name: 'shop' } });
    ztunnelPod = await mesh.pod({
      namespace: 'istio-system',
      name: 'ztunnel-a',
      ip: '10.244.1.2',
      node: 'node-1',
      serviceAccount: 'ztunnel',
    });
    await mesh.pod({
      namespace: 'shop',
      name: 'frontend',
      ip: '10.244.1.3',
      node: 'node-1',
      serviceAccount: 'frontend',
      labels: { app: 'frontend' },
      annotations: { 'ambient.istio.io/redirection': 'enabled' },
    });
    await mesh.pod({
      namespace: 'shop',
      name: 'backend',
      ip: '10.244.2.3',
      node: 'node-2',
      serviceAccount: 'backend',
      labels: { app: 'backend' },
    });
    await mesh.create(resources.services, {
      metadata: { namespace: 'shop', name: 'backend' },
      spec: { selector: { app: 'backend' }, ports: [{ name: 'http', port: 80, targetPort: 'http' }] },
    } as never);
    ztunnelToken = await mesh.token(ztunnelPod, 'ztunnel');
    ztunnel = connect();
    ztunnel.subscribe(addressType);
    ztunnel.subscribe(authorizationType);
  }, 60_000);

  afterAll(async () => {
    ztunnel?.close();
    await mesh?.stop();
  });

  test('answers both types at once, also without any policy', async () => {
    await eventually(
      async () => ztunnel.responses.length >= 2 && ztunnel.workloads.has(uid('shop', 'backend')),
    );
    expect(ztunnel.responses[0]?.typeUrl).toBe(addressType);
    expect(ztunnel.responses.some(({ typeUrl }) => typeUrl === authorizationType)).toBe(true);
    const frontend = ztunnel.workloads.get(uid('shop', 'frontend'));
    expect(frontend).toMatchObject({
      tunnelProtocol: TunnelProtocol.HBONE,
      serviceAccount: 'frontend',
      node: 'node-1',
      status: WorkloadStatus.HEALTHY,
      locality: { region: 'r1', zone: 'z1' },
    });
    const backend = ztunnel.workloads.get(uid('shop', 'backend'));
    expect(backend?.tunnelProtocol).toBe(TunnelProtocol.NONE);
    expect(backend?.services[backendKey]?.ports).toMatchObject([{ servicePort: 80, targetPort: 8080 }]);
    expect(ztunnel.services.get(backendKey)).toMatchObject({ ports: [{ servicePort: 80, targetPort: 0 }] });
  });

  test('pushes only what changed, within the debounce time', async () => {
    const before = ztunnel.responses.length;
    await mesh.client.patch(
      { resource: resources.pods, namespace: 'shop', name: 'backend', subresource: 'status' },
      { metadata: { annotations: { 'ambient.istio.io/redirection': 'enabled' } } },
    );
    await eventually(
      async () => ztunnel.workloads.get(uid('shop', 'backend'))?.tunnelProtocol === TunnelProtocol.HBONE,
      2_000,
    );
    const pushed = ztunnel.responses
      .slice(before)
      .flatMap(({ resources: all }) => all.map(({ name }) => name));
    expect(pushed).toEqual([uid('shop', 'backend')]);
  });

  test('sends a returning client exactly what it lacks', async () => {
    const held = Object.fromEntries(ztunnel.versions);
    const returning = connect();
    returning.subscribe(addressType, {
      ...held,
      [uid('shop', 'backend')]: 'outdated',
      [uid('shop', 'gone')]: 'x',
    });
    await eventually(async () => returning.responses.length > 0);
    const [first] = returning.responses;
    expect(first?.resources.map(({ name }) => name)).toEqual([uid('shop', 'backend')]);
    expect(first?.removedResources).toEqual([uid('shop', 'gone')]);
    returning.close();
  });

  test('refuses a stream without a valid token, of a wrong audience, or of another namespace', async () => {
    const wrongAudience = await mesh.token(ztunnelPod, 'ztunnel', 'somebody-else');
    for (const token of ['nonsense', wrongAudience]) {
      const refused = connect(token);
      refused.subscribe(addressType);
      await eventually(async () => refused.error !== undefined);
      expect(refused.error?.code).toBe(status.UNAUTHENTICATED);
      expect(refused.responses).toEqual([]);
      refused.close();
    }
    const foreign = new DeltaClient({
      target: mesh.target,
      rootPem,
      token: ztunnelToken,
      node: { id: 'ztunnel~10.244.1.2~x.shop~shop.svc.cluster.local' },
    });
    foreign.subscribe(addressType);
    await eventually(async () => foreign.error !== undefined);
    expect(foreign.error?.code).toBe(status.PERMISSION_DENIED);
    foreign.close();
  });

  test("signs for a node's own workloads and nobody else's", async () => {
    const ask = async (serviceAccount: string, token = ztunnelToken) => {
      const identity = formatSpiffeId({ trustDomain: 'cluster.local', namespace: 'shop', serviceAccount });
      const { csrPem } = await createSigningRequest(identity);
      return createCertificate({ target: mesh.target, rootPem, token, csr: csrPem, impersonate: identity });
    };
    const chain = await ask('frontend');
    const leaf = new X509Certificate(chain[0] ?? '');
    expect(leaf.subjectAltName).toBe('URI:spiffe://cluster.local/ns/shop/sa/frontend');
    expect(leaf.verify(new X509Certificate(rootPem).publicKey)).toBe(true);
    expect(Date.parse(leaf.validTo) - Date.now()).toBeLessThan(3_700_000);
    expect(chain.at(-1)).toBe(rootPem);
    // backend runs on node-2, the caller on node-1.
    await expect(ask('backend')).rejects.toMatchObject({ code: status.UNAUTHENTICATED });
    const frontendPod = await mesh.client.get<KubeObject>({
      resource: resources.pods,
      namespace: 'shop',
      name: 'frontend',
    });
    const ownToken = await mesh.token(frontendPod, 'frontend');
    await expect(ask('frontend', ownToken)).rejects.toMatchObject({ code: status.UNAUTHENTICATED });
  });

  test('publishes the root in every namespace and repairs it', async () => {
    const ref = { resource: resources.configMaps, namespace: 'shop', name: 'istio-ca-root-cert' };
    const isRight = async () =>
      (await mesh.client.getOrUndefined<ConfigMap>(ref))?.data?.['root-cert.pem'] === rootPem;
    await eventually(isRight);
    await mesh.client.patch(ref, { data: { 'root-cert.pem': 'tampered' } });
    await eventually(isRight);
    await mesh.client.delete(ref);
    await eventually(isRight);
  });

  test('takes up kinds that are installed later, and creates the Gateway classes', async () => {
    await mesh.installCrds();
    await eventually(
      async () =>
        (await mesh.client.getOrUndefined<KubeObject>({
          resource: resources.gatewayClasses,
          name: 'istio-waypoint',
        })) !== undefined,
      15_000,
    );
  });

  test('STRICT arrives as a policy before the workloads that name it', async () => {
    const before = ztunnel.responses.length;
    await mesh.create(resources.peerAuthentications, {
      metadata: { namespace: 'shop', name: 'default' },
      spec: { mtls: { mode: 'STRICT' } },
    } as never);
    const strict = 'istio-system/istio_converted_static_strict';
    await eventually(
      async () =>
        ztunnel.workloads.get(uid('shop', 'backend'))?.authorizationPolicies.includes(strict) === true,
    );
    expect(ztunnel.policies.has(strict)).toBe(true);
    const order = ztunnel.responses
      .slice(before)
      .flatMap(({ resources: all }) => all.map(({ name }) => name));
    expect(order.indexOf(strict)).toBeLessThan(order.indexOf(uid('shop', 'backend')));
  });

  test('deploys a waypoint, binds fail-closed, and scopes L7 policies to it', async () => {
    await mesh.client.patch(
      { resource: resources.namespaces, name: 'shop' },
      { metadata: { labels: { 'istio.io/use-waypoint': 'waypoint' } } },
    );
    // Bound before the waypoint exists: traffic must fail rather than pass by.
    await eventually(async () => ztunnel.services.get(backendKey)?.waypoint !== undefined);
    expect(ztunnel.services.get(backendKey)?.waypoint).toMatchObject({
      destination: {
        case: 'hostname',
        value: { namespace: 'shop', hostname: 'waypoint.shop.svc.cluster.local' },
      },
      hboneMtlsPort: 15008,
    });

    await mesh.create(resources.gateways, {
      metadata: { namespace: 'shop', name: 'waypoint', labels: { 'istio.io/waypoint-for': 'service' } },
      spec: {
        gatewayClassName: 'istio-waypoint',
        listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE' }],
      },
    } as never);
    const inShop = (resource: resources.Resource, name: string) => ({ resource, namespace: 'shop', name });
    await eventually(
      async () => (await mesh.client.getOrUndefined(inShop(resources.deployments, 'waypoint'))) !== undefined,
    );
    const deployment = await mesh.client.get<Deployment>(inShop(resources.deployments, 'waypoint'));
    expect(deployment.metadata.ownerReferences?.[0]).toMatchObject({ kind: 'Gateway', name: 'waypoint' });
    expect(deployment.spec.template.metadata?.labels).toMatchObject({
      'istio.io/dataplane-mode': 'none',
      'gateway.networking.k8s.io/gateway-name': 'waypoint',
    });
    const service = await mesh.client.get<Service>(inShop(resources.services, 'waypoint'));
    expect(service.spec.ports?.map(({ name, port }) => `${name}:${port}`)).toEqual([
      'status-port:15021',
      'mesh:15008',
    ]);

    const gateway = () => mesh.client.get<Gateway>(inShop(resources.gateways, 'waypoint'));
    const programmed = async () =>
      (await gateway()).status?.conditions?.find(({ type }) => type === 'Programmed');
    await eventually(async () => (await programmed())?.status === 'False');
    expect((await gateway()).status?.addresses ?? []).toEqual([]);

    const waypointPod = await mesh.pod({
      namespace: 'shop',
      name: 'waypoint-1',
      ip: '10.244.2.9',
      node: 'node-2',
      serviceAccount: 'waypoint',
      labels: {
        'gateway.networking.k8s.io/gateway-name': 'waypoint',
        'gateway.istio.io/managed': 'istio.io-mesh-controller',
      },
    });
    await eventually(async () => (await programmed())?.status === 'True');
    const addresses = (await gateway()).status?.addresses?.map(({ value }) => value);
    expect(addresses).toEqual([service.spec.clusterIP, 'waypoint.shop.svc.cluster.local']);
    await eventually(async () => {
      const { status: now } = await mesh.client.get<Service>(inShop(resources.services, 'backend'));
      return (
        now?.conditions?.some(({ type, status: s }) => type === 'istio.io/WaypointBound' && s === 'True') ===
        true
      );
    });

    const policy = (name: string, kind: string, target: string) =>
      mesh.create(resources.authorizationPolicies, {
        metadata: { namespace: 'shop', name },
        spec: {
          targetRefs: [{ kind, group: kind === 'Service' ? '' : 'gateway.networking.k8s.io', name: target }],
          action: 'ALLOW',
          rules: [{ to: [{ operation: { methods: ['GET'] } }] }],
        },
      } as never);
    await policy('viewer', 'Service', 'backend');
    await policy('elsewhere', 'Gateway', 'other');
    const connectWaypoint = async (gatewayName: string) => {
      const client = new DeltaClient({
        target: mesh.target,
        rootPem,
        token: await mesh.token(waypointPod, 'waypoint'),
        node: {
          id: 'waypoint~10.244.2.9~waypoint-1.shop~shop.svc.cluster.local',
          metadata: { GATEWAY_NAME: gatewayName, GATEWAY_NAMESPACE: 'shop', SERVICE_ACCOUNT: 'waypoint' },
        },
      });
      client.subscribe(l7AuthorizationType);
      return client;
    };
    const waypoint = await connectWaypoint('waypoint');
    const stranger = await connectWaypoint('nobody');
    await eventually(async () => waypoint.l7.has('shop/viewer') && stranger.responses.length > 0);
    expect([...waypoint.l7.keys()]).toEqual(['shop/viewer']);
    expect(waypoint.l7.get('shop/viewer')?.targets).toMatchObject([
      { namespace: 'shop', hostname: 'backend.shop.svc.cluster.local' },
    ]);
    expect([...stranger.l7.keys()]).toEqual([]);
    expect(ztunnel.policies.has('shop/viewer')).toBe(false);

    const accepted = async (name: string) => {
      const object = await mesh.client.get<AuthorizationPolicy>(
        inShop(resources.authorizationPolicies, name),
      );
      return object.status?.conditions?.find(({ type }) => type === 'WaypointAccepted');
    };
    await eventually(async () => (await accepted('viewer'))?.status === 'True');
    await eventually(async () => (await accepted('elsewhere'))?.reason === 'TargetNotFound');

    await mesh.client.delete(inShop(resources.authorizationPolicies, 'viewer'));
    await eventually(async () => !waypoint.l7.has('shop/viewer'));
    waypoint.close();
    stranger.close();
  });

  test('shows what every connection acknowledged', async () => {
    await eventually(async () => {
      const response = await fetch(`http://127.0.0.1:${mesh.ports.http}/debug/syncz`);
      const records = (await response.json()) as { proxy: string; isCaughtUp: boolean }[];
      return records.some(({ proxy, isCaughtUp }) => proxy === 'ztunnel-a.istio-system' && isCaughtUp);
    });
    const ready = await fetch(`http://127.0.0.1:${mesh.ports.http}/ready`);
    expect(ready.status).toBe(200);
    // As istioctl spells it.
    const version = await fetch(`http://127.0.0.1:${mesh.ports.monitoring}//version`);
    expect(await version.text()).toBe(productVersion);
    const metrics = await (await fetch(`http://127.0.0.1:${mesh.ports.monitoring}/metrics`)).text();
    expect(metrics).toContain('pilot_xds');
    expect(metrics).toContain('citadel_server_success_cert_issuance_count 1');
  });
});
