import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endpointSlices, nodes, services } from '#base/kube/resource.js';
import type { EndpointSlice, Service } from '#base/kube/types.js';
import { type ServiceRouting, startServiceRouting } from '#sandbox/cluster/index.js';
import { run } from '#base/system/run.js';
import { type ControlPlane, eventually, startControlPlane } from './control-plane.js';
import {
  makeNodeNet,
  nodeAddress,
  type NodeNet,
  outsideAddress,
  podAddresses,
  type PodName,
} from './node-net.js';

const isRoot = process.getuid?.() === 0;
const namespace = 'default';

interface Endpoint {
  readonly pod: PodName;
  readonly node?: string;
  readonly conditions?: { ready?: boolean; serving?: boolean; terminating?: boolean };
  readonly zone?: string;
}

describe.skipIf(!isRoot)('kinds of services (skipped without root: makes network namespaces)', () => {
  let net: NodeNet;
  let plane: ControlPlane;
  let routing: ServiceRouting;
  const stop = new AbortController();

  beforeAll(async () => {
    net = await makeNodeNet('sk');
    plane = await startControlPlane({
      nodes: [],
      controllers: false,
      serviceCidr: '10.96.0.0/16,fd00:10:96::/112',
    });
    await plane.kubelet.addNode('node-1', { 'topology.kubernetes.io/zone': 'east' });
    routing = startServiceRouting({
      client: plane.client,
      signal: stop.signal,
      node: { name: 'node-1' },
      netns: net.fd('node'),
      podNetworks: ['10.244.0.0/16', 'fd00:10:244::/56'],
    });
    await routing.ready;
  });

  afterAll(async () => {
    stop.abort();
    await routing?.done;
    await plane?.close();
    await net?.close();
  });

  /** Makes a service of port 80 with slices of both families. */
  async function publish(
    name: string,
    spec: Partial<Service['spec']>,
    endpoints: readonly Endpoint[],
    protocol = 'TCP',
  ): Promise<Service> {
    const service = await plane.client.create<Service>(
      services,
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name, namespace },
        spec: {
          ports: [{ port: 80, protocol, targetPort: 8080 }],
          ipFamilyPolicy: 'PreferDualStack',
          ...spec,
        },
      },
      { namespace },
    );
    for (const addressType of ['IPv4', 'IPv6'] as const)
      await plane.client.create<EndpointSlice>(
        endpointSlices,
        {
          apiVersion: 'discovery.k8s.io/v1',
          kind: 'EndpointSlice',
          metadata: {
            name: sliceName(name, addressType),
            namespace,
            labels: { 'kubernetes.io/service-name': name },
          },
          addressType,
          endpoints: endpoints.map((each) => toEndpoint(each, addressType)),
          ports: [{ name: '', port: 8080, protocol }],
        },
        { namespace },
      );
    return service;
  }

  function sliceName(name: string, addressType: string): string {
    return `${name}-${addressType.toLowerCase()}`;
  }

  function toEndpoint(
    { pod, node = 'node-1', conditions = { ready: true }, zone }: Endpoint,
    addressType: string,
  ) {
    return {
      addresses: [podAddresses[pod][addressType === 'IPv4' ? 'v4' : 'v6']],
      nodeName: node,
      conditions,
      ...(zone === undefined ? {} : { zone, hints: { forZones: [{ name: zone }] } }),
    };
  }

  async function setEndpoints(name: string, endpoints: readonly Endpoint[]): Promise<void> {
    for (const addressType of ['IPv4', 'IPv6'])
      await plane.client.patch(
        { resource: endpointSlices, name: sliceName(name, addressType), namespace },
        { endpoints: endpoints.map((each) => toEndpoint(each, addressType)) },
      );
  }

  /** Waits until a call from somewhere has this answer (`a` from a pod: the address follows). */
  async function answers(from: 'node' | PodName, host: string, expected: RegExp, port = 80): Promise<void> {
    let last = '';
    await eventually(
      async () => {
        last = await net.call(from, host, port);
        return expected.test(last) ? true : undefined;
      },
      { what: `${from} -> ${host}:${port} to answer ${expected}`, timeoutMs: 8_000 },
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}; last: ${last}`);
    });
  }

  it('routes both families, from pods, from the node, and back to the caller itself', async () => {
    const { spec } = await publish('dual', { type: 'NodePort' }, [{ pod: 'a' }]);
    expect(spec.clusterIPs).toHaveLength(2);
    const nodePort = spec.ports?.[0]?.nodePort ?? 0;
    for (const [ip = '', caller, node] of [
      [spec.clusterIPs?.[0], podAddresses.c.v4, nodeAddress.v4],
      [spec.clusterIPs?.[1], podAddresses.c.v6, nodeAddress.v6],
    ] as const) {
      await answers('c', ip, new RegExp(`^a ${caller}$`));
      await answers('a', ip, /^a /);
      await answers('node', ip, /^a /);
      await answers('c', node, /^a /, nodePort);
    }
  });

  it('refuses both families when there is no endpoint', async () => {
    const { spec } = await publish('nobody', {}, []);
    for (const ip of spec.clusterIPs ?? []) await answers('c', ip, /^ECONNREFUSED$/);
  });

  it('keeps external traffic on the node when asked to, with the caller to be seen', async () => {
    const { spec } = await publish('external', { type: 'NodePort', externalTrafficPolicy: 'Local' }, [
      { pod: 'a' },
      { pod: 'b', node: 'node-2' },
    ]);
    const port = spec.ports?.[0]?.nodePort ?? 0;
    const fromOutside = (): Promise<string> =>
      net.call('c', nodeAddress.v4, port, { bindHost: outsideAddress });
    await answers('c', nodeAddress.v4, /^[ab] /, port);
    for (let i = 0; i < 20; i++) expect(await fromOutside()).toBe(`a ${outsideAddress}`);
    // Pods and the node are not outside: they may use every endpoint.
    const seen = new Set<string>();
    await eventually(
      async () => {
        seen.add((await net.call('c', nodeAddress.v4, port)).slice(0, 1));
        return seen.size === 2 ? true : undefined;
      },
      { what: 'both endpoints to be used by a pod' },
    );
    await setEndpoints('external', [{ pod: 'b', node: 'node-2' }]);
    await eventually(async () => ((await fromOutside()) === 'ETIMEDOUT' ? true : undefined), {
      what: 'nothing local to answer outsiders',
    });
    await answers('c', nodeAddress.v4, /^b /, port);
  });

  it('keeps internal traffic on the node when asked to', async () => {
    const internal = await publish('internal', { internalTrafficPolicy: 'Local' }, [
      { pod: 'a' },
      { pod: 'b', node: 'node-2' },
    ]);
    const ip = internal.spec.clusterIP ?? '';
    await answers('c', ip, /^a /);
    for (let i = 0; i < 20; i++) expect(await net.call('c', ip, 80)).toMatch(/^a /);
    await setEndpoints('internal', [{ pod: 'b', node: 'node-2' }]);
    await answers('c', ip, /^ETIMEDOUT$/);
  });

  it('serves load balancer addresses to the networks they are meant for, and external IPs', async () => {
    const { metadata, spec } = await publish(
      'balanced',
      {
        type: 'LoadBalancer',
        loadBalancerSourceRanges: [`${podAddresses.a.v4}/32`],
        externalIPs: ['192.0.2.7'],
      },
      [{ pod: 'b' }],
    );
    expect(spec.ports?.[0]?.nodePort).toBeGreaterThan(0);
    await plane.client.patch(
      { resource: services, name: metadata.name, namespace, subresource: 'status' },
      { status: { loadBalancer: { ingress: [{ ip: '198.51.100.9' }] } } },
    );
    await answers('a', '198.51.100.9', /^b /);
    await answers('c', '198.51.100.9', /^ETIMEDOUT$/);
    await answers('c', '192.0.2.7', /^b /);
  });

  it('answers health checks of load balancers by what is on the node', async () => {
    const { spec } = await publish('checked', { type: 'LoadBalancer', externalTrafficPolicy: 'Local' }, [
      { pod: 'a' },
    ]);
    const port = spec.healthCheckNodePort ?? 0;
    expect(port).toBeGreaterThanOrEqual(30_000);
    const check = async (): Promise<string> => {
      const script = `exec 3<>/dev/tcp/${nodeAddress.v4}/${port} && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3`;
      return (await run('bash', ['-c', script], { netns: net.fd('c') })).stdout;
    };
    await eventually(async () => ((await check()).startsWith('HTTP/1.1 200') ? true : undefined), {
      what: '200',
    });
    expect(await check()).toContain('"localEndpoints":1');
    await setEndpoints('checked', [{ pod: 'a', node: 'node-2' }]);
    await eventually(async () => ((await check()).startsWith('HTTP/1.1 503') ? true : undefined), {
      what: '503',
    });
    await plane.client.delete({ resource: services, name: 'checked', namespace });
    await eventually(async () => ((await check()) === '' ? true : undefined), { what: 'the port to close' });
  });

  it('prefers the zone that hints name and falls back to pods that are ending', async () => {
    const { spec } = await publish('zoned', { trafficDistribution: 'PreferClose' }, [
      { pod: 'a', zone: 'east' },
      { pod: 'b', zone: 'west' },
    ]);
    const ip = spec.clusterIP ?? '';
    await answers('c', ip, /^a /);
    for (let i = 0; i < 20; i++) expect(await net.call('c', ip, 80)).toMatch(/^a /);
    await plane.client.patch(
      { resource: nodes, name: 'node-1' },
      { metadata: { labels: { 'topology.kubernetes.io/zone': 'west' } } },
    );
    await answers('c', ip, /^b /);
    await setEndpoints('zoned', [
      { pod: 'b', conditions: { ready: false, serving: true, terminating: true } },
    ]);
    await answers('c', ip, /^b /);
    await setEndpoints('zoned', [
      { pod: 'b', conditions: { ready: false, serving: false, terminating: true } },
    ]);
    await answers('c', ip, /^ECONNREFUSED$/);
  });

  it.each([0, 1])(
    'moves a UDP client that keeps its port to the endpoint that is left (family %i)',
    async (family) => {
      const name = `datagrams-${family}`;
      const { spec } = await publish(name, {}, [{ pod: 'a' }], 'UDP');
      const client = await net.udpClient('c', spec.clusterIPs?.[family] ?? '', 80);
      const hears = (who: string): Promise<true> =>
        eventually(async () => ((await client.ask()) === who ? true : undefined), {
          what: `${who} to answer`,
        });
      try {
        await hears('a');
        await setEndpoints(name, [{ pod: 'b' }]);
        // The kernel still knows the flow to a; without forgetting it, a would be asked for ever.
        await hears('b');
        await setEndpoints(name, []);
        await hears('none');
        await setEndpoints(name, [{ pod: 'a' }]);
        await hears('a');
      } finally {
        client.close();
      }
    },
  );
});
