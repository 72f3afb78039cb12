import { afterEach, expect, test } from 'vitest';
import { pods, services } from '#base/kube/resource.js';
import { execInPod } from '#base/kube/exec.js';
import type { Pod, Service } from '#base/kube/types.js';
import { curlFrom, enrollNamespace, expectUnanswered, installMesh, onePod } from '../../harness/bank.js';
import { applyFile, eventually, waitForPods } from '../../harness/cluster.js';
import { cutOff, podLoad } from '../../harness/load.js';
import { useSandbox } from '../../harness/sandbox.js';

const sandbox = useSandbox(
  'network',
  async (s) => {
    await applyFile(s.client, 'test/e2e/fixtures/network.yaml');
    await waitForPods(s.client, { namespace: 'shop', labelSelector: 'app', count: 3 });
    await waitForPods(s.client, { namespace: 'partners', labelSelector: 'app', count: 1 });
  },
  { flags: ['--ip-families', 'ipv4,ipv6'] },
);

const client = { namespace: 'shop', app: 'client' };
const neighbor = { namespace: 'shop', app: 'neighbor' };
const server = { namespace: 'shop', app: 'server' };
const visitor = { namespace: 'partners', app: 'visitor' };
const backend = 'http://backend.shop.svc.cluster.local/';
/** curl's exit codes: nothing answered in time; somebody refused. */
const timedOut = 28;

/** What a caller gets: `200`, or `none` when packets vanish. Repeated until it is the expected. */
async function expectCall(
  from: typeof client,
  url: string,
  expected: 'none' | '200',
  seconds = '1',
): Promise<void> {
  await eventually(
    async () => {
      const answer = await curlFrom(sandbox().client, from, '-m', seconds, url);
      const got = answer.exitCode === timedOut ? 'none' : String(answer.status);
      expect(`${from.app} -> ${url}: ${got} ${got === expected ? '' : answer.stderr}`.trim()).toBe(
        `${from.app} -> ${url}: ${expected}`,
      );
    },
    { timeoutMs: 15_000 },
  );
}

/** Addresses of the server: pod and service, both families. */
async function urls(): Promise<{ pod: string[]; service: string[] }> {
  const pod = await onePod(sandbox().client, 'shop', 'app=server');
  const service = await sandbox().client.get<Service>({
    resource: services,
    namespace: 'shop',
    name: 'backend',
  });
  const url = (ip: string, port: number): string => `http://${ip.includes(':') ? `[${ip}]` : ip}:${port}/`;
  return {
    pod: (pod.status?.podIPs ?? []).map(({ ip }) => url(ip, 8080)),
    service: (service.spec.clusterIPs ?? []).map((ip) => url(ip, 80)),
  };
}

async function apply(policy: string): Promise<void> {
  const { kubectl } = sandbox();
  const outcome = await kubectl(['apply', '-f', '-'], { input: policy });
  expect(outcome, outcome.stderr).toMatchObject({ exitCode: 0 });
}

function policy(name: string, spec: string, namespace = 'shop'): string {
  return [
    'apiVersion: networking.k8s.io/v1',
    'kind: NetworkPolicy',
    `metadata: { name: ${name}, namespace: ${namespace} }`,
    `spec: ${spec}`,
    '---',
    '',
  ].join('\n');
}

async function serverIsReady(): Promise<boolean> {
  const pod = await sandbox().client.get<Pod>({ resource: pods, namespace: 'shop', name: 'server' });
  return pod.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') === true;
}

afterEach(async () => {
  await sandbox().kubectl(['delete', 'networkpolicies', '--all', '-n', 'shop']);
});

test('without a policy everybody reaches everybody, over both families', async () => {
  const { pod, service } = await urls();
  expect([pod.length, service.length]).toEqual([2, 2]);
  for (const url of [...pod, ...service])
    for (const from of [client, neighbor, visitor]) await expectCall(from, url, '200');
});

test('a host port leads to the pod, and policies see the caller', async () => {
  const pod = await onePod(sandbox().client, 'shop', 'app=server');
  const hostUrls = (pod.status?.hostIPs ?? []).map(
    ({ ip }) => `http://${ip.includes(':') ? `[${ip}]` : ip}:8765/`,
  );
  expect(hostUrls).toHaveLength(2);
  for (const url of hostUrls) await expectCall(client, url, '200');
  await apply(
    policy(
      'clients',
      '{ podSelector: { matchLabels: { app: server } }, ingress: [{ from: [{ podSelector: { matchLabels: { app: client } } }] }] }',
    ),
  );
  for (const url of hostUrls) {
    await expectCall(visitor, url, 'none');
    await expectCall(client, url, '200');
  }
});

test('default deny, a named port for some pods, and the union of policies', async () => {
  await apply(policy('default-deny', '{ podSelector: {}, policyTypes: [Ingress] }'));
  const { pod, service } = await urls();
  for (const url of [...pod, ...service]) await expectCall(client, url, 'none');
  await expectCall(neighbor, backend, 'none');
  await apply(
    policy(
      'clients',
      '{ podSelector: { matchLabels: { app: server } }, ingress: [{ from: [{ podSelector: { matchLabels: { app: client } } }], ports: [{ port: http }] }] }',
    ),
  );
  for (const url of [...pod, ...service]) await expectCall(client, url, '200');
  await expectCall(neighbor, backend, 'none');
  await expectCall(visitor, backend, 'none');
  await apply(
    policy(
      'partners',
      '{ podSelector: { matchLabels: { app: server } }, ingress: [{ from: [{ namespaceSelector: { matchLabels: { trust: partner } }, podSelector: { matchLabels: { app: visitor } } }] }] }',
    ),
  );
  await expectCall(visitor, backend, '200');
  await expectCall(client, backend, '200');
  await expectCall(neighbor, backend, 'none');
  // A pod may reach itself through its service, and kubelet's probes come from the node.
  await expectCall(server, backend, '200');
  expect(await serverIsReady()).toBe(true);
});

test('networks with exceptions, and ranges of ports', async () => {
  const ips = (await onePod(sandbox().client, 'shop', 'app=client')).status?.podIPs ?? [];
  const except = ips.map(({ ip }) => (ip.includes(':') ? `${ip}/128` : `${ip}/32`));
  await apply(
    policy(
      'blocks',
      `{ podSelector: { matchLabels: { app: server } }, ingress: [{ from: [{ ipBlock: { cidr: 0.0.0.0/0, except: ["${except[0]}"] } }, { ipBlock: { cidr: "::/0", except: ["${except[1]}"] } }], ports: [{ port: 8000, endPort: 8090 }] }] }`,
    ),
  );
  const { pod } = await urls();
  for (const url of pod) {
    await expectCall(client, url, 'none');
    await expectCall(neighbor, url, '200');
  }
});

test('egress: names still resolve when DNS is allowed as on any cluster', async () => {
  await apply(
    policy(
      'egress',
      [
        '{ podSelector: { matchLabels: { app: client } }, policyTypes: [Egress], egress: [',
        '{ to: [{ namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: kube-system } }, podSelector: { matchLabels: { k8s-app: kube-dns } } }], ports: [{ port: 53, protocol: UDP }, { port: 53, protocol: TCP }] },',
        '{ to: [{ podSelector: { matchLabels: { app: server } } }], ports: [{ port: 8080 }] }] }',
      ].join(' '),
    ),
  );
  await expectCall(client, backend, '200');
  const neighborIp = (await onePod(sandbox().client, 'shop', 'app=neighbor')).status?.podIP ?? '';
  await expectCall(client, `http://${neighborIp}:8080/`, 'none');
  await expectCall(visitor, `http://${neighborIp}:8080/`, '200');
  // Its own answers are replies, not egress.
  const clientIp = (await onePod(sandbox().client, 'shop', 'app=client')).status?.podIP ?? '';
  await expectCall(visitor, `http://${clientIp}:8080/`, '200');
  await apply(policy('egress', '{ podSelector: { matchLabels: { app: client } }, policyTypes: [Egress] }'));
  await eventually(
    async () => {
      const { exitCode, stderr } = await execInPod(sandbox().client, {
        namespace: 'shop',
        pod: 'client',
        container: 'tool',
        command: ['tool', 'dns', 'backend.shop.svc.cluster.local', '--timeout', '1'],
      });
      expect([exitCode, stderr]).toEqual([expect.any(Number), expect.stringContaining('ETIMEOUT')]);
    },
    { timeoutMs: 15_000 },
  );
});

test('a connection that a new policy forbids goes no further', async () => {
  const { pod } = await urls();
  const [url = ''] = pod;
  const load = await podLoad(sandbox(), {
    from: client,
    url,
    rate: 20,
    connections: 1,
    flags: ['--timeout', '1'],
  });
  await cutOff(load, () => apply(policy('default-deny', '{ podSelector: {}, policyTypes: [Ingress] }')));
});

test('a pod that a policy selects is protected before its first process runs', async () => {
  const { kubectl, client: api } = sandbox();
  await apply(policy('default-deny', '{ podSelector: {}, policyTypes: [Ingress, Egress] }'));
  const { pod: serverUrls } = await urls();
  await expectCall(client, serverUrls[0] ?? '', 'none');
  const script = `curl -sS -m 1 -o /dev/null -w '%{http_code}' ${serverUrls[0]} || true`;
  const made = await kubectl([
    'run',
    'early',
    '-n',
    'shop',
    '--image=meshctl/tool:latest',
    '--restart=Never',
    '--command',
    '--',
    'sh',
    '-c',
    script,
  ]);
  expect(made, made.stderr).toMatchObject({ exitCode: 0 });
  await eventually(
    async () => {
      const early = await api.get<Pod>({ resource: pods, namespace: 'shop', name: 'early' });
      expect(early.status?.phase).toBe('Succeeded');
    },
    { timeoutMs: 20_000 },
  );
  expect((await kubectl(['logs', 'early', '-n', 'shop'])).stdout).toContain('000');
  await kubectl(['delete', 'pod', 'early', '-n', 'shop', '--now']);
});

test('enrolled pods need port 15008: a policy for the application port alone cuts them off', async () => {
  await installMesh(sandbox());
  await enrollNamespace(sandbox(), 'shop');
  const { pod, service } = await urls();
  for (const url of [...pod, ...service]) await expectCall(client, url, '200', '5');
  const only = (ports: string): string =>
    policy('app-port', `{ podSelector: { matchLabels: { app: server } }, ingress: [{ ports: [${ports}] }] }`);
  await apply(only('{ port: 8080 }'));
  // Between enrolled pods the packets on the wire go to 15008, which the policy does not name.
  for (const url of pod)
    await eventually(async () => expectUnanswered(await curlFrom(sandbox().client, client, '-m', '3', url)), {
      timeoutMs: 20_000,
    });
  // A caller outside of the mesh sends plaintext to the application's port.
  await expectCall(visitor, pod[0] ?? '', '200');
  // Health probes reach the enrolled pod: they come from its node.
  expect(await serverIsReady()).toBe(true);
  await apply(only('{ port: 8080 }, { port: 15008 }'));
  for (const url of [...pod, ...service]) await expectCall(client, url, '200', '5');
  expect(await serverIsReady()).toBe(true);
  // The proxy keeps the caller's address, so that policies by pod still hold.
  await apply(
    policy(
      'app-port',
      '{ podSelector: { matchLabels: { app: server } }, ingress: [{ from: [{ podSelector: { matchLabels: { app: neighbor } } }], ports: [{ port: 15008 }] }] }',
    ),
  );
  for (const url of pod) {
    await expectCall(neighbor, url, '200', '5');
    await eventually(async () => expectUnanswered(await curlFrom(sandbox().client, client, '-m', '3', url)), {
      timeoutMs: 20_000,
    });
  }
});
