import { expect, test } from 'vitest';
import { pods } from '#base/kube/resource.js';
import type { Pod } from '#base/kube/types.js';
import {
  bank,
  curlFrom,
  deployBank,
  enrollNamespace,
  expectRefused,
  installMesh,
  loadgenerator,
  onePod,
  sleep,
} from '../../harness/bank.js';
import { captureBetweenNodes } from '../../harness/capture.js';
import { eventually } from '../../harness/cluster.js';
import { hitless, outage, podLoad, type RunningLoad } from '../../harness/load.js';
import { wireFacts } from '../../harness/pcap.js';
import { useSandbox } from '../../harness/sandbox.js';

const sandbox = useSandbox('faults', async (s) => {
  await Promise.all([installMesh(s), deployBank(s.client)]);
  await enrollNamespace(s, bank);
});

const frontendUrl = 'http://frontend.bank-of-ambient/';

interface Restarts {
  readonly [pod: string]: number;
}

async function restartsOf(labelSelector: string): Promise<Restarts> {
  const list = await sandbox().client.list<Pod>(pods, { namespace: 'istio-system', labelSelector });
  return Object.fromEntries(
    list.map((p) => [p.metadata.name, p.status?.containerStatuses?.[0]?.restartCount ?? 0]),
  );
}

/** Kills the process of a component on every node, from outside of its container, as the kernel would. */
async function kill(program: string): Promise<void> {
  const { name, meshctl } = sandbox();
  // The brackets keep the pattern from finding the shell that looks for it.
  const pattern = `/opt/meshctl/bin/[${program.slice(0, 1)}]${program.slice(1)}[.]js`;
  const script = `for p in /proc/[0-9]*; do
    tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep -q '${pattern}' && kill -9 "\${p#/proc/}" && echo killed
  done`;
  const outcomes = await Promise.all(
    ['node-1', 'node-2'].map((node) =>
      meshctl(['sandbox', 'exec', '--name', name, node, '--', 'sh', '-c', script]),
    ),
  );
  expect(outcomes.map((o) => o.stdout).join('')).toContain('killed');
}

/** Twenty requests a second, each on a new connection, from sleep to the frontend. */
function newConnections(): Promise<RunningLoad> {
  return podLoad(sandbox(), { from: sleep, url: frontendUrl, rate: 20, connections: 'new' });
}

async function expectRestarted(labelSelector: string, before: Restarts): Promise<void> {
  await eventually(
    async () => {
      const now = await restartsOf(labelSelector);
      for (const [pod, count] of Object.entries(before)) expect(now[pod]).toBeGreaterThan(count);
    },
    { timeoutMs: 20_000 },
  );
}

test('a killed controller comes back by itself; traffic goes on meanwhile', async () => {
  const { client, kubectl } = sandbox();
  const before = await restartsOf('app=istiod');
  await hitless(await newConnections(), async () => {
    await kill('meshd');
    await expectRestarted('app=istiod', before);
  });
  const rolled = await kubectl([
    'rollout',
    'status',
    'deployment/istiod',
    '-n',
    'istio-system',
    '--timeout=30s',
  ]);
  expect(rolled.exitCode, rolled.stderr).toBe(0);
  // The control plane works again: a policy that is applied now takes effect.
  const applied = await kubectl(['apply', '-f', 'test/e2e/fixtures/seed-frontend-policy.yaml']);
  expect(applied.exitCode, applied.stderr).toBe(0);
  await eventually(async () => expectRefused(await curlFrom(client, loadgenerator, frontendUrl)), {
    timeoutMs: 30_000,
  });
  await kubectl(['delete', '-f', 'test/e2e/fixtures/seed-frontend-policy.yaml']);
});

test('a killed ztunnel comes back by itself and new connections work again', async () => {
  const before = await restartsOf('app=ztunnel');
  const { summary, outageMs } = await outage(
    await newConnections(),
    async () => {
      await kill('ztunnel');
      await expectRestarted('app=ztunnel', before);
    },
    { answers: 60 },
  );
  // Connections of a process that was killed cannot be kept; what is lost is bounded by its restart.
  expect(summary.failed, 'requests while nobody proxied').toBeGreaterThan(0);
  expect(outageMs).toBeLessThan(20_000);
  process.stderr.write(`killed ztunnel: ${JSON.stringify({ ...summary, outageMs: Math.round(outageMs) })}\n`);
});

test('a killed CNI agent comes back by itself; a pod created then is captured', async () => {
  const { client, kubectl } = sandbox();
  const before = await restartsOf('k8s-app=istio-cni-node');
  await hitless(await newConnections(), async () => {
    await kill('mesh-cni');
    await expectRestarted('k8s-app=istio-cni-node', before);
  });
  const restarted = await kubectl(['rollout', 'restart', 'deployment/loadgenerator', '-n', bank]);
  expect(restarted.exitCode, restarted.stderr).toBe(0);
  const rolled = await kubectl([
    'rollout',
    'status',
    'deployment/loadgenerator',
    '-n',
    bank,
    '--timeout=60s',
  ]);
  expect(rolled.exitCode, rolled.stderr).toBe(0);
  const pod = await onePod(client, bank, 'app=loadgenerator');
  expect(pod.metadata.annotations?.['ambient.istio.io/redirection']).toBe('enabled');
  await eventually(
    async () =>
      expect(await curlFrom(client, { namespace: bank, app: 'loadgenerator' }, frontendUrl)).toMatchObject({
        status: 200,
      }),
    { timeoutMs: 20_000 },
  );
});

test('while ztunnel is away traffic of enrolled pods fails and nothing leaks in plaintext', async () => {
  const { client, kubectl, name, meshctl } = sandbox();
  const far = await onePod(client, bank, 'app=frontend,at=far');
  const patch = (selector: Record<string, string> | null) =>
    kubectl([
      'patch',
      'daemonset',
      'ztunnel',
      '-n',
      'istio-system',
      '--type=merge',
      '-p',
      JSON.stringify({ spec: { template: { spec: { nodeSelector: selector } } } }),
    ]);
  expect((await patch({ 'test/nowhere': 'true' })).exitCode).toBe(0);
  await eventually(
    async () => {
      const left = await client.list<Pod>(pods, { namespace: 'istio-system', labelSelector: 'app=ztunnel' });
      expect(left).toEqual([]);
    },
    { timeoutMs: 60_000 },
  );
  const marker = 'must-not-be-seen';
  const segments = await captureBetweenNodes({
    meshctl,
    sandbox: name,
    node: 'node-1',
    seconds: 4,
    during: async () => {
      for (const url of [frontendUrl, `http://${far.status?.podIP}:8080/`]) {
        expectRefused(await curlFrom(client, sleep, '-H', `x-marker: ${marker}`, url));
      }
    },
  });
  expect(wireFacts(segments, marker)).toMatchObject({ dataSegments: 0, readableSegments: 0 });
  expect(
    (await patch({ 'kubernetes.io/os': 'linux', 'test/nowhere': null as unknown as string })).exitCode,
  ).toBe(0);
  await eventually(
    async () =>
      expect(await curlFrom(client, sleep, frontendUrl)).toMatchObject({ exitCode: 0, status: 200 }),
    { timeoutMs: 60_000 },
  );
});

test('a node that loses power comes back with its pods captured, which wait for the mesh until they are', async () => {
  const { client, meshctl, name } = sandbox();
  const before = await onePod(client, bank, 'app=frontend,at=far');
  for (const verb of ['stop', 'start']) {
    const outcome = await meshctl(['sandbox', 'node', verb, 'node-2', '--name', name]);
    expect(outcome.exitCode, outcome.stderr).toBe(0);
  }
  await eventually(
    async () => {
      const far = await onePod(client, bank, 'app=frontend,at=far');
      expect(far.metadata.uid).toBe(before.metadata.uid);
      expect(far.status?.containerStatuses?.[0]?.restartCount).toBe(1);
      const answer = await curlFrom(client, sleep, `http://${far.status?.podIP}:8080/`);
      expect(answer).toMatchObject({ exitCode: 0, status: 200 });
      const verify = await meshctl(['verify-install']);
      expect(verify.exitCode, verify.stdout).toBe(0);
    },
    { timeoutMs: 90_000 },
  );
});
