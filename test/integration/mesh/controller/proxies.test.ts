import { fromBinary, toJson } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import { X509Certificate } from 'node:crypto';
import { createServer } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runController } from '#mesh/controller/controller.js';
import { readSettings } from '#mesh/controller/settings.js';
import { CaClient } from '#mesh/identity/ca-client.js';
import { formatSpiffeId } from '#mesh/identity/spiffe.js';
import { KubeClient } from '#base/kube/client.js';
import * as resources from '#base/kube/resource.js';
import type {
  AuthorizationPolicy,
  ConfigMap,
  Deployment,
  GatewayClass,
  KubeObject,
  Lease,
} from '#base/kube/types.js';
import { createLogger } from '#base/telemetry/log.js';
import { DeltaClient, type TerminationReason, type XdsResource } from '#mesh/xds/client/delta-client.js';
import { AuthorizationSchema } from '#mesh/xds/gen/istio/authorization_pb.js';
import { ClientConfigSchema } from '#mesh/xds/gen/envoy/status_pb.js';
import { AddressSchema, type Workload } from '#mesh/xds/gen/istio/workload_pb.js';
import { addressType, authorizationType } from '#mesh/xds/type-urls.js';
import { eventually } from '../../sandbox/apiserver/api-under-test.js';
import { askOnce, DeltaClient as BareClient } from './delta-client.js';
import { MeshUnderTest, startReplica } from './mesh-under-test.js';

// The controller and the project's own proxy clients, over real wires.
const system = 'istio-system';
const uid = (name: string) => `Kubernetes//Pod/shop/${name}`;
const signal = new AbortController().signal;
let mesh: MeshUnderTest;
let ztunnelPod: KubeObject;
let nearPod: KubeObject;
let rootPem: string;

beforeAll(async () => {
  mesh = await MeshUnderTest.startApi();
  await mesh.installCrds();
  await mesh.create(resources.namespaces, { metadata: { name: 'shop' } });
  await mesh.begin();
  rootPem = await mesh.rootPem();
  const shop = { namespace: 'shop', labels: { app: 'web' } };
  ztunnelPod = await mesh.pod({
    namespace: system,
    name: 'ztunnel-a',
    ip: '10.0.1.2',
    node: 'node-1',
    serviceAccount: 'ztunnel',
  });
  nearPod = await mesh.pod({ ...shop, name: 'near', ip: '10.0.1.3', node: 'node-1', serviceAccount: 'near' });
  await mesh.pod({ ...shop, name: 'far', ip: '10.0.2.3', node: 'node-2', serviceAccount: 'far' });
});

afterAll(async () => {
  await mesh.stop();
});

const endpoint = (token: string) => ({
  address: `https://${mesh.target}`,
  rootCa: rootPem,
  altHostname: 'istiod.istio-system.svc',
  token,
  clusterId: 'Kubernetes',
});

/** A node proxy's stream; it refuses workloads named in `refuses`. */
async function nodeProxy() {
  const workloads = new Map<string, Workload>();
  const policies = new Set<string>();
  /** Policies that a workload named before they were there, or still when they were not any more. */
  const missing: string[] = [];
  const messages: { typeUrl: string; resourceCount: number; removedCount: number }[] = [];
  const ends: { reason: TerminationReason; error: string | undefined }[] = [];
  const refuses = new Set<string>();
  const stop = new AbortController();
  const client = new DeltaClient({
    endpoint: endpoint(await mesh.token(ztunnelPod, 'ztunnel')),
    node: {
      id: 'ztunnel~10.0.1.2~ztunnel-a.istio-system~istio-system.svc.cluster.local',
      metadata: {
        NAMESPACE: system,
        SERVICE_ACCOUNT: 'ztunnel',
        NODE_NAME: 'node-1',
        ISTIO_VERSION: '1.2.3',
      },
    },
    handlers: [
      {
        typeUrl: addressType,
        upsert: ({ name, value }: XdsResource) => {
          if (refuses.has(name)) throw new Error('cannot use it');
          const { type } = fromBinary(AddressSchema, value);
          if (type.case !== 'workload') return;
          workloads.set(name, type.value);
          missing.push(...type.value.authorizationPolicies.filter((policy) => !policies.has(policy)));
        },
        remove: (name) => workloads.delete(name),
      },
      {
        typeUrl: authorizationType,
        upsert: ({ name, value }) => {
          fromBinary(AuthorizationSchema, value);
          policies.add(name);
        },
        remove: (name) => {
          policies.delete(name);
          if ([...workloads.values()].some((w) => w.authorizationPolicies.includes(name))) missing.push(name);
        },
      },
    ],
    events: { message: (m) => messages.push(m), disconnected: (e) => ends.push(e) },
  });
  const running = client.run(stop.signal);
  await client.synced(AbortSignal.timeout(5_000));
  return {
    client,
    workloads,
    policies,
    missing,
    messages,
    ends,
    refuses,
    stop: async () => {
      stop.abort();
      await running;
    },
  };
}

test('a policy reaches the proxy before the workload that names it, and leaves after', async () => {
  const proxy = await nodeProxy();
  await eventually(async () => proxy.workloads.get(uid('near'))?.serviceAccount === 'near');
  await mesh.create(resources.authorizationPolicies, {
    metadata: { namespace: 'shop', name: 'web-only' },
    spec: { selector: { matchLabels: { app: 'web' } }, rules: [{ to: [{ operation: { ports: ['80'] } }] }] },
  } as never);
  await eventually(
    async () => proxy.workloads.get(uid('near'))?.authorizationPolicies[0] === 'shop/web-only',
  );
  expect(proxy.policies).toContain('shop/web-only');
  // A label decides whom the policy selects.
  await mesh.client.patch(
    { resource: resources.pods, namespace: 'shop', name: 'far' },
    { metadata: { labels: { app: 'other' } } },
  );
  await eventually(async () => proxy.workloads.get(uid('far'))?.authorizationPolicies.length === 0);
  expect(proxy.workloads.get(uid('near'))?.authorizationPolicies).toEqual(['shop/web-only']);
  const ref = { resource: resources.authorizationPolicies, namespace: 'shop', name: 'web-only' };
  await mesh.client.delete(ref);
  await eventually(async () => !proxy.policies.has('shop/web-only'));
  expect(proxy.workloads.get(uid('near'))?.authorizationPolicies).toEqual([]);
  expect(proxy.missing).toEqual([]);
  await proxy.stop();
});

test('a rejected resource is counted and shown, and the stream goes on', async () => {
  const proxy = await nodeProxy();
  proxy.refuses.add(uid('odd'));
  await mesh.pod({ namespace: 'shop', name: 'odd', ip: '10.0.1.4', node: 'node-1', serviceAccount: 'near' });
  const metric = async () => (await fetch(`http://127.0.0.1:${mesh.ports.monitoring}/metrics`)).text();
  await eventually(async () => /pilot_total_xds_rejects\{type="wds"\} [1-9]/.test(await metric()));
  const syncz = await (await fetch(`http://127.0.0.1:${mesh.ports.http}/debug/syncz`)).text();
  expect(syncz).toContain(`${uid('odd')}: cannot use it`);
  await mesh.pod({ namespace: 'shop', name: 'even', ip: '10.0.1.5', node: 'node-1', serviceAccount: 'near' });
  await eventually(async () => proxy.workloads.has(uid('even')));
  await proxy.stop();
});

test('istioctl asks on a state-of-the-world stream who is connected and what they acknowledged', async () => {
  const proxy = await nodeProxy();
  const ask = async (account: string, request: { typeUrl: string; resourceNames?: string[] }) => {
    const token = await mesh.token(account === 'ztunnel' ? ztunnelPod : nearPod, account);
    return askOnce({ target: mesh.target, rootPem, token, request });
  };
  const syncz = { typeUrl: 'istio.io/debug/syncz' };
  const all = await ask('ztunnel', syncz);
  expect(all.typeUrl).toBe(syncz.typeUrl);
  expect(JSON.parse(all.controlPlane?.identifier ?? '')).toMatchObject({
    Component: 'istiod',
    ID: 'istiod-1',
    Info: { version: expect.any(String) as string },
  });
  const configs = async () =>
    (await ask('ztunnel', syncz)).resources.map(({ typeUrl, value }) => {
      expect(typeUrl).toBe('type.googleapis.com/envoy.service.status.v3.ClientConfig');
      return toJson(ClientConfigSchema, fromBinary(ClientConfigSchema, value));
    });
  // The proxy has its resources before the controller has the acknowledgement.
  await expect.poll(configs, { timeout: 10_000 }).toContainEqual({
    node: {
      id: 'ztunnel-a.istio-system',
      metadata: { NAMESPACE: system, CLUSTER_ID: '', ISTIO_VERSION: '1.2.3' },
    },
    genericXdsConfigs: [authorizationType, addressType].map((typeUrl) => ({
      typeUrl,
      configStatus: 'SYNCED',
      lastUpdated: expect.any(String) as string,
    })),
  });
  // Others learn nothing of the system's proxies, nor of the mesh.
  expect((await ask('near', syncz)).resources).toEqual([]);
  const page = (...resourceNames: string[]) => ({ typeUrl: 'istio.io/debug', resourceNames });
  await expect(ask('near', page('ambientz'))).rejects.toMatchObject({ code: status.PERMISSION_DENIED });
  const text = async (name: string) =>
    Buffer.from((await ask('ztunnel', page(name))).resources[0]?.value ?? []).toString();
  expect(await text('list')).toContain('/debug/syncz');
  expect(await text('syncz')).toContain('ztunnel-a.istio-system');
  expect(JSON.parse(await text('clusterz'))).toEqual([
    { id: 'Kubernetes', secretName: '', syncStatus: 'synced' },
  ]);
  expect(await text('nothing')).toBe('404 page not found\n');
  const envoys = { typeUrl: 'type.googleapis.com/envoy.config.cluster.v3.Cluster' };
  await expect(ask('ztunnel', envoys)).rejects.toMatchObject({ code: status.UNIMPLEMENTED });
  await expect(
    askOnce({ target: mesh.target, rootPem, token: 'none', request: syncz }),
  ).rejects.toMatchObject({ code: status.UNAUTHENTICATED });
  await proxy.stop();
});

test('certificates: for the own node only, and for no other trust domain or token', async () => {
  const ask = (account: string, o: { token: string; impersonate?: boolean; trustDomain?: string }) => {
    const ca = new CaClient({
      endpoint: endpoint(o.token),
      impersonate: o.impersonate ?? true,
      ttlSeconds: 3600,
    });
    const identity = formatSpiffeId({
      trustDomain: o.trustDomain ?? 'cluster.local',
      namespace: 'shop',
      serviceAccount: account,
    });
    return ca.fetch(identity, signal).finally(() => ca.close());
  };
  const token = await mesh.token(ztunnelPod, 'ztunnel');
  const credentials = await ask('near', { token });
  const leaf = new X509Certificate(credentials.certChainPem);
  expect(leaf.subjectAltName).toBe('URI:spiffe://cluster.local/ns/shop/sa/near');
  expect(leaf.verify(new X509Certificate(credentials.rootsPem).publicKey)).toBe(true);
  await expect(ask('far', { token })).rejects.toThrow(/UNAUTHENTICATED/);
  await expect(ask('near', { token, trustDomain: 'elsewhere' })).rejects.toThrow(/UNAUTHENTICATED/);

  const nearPod = await mesh.client.get<KubeObject>({
    resource: resources.pods,
    namespace: 'shop',
    name: 'near',
  });
  const nearToken = await mesh.token(nearPod, 'near');
  await expect(ask('near', { token: nearToken })).rejects.toThrow(/UNAUTHENTICATED/);
  expect((await ask('near', { token: nearToken, impersonate: false })).identity).toContain('/sa/near');
  // A token of another audience, one somebody else signed, and one whose pod is gone.
  const foreign = await mesh.token(ztunnelPod, 'ztunnel', 'vault');
  const forged = `${token.slice(0, token.lastIndexOf('.'))}.${Buffer.from('forged').toString('base64url')}`;
  const oldPod = await mesh.pod({
    namespace: system,
    name: 'ztunnel-old',
    ip: '10.0.1.9',
    node: 'node-1',
    serviceAccount: 'ztunnel',
  });
  const orphaned = await mesh.token(oldPod, 'ztunnel');
  await mesh.client.delete(
    { resource: resources.pods, namespace: system, name: 'ztunnel-old' },
    { gracePeriodSeconds: 0 },
  );
  for (const refused of [foreign, forged, orphaned]) {
    await expect(ask('near', { token: refused })).rejects.toThrow(/UNAUTHENTICATED/);
  }
});

test('what people change is put back', async () => {
  await mesh.create(resources.gateways, {
    metadata: { namespace: 'shop', name: 'gate' },
    spec: {
      gatewayClassName: 'istio-waypoint',
      listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE' }],
    },
  } as never);
  const inShop = (resource: resources.Resource, name: string) => ({ resource, namespace: 'shop', name });
  const exists = (ref: Parameters<KubeClient['getOrUndefined']>[0]) => async () =>
    (await mesh.client.getOrUndefined(ref)) !== undefined;
  const deployment = inShop(resources.deployments, 'gate');
  const image = async () =>
    (await mesh.client.get<Deployment>(deployment)).spec.template.spec.containers[0]?.image;
  await eventually(exists(deployment));
  const [wanted, root, gatewayClass] = [
    await image(),
    inShop(resources.configMaps, 'istio-ca-root-cert'),
    { resource: resources.gatewayClasses, name: 'istio-waypoint' },
  ];
  await mesh.client.patch(
    deployment,
    { spec: { template: { spec: { containers: [{ name: 'istio-proxy', image: 'x' }] } } } },
    'strategic',
  );
  await eventually(async () => (await image()) === wanted);
  for (const ref of [
    inShop(resources.services, 'gate'),
    inShop(resources.serviceAccounts, 'gate'),
    root,
    gatewayClass,
  ]) {
    await eventually(exists(ref));
    const before = await mesh.client.get<KubeObject>(ref);
    await mesh.client.delete(ref);
    await eventually(async () => {
      const now = await mesh.client.getOrUndefined<KubeObject>(ref);
      return now !== undefined && now.metadata.uid !== before.metadata.uid;
    });
  }
  expect((await mesh.client.get<ConfigMap>(root)).data?.['root-cert.pem']).toBe(rootPem);
  await eventually(
    async () =>
      (await mesh.client.get<GatewayClass>(gatewayClass)).status?.conditions?.[0]?.status === 'True',
  );
  const { status } = await mesh.client.get<GatewayClass>(gatewayClass);
  expect(status?.supportedFeatures).toEqual([{ name: 'GatewayInfrastructurePropagation' }, { name: 'Mesh' }]);

  const policy = inShop(resources.authorizationPolicies, 'any');
  await mesh.create(resources.authorizationPolicies, {
    metadata: { namespace: 'shop', name: 'any' },
    spec: {},
  } as never);
  const accepted = async () =>
    (await mesh.client.get<AuthorizationPolicy>(policy)).status?.conditions?.[0]?.status;
  await eventually(async () => (await accepted()) === 'True');
  await mesh.client.patch({ ...policy, subresource: 'status' }, { status: { conditions: [] } });
  await eventually(async () => (await accepted()) === 'True');
});

test('replicas serve alike, one leads, and the other takes over', async () => {
  const stop = new AbortController();
  const client = await KubeClient.fromKubeconfig({ kubeconfig: mesh.api.kubeconfig });
  const second = await startReplica(client, { podName: 'istiod-2', signal: stop.signal });
  const lease = {
    resource: resources.leases,
    namespace: system,
    name: 'istio-namespace-controller-election',
  };
  const holder = async () => (await mesh.client.get<Lease>(lease)).spec?.holderIdentity;
  expect(await holder()).toBe('istiod-1');

  // What one replica gave, the other finds current.
  const target = `127.0.0.1:${second.ports.secureGrpc}`;
  expect(await differenceBetween(mesh.target, target)).toEqual({ sent: [], removed: [] });

  await mesh.halt();
  expect(await holder()).not.toBe('istiod-1');
  await eventually(async () => (await holder()) === 'istiod-2', 10_000);
  await mesh.create(resources.namespaces, { metadata: { name: 'later' } });
  const root = { resource: resources.configMaps, namespace: 'later', name: 'istio-ca-root-cert' };
  await eventually(async () => (await mesh.client.getOrUndefined(root)) !== undefined);
  stop.abort();
  await second.running;
  expect(await holder()).toBe('');
});

test('a controller that cannot read the cluster serves nobody, and stops when asked', async () => {
  const port = await freePort();
  const { settings } = readSettings(['discovery'], { POD_NAMESPACE: system });
  const stop = new AbortController();
  const running = runController(
    {
      settings: {
        ...settings,
        listenHost: '127.0.0.1',
        ports: { http: port, plaintextGrpc: 0, secureGrpc: 0, monitoring: 0 },
      },
      client: new KubeClient({ server: `http://127.0.0.1:${await freePort()}` }),
      log: createLogger('unreadable'),
    },
    stop.signal,
  );
  await expect(fetch(`http://127.0.0.1:${port}/ready`)).rejects.toThrow();
  stop.abort();
  await running;
});

/** What a proxy that holds the whole state of one replica is sent by another. */
async function differenceBetween(one: string, other: string) {
  const connect = async (target: string) =>
    new BareClient({
      target,
      rootPem,
      token: await mesh.token(ztunnelPod, 'ztunnel'),
      node: { id: 'ztunnel~10.0.1.2~ztunnel-a.istio-system~istio-system.svc.cluster.local' },
    });
  const first = await connect(one);
  first.subscribe(addressType);
  await eventually(async () => first.responses.length > 0);
  expect(first.versions.size).toBeGreaterThan(3);
  const next = await connect(other);
  next.subscribe(addressType, Object.fromEntries(first.versions));
  await eventually(async () => next.responses.length > 0);
  const [answer] = next.responses;
  first.close();
  next.close();
  return { sent: answer?.resources.map(({ name }) => name), removed: answer?.removedResources };
}

/** A port nobody listens on at the moment. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
