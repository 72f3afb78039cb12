import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endpointSlices, services } from '#base/kube/resource.js';
import type { EndpointSlice, Service } from '#base/kube/types.js';
import { type ServiceRouting, startServiceRouting } from '#sandbox/cluster/index.js';
import { run } from '#base/system/run.js';
import { type ControlPlane, eventually, startControlPlane } from './control-plane.js';
import { makeNodeNet, type NodeNet, podAddresses, type PodName } from './node-net.js';

const isRoot = process.getuid?.() === 0;

describe.skipIf(!isRoot)('service routing (skipped without root: makes network namespaces)', () => {
  let plane: ControlPlane;
  let routing: ServiceRouting;
  const stop = new AbortController();
  let net: NodeNet;
  const fdOf = (name: string): number => net.fd(name as PodName | 'node');

  beforeAll(async () => {
    net = await makeNodeNet('rt');
    plane = await startControlPlane({ nodes: ['node-1'], controllers: false });
    routing = startServiceRouting({
      client: plane.client,
      signal: stop.signal,
      node: { name: 'node-1' },
      verifyMs: 500,
      netns: fdOf('node'),
    });
    await routing.ready;
  });

  afterAll(async () => {
    stop.abort();
    await routing?.done;
    await plane?.close();
    await net?.close();
  });

  async function publish(
    name: string,
    spec: Partial<Service['spec']>,
    backends: readonly PodName[],
  ): Promise<Service> {
    const namespace = 'default';
    const service = await plane.client.create<Service>(
      services,
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name, namespace },
        spec: { ports: [{ port: 80, targetPort: 8080 }], ...spec },
      },
      { namespace },
    );
    await plane.client.create<EndpointSlice>(
      endpointSlices,
      {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { name: `${name}-x`, namespace, labels: { 'kubernetes.io/service-name': name } },
        addressType: 'IPv4',
        endpoints: backends.map((each) => ({
          addresses: [podAddresses[each].v4],
          nodeName: 'node-1',
          conditions: { ready: true },
        })),
        ports: [{ name: '', port: 8080, protocol: 'TCP' }],
      },
      { namespace },
    );
    return service;
  }

  const call = (from: string, host: string, port = 80): Promise<string> =>
    net.call(from as PodName | 'node', host, port);

  const answers = (what: string, check: () => Promise<boolean>): Promise<true> =>
    eventually(async () => ((await check()) ? true : undefined), { what, timeoutMs: 5_000 });

  it("balances a cluster IP over its endpoints and keeps the client's address", async () => {
    const { spec } = await publish('both', {}, ['a', 'b']);
    const host = spec.clusterIP ?? '';
    await answers('first answer', async () => (await call('c', host)).includes('10.244.1.4'));
    const seen = new Map<string, number>();
    for (let i = 0; i < 100; i++) {
      const [who = ''] = (await call('c', host)).split(' ');
      seen.set(who, (seen.get(who) ?? 0) + 1);
    }
    // 100 fair throws: fewer than 20 of one kind has odds below one in a billion.
    expect(Math.min(seen.get('a') ?? 0, seen.get('b') ?? 0)).toBeGreaterThan(20);
    expect(await call('node', host)).toMatch(/^[ab] /);
  });

  it('lets a pod reach itself through its service', async () => {
    const { spec } = await publish('self', {}, ['a']);
    await answers('hairpin', async () => (await call('a', spec.clusterIP ?? '')).startsWith('a '));
  });

  it('refuses at once what has no endpoint', async () => {
    const { spec } = await publish('nobody', {}, []);
    await answers('refusal', async () => (await call('c', spec.clusterIP ?? '')) === 'ECONNREFUSED');
  });

  it('keeps a client on one endpoint with session affinity', async () => {
    const { spec } = await publish('sticky', { sessionAffinity: 'ClientIP' }, ['a', 'b', 'c']);
    const host = spec.clusterIP ?? '';
    await answers('first answer', async () => /^[abc] /.test(await call('c', host)));
    const seen = new Set<string>();
    for (let i = 0; i < 30; i++) seen.add((await call('c', host)).split(' ')[0] ?? '');
    expect(seen.size).toBe(1);
  });

  it('serves node ports', async () => {
    const { spec } = await publish('exposed', { type: 'NodePort' }, ['b']);
    const nodePort = spec.ports?.[0]?.nodePort ?? 0;
    expect(nodePort).toBeGreaterThanOrEqual(30_000);
    await answers('node port', async () => (await call('c', '172.18.0.2', nodePort)).startsWith('b '));
  });

  it('leaves services with a proxy of their own to that one', async () => {
    const { spec } = await publish('handed-over', {}, ['a']);
    const host = spec.clusterIP ?? '';
    const label = async (value: string | null): Promise<void> => {
      const metadata = { labels: { 'service.kubernetes.io/service-proxy-name': value } };
      await plane.client.patch(
        { resource: services, name: 'handed-over', namespace: 'default' },
        { metadata },
      );
    };
    const rules = async (): Promise<string> =>
      (await run('iptables-save', [], { netns: fdOf('node') })).stdout;
    await answers('a', async () => (await call('c', host)).startsWith('a '));
    await label('other-proxy');
    await answers('no rules', async () => !(await rules()).includes('default/handed-over'));
    await label(null);
    await answers('a again', async () => (await call('c', host)).startsWith('a '));
  });

  it('follows endpoints and forgets deleted services', async () => {
    const { spec } = await publish('moving', {}, ['a']);
    const host = spec.clusterIP ?? '';
    await answers('a', async () => (await call('c', host)).startsWith('a '));
    await plane.client.patch(
      { resource: endpointSlices, name: 'moving-x', namespace: 'default' },
      { endpoints: [{ addresses: [podAddresses.b.v4], conditions: { ready: true } }] },
    );
    await answers('b', async () => (await call('c', host)).startsWith('b '));
    await plane.client.delete({ resource: services, name: 'moving', namespace: 'default' });
    await eventually(
      async () => {
        const saved = await run('iptables-save', [], { netns: fdOf('node') });
        return saved.stdout.includes('default/moving') ? undefined : true;
      },
      { what: 'rules gone' },
    );
  });

  it('repairs rules someone flushed, and takes all of its own away in the end', async () => {
    await run('iptables', ['-t', 'nat', '-A', 'PREROUTING', '-p', 'tcp', '--dport', '9', '-j', 'ACCEPT'], {
      netns: fdOf('node'),
    });
    await run('iptables', ['-t', 'nat', '-F', 'KUBE-SERVICES'], { netns: fdOf('node') });
    // Noticed at the next look, without any change.
    const show = (): Promise<{ stdout: string }> =>
      run('iptables', ['-t', 'nat', '-S', 'KUBE-SERVICES'], { netns: fdOf('node') });
    await answers('repaired rules', async () => (await show()).stdout.includes('KUBE-NODEPORTS'));
    const { spec } = await publish('late', {}, ['a']);
    await answers('late', async () => (await call('c', spec.clusterIP ?? '')).startsWith('a '));
    stop.abort();
    await routing.done;
    await routing.remove();
    const saved = await run('iptables-save', [], { netns: fdOf('node') });
    expect(saved.stdout).not.toContain('KUBE-');
    expect(saved.stdout).toContain('--dport 9');
  });
});
