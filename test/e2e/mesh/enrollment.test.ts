import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { pods } from '#base/kube/resource.js';
import type { Pod } from '#base/kube/types.js';
import {
  bank,
  curlFrom,
  deployBank,
  expectRefused,
  installMesh,
  loadgenerator,
  onePod,
  outsider,
  sleep,
} from '../../harness/bank.js';
import { captureBetweenNodes } from '../../harness/capture.js';
import { eventually, waitForPods } from '../../harness/cluster.js';
import { wireFacts } from '../../harness/pcap.js';
import { useSandbox } from '../../harness/sandbox.js';

const sandbox = useSandbox('enrollment', async (s) => {
  await Promise.all([installMesh(s), deployBank(s.client)]);
});

const frontendUrl = 'http://frontend.bank-of-ambient/';
const fixtures = 'test/e2e/fixtures';

/** Captures on node-1 while the bank's sleep calls the frontend of the other node by its address. */
async function captureCalls(): Promise<ReturnType<typeof wireFacts>> {
  const { client, name, meshctl } = sandbox();
  const far = await onePod(client, bank, 'app=frontend,at=far');
  const marker = `marker-${randomBytes(6).toString('hex')}`;
  const segments = await captureBetweenNodes({
    meshctl,
    sandbox: name,
    node: 'node-1',
    seconds: 3,
    during: async () => {
      for (let i = 0; i < 3; i++) {
        const answer = await curlFrom(
          client,
          sleep,
          '-H',
          `x-marker: ${marker}`,
          `http://${far.status?.podIP}:8080/`,
        );
        expect(answer).toMatchObject({ exitCode: 0, status: 200 });
      }
    },
  });
  return wireFacts(segments, marker);
}

async function identityOf(app: string): Promise<{ uids: string[]; restarts: number[] }> {
  const list = await sandbox().client.list<Pod>(pods, { namespace: bank, labelSelector: `app=${app}` });
  return {
    uids: list.map((p) => p.metadata.uid ?? '').sort(),
    restarts: list.map((p) => p.status?.containerStatuses?.[0]?.restartCount ?? -1),
  };
}

test('before enrollment the traffic between nodes is readable', async () => {
  const facts = await captureCalls();
  expect(facts.readableSegments).toBeGreaterThan(0);
  expect(facts.tlsSegments).toBe(0);
});

test('a namespace label captures running pods without a restart', async () => {
  const before = await identityOf('frontend');
  const label = await sandbox().kubectl([
    'label',
    'namespace',
    bank,
    'istio.io/dataplane-mode=ambient',
    '--overwrite',
  ]);
  expect(label.exitCode, label.stderr).toBe(0);
  await eventually(
    async () => {
      const list = await sandbox().client.list<Pod>(pods, { namespace: bank });
      const states = list.map((p) => p.metadata.annotations?.['ambient.istio.io/redirection']);
      expect(states).toEqual(list.map(() => 'enabled'));
    },
    { timeoutMs: 20_000 },
  );
  expect(await identityOf('frontend')).toEqual(before);
});

test('after enrollment nothing between the nodes is readable and all of it is TLS on 15008', async () => {
  const facts = await captureCalls();
  expect(facts.readableSegments).toBe(0);
  expect(facts.tlsSegments).toBeGreaterThan(0);
  expect(facts.otherSegments).toBe(0);
});

test('by Service and by pod IP, to the same node and across nodes, with the client address preserved', async () => {
  const { client } = sandbox();
  const from = (await onePod(client, bank, 'app=sleep')).status?.podIP ?? 'none';
  for (const at of ['near', 'far']) {
    const pod = await onePod(client, bank, `app=frontend,at=${at}`);
    const answer = await curlFrom(client, sleep, `http://${pod.status?.podIP}:8080/`);
    expect(answer).toMatchObject({ exitCode: 0, status: 200 });
    expect(answer.body).toContain(`frontend-${at}`);
    expect(answer.body).toContain(from);
  }
  const seen = new Set<string>();
  for (let i = 0; i < 30 && seen.size < 2; i++) {
    const answer = await curlFrom(client, sleep, frontendUrl);
    expect(answer).toMatchObject({ exitCode: 0, status: 200 });
    for (const at of ['near', 'far']) if (answer.body.includes(`frontend-${at}`)) seen.add(at);
  }
  expect([...seen].sort()).toEqual(['far', 'near']);
});

test('a pod outside the mesh reaches an enrolled pod while the mode is permissive, and not when it is strict', async () => {
  const { client, kubectl } = sandbox();
  expect(await curlFrom(client, outsider, frontendUrl)).toMatchObject({ exitCode: 0, status: 200 });
  const applied = await kubectl(['apply', '-f', `${fixtures}/seed-strict-mtls.yaml`]);
  expect(applied.exitCode, applied.stderr).toBe(0);
  await eventually(async () => expectRefused(await curlFrom(client, outsider, frontendUrl)), {
    timeoutMs: 10_000,
  });
  expect(await curlFrom(client, sleep, frontendUrl)).toMatchObject({ exitCode: 0, status: 200 });
  await kubectl(['delete', '-f', `${fixtures}/seed-strict-mtls.yaml`]);
  await eventually(
    async () =>
      expect(await curlFrom(client, outsider, frontendUrl)).toMatchObject({ exitCode: 0, status: 200 }),
    { timeoutMs: 10_000 },
  );
});

test("the seeds' L4 policy lets sleep in and keeps loadgenerator and outsiders out", async () => {
  const { client, kubectl } = sandbox();
  expect(await curlFrom(client, loadgenerator, frontendUrl)).toMatchObject({ exitCode: 0, status: 200 });
  const applied = await kubectl(['apply', '-f', `${fixtures}/seed-frontend-policy.yaml`]);
  expect(applied.exitCode, applied.stderr).toBe(0);
  await eventually(async () => expectRefused(await curlFrom(client, loadgenerator, frontendUrl)), {
    timeoutMs: 10_000,
  });
  expectRefused(await curlFrom(client, outsider, frontendUrl));
  expect(await curlFrom(client, sleep, frontendUrl)).toMatchObject({ exitCode: 0, status: 200 });
  const accepted = await kubectl([
    'get',
    'authorizationpolicy',
    'frontend-policy',
    '-n',
    bank,
    '-o',
    'jsonpath={.status.conditions[?(@.type=="ZtunnelAccepted")].status}',
  ]);
  expect(accepted.stdout).toBe('True');
  await kubectl(['delete', '-f', `${fixtures}/seed-frontend-policy.yaml`]);
  await eventually(
    async () =>
      expect(await curlFrom(client, loadgenerator, frontendUrl)).toMatchObject({ exitCode: 0, status: 200 }),
    { timeoutMs: 10_000 },
  );
});

test('a new pod is captured before its containers start', async () => {
  const { client, kubectl } = sandbox();
  // The very first thing the container does is a request; it must already go through the mesh.
  const created = await kubectl([
    'run',
    'early',
    '-n',
    bank,
    '--image=meshctl/tool:latest',
    '--restart=Never',
    '--overrides',
    JSON.stringify({ spec: { terminationGracePeriodSeconds: 1 } }),
    '--',
    'curl',
    '-sS',
    '-m',
    '5',
    frontendUrl,
  ]);
  expect(created.exitCode, created.stderr).toBe(0);
  const pod = await eventually(
    async () => {
      const early = await client.get<Pod>({ resource: pods, namespace: bank, name: 'early' });
      expect(early.status?.phase).toMatch(/Succeeded|Failed/);
      return early;
    },
    { timeoutMs: 30_000 },
  );
  expect(pod.status?.phase).toBe('Succeeded');
  expect(pod.metadata.annotations?.['ambient.istio.io/redirection']).toBe('enabled');
  const logs = await kubectl(['logs', '-n', 'istio-system', '-l', 'app=ztunnel', '--tail=-1']);
  expect(logs.stdout).toMatch(/src\.workload="early".*direction="outbound"/);
  await kubectl(['delete', 'pod', 'early', '-n', bank]);
});

test('enroll --wait proves pods that are still starting, and those in their init containers', async () => {
  const { client, kubectl, meshctl } = sandbox();
  await kubectl(['create', 'namespace', 'fresh']);
  const created = await kubectl(['apply', '-f', `${fixtures}/starting.yaml`]);
  expect(created.exitCode, created.stderr).toBe(0);
  const enrolled = await meshctl(['enroll', 'fresh', '--wait', '-o', 'json']);
  expect(enrolled.exitCode, enrolled.stderr).toBe(0);
  expect(observations(enrolled.stdout)).toEqual({
    'initializing captured': 1,
    'lost notStarted': 1,
    'node-bound free': 1,
    'opted-out free': 1,
    // Its image cannot be pulled, but its network namespace is there, and captured.
    'unpullable captured': 1,
    'web captured': 2,
  });
  expect(enrolled.stderr).toContain('Capture: 4 captured, 2 free, 1 not started');
  expect(enrolled.stderr).toMatch(
    /pod fresh\/lost\S* has not started \(not scheduled: .*it is captured when it starts/,
  );
  const initializing = await client.get<Pod>({ resource: pods, namespace: 'fresh', name: 'initializing' });
  expect(initializing.status?.phase).toBe('Pending');

  const shown = await meshctl(['enrollment', '-n', 'fresh']);
  expect(shown.exitCode, shown.stdout).toBe(0);
  expect(shown.stdout).toMatch(/initializing +mesh +captured/);
  expect(shown.stdout).toMatch(/lost +mesh +not started +not scheduled: /);
  expect(shown.stdout).toMatch(/node-bound +none +free +the pod uses the (host )?network/);
  expect(shown.stdout).toMatch(/opted-out +none +free +\S/);

  const verified = await meshctl(['verify-install', '-o', 'json']);
  expect(verified.stdout).toContain('Pod fresh/initializing');
  expect(verified.stdout).not.toContain('Pod fresh/lost');
});

test('unenroll --wait counts what its rows say, also of pods in their init containers', async () => {
  const { kubectl, meshctl } = sandbox();
  const released = await meshctl(['unenroll', 'fresh', '--wait', '-o', 'json']);
  expect(released.exitCode, released.stderr).toBe(0);
  expect(observations(released.stdout)).toEqual({
    'initializing free': 1,
    'lost notStarted': 1,
    'node-bound free': 1,
    'opted-out free': 1,
    'unpullable free': 1,
    'web free': 2,
  });
  expect(released.stderr).toContain('Release: 6 free, 1 not started');
  await kubectl(['delete', 'namespace', 'fresh', '--wait=false']);
});

/** `name observed` of the pods a command told of, without the suffixes of ReplicaSets, counted. */
function observations(json: string): Record<string, number> {
  const { pods: seen } = JSON.parse(json) as { pods: { name: string; observed: string }[] };
  const counts: Record<string, number> = {};
  for (const { name, observed } of seen) {
    const key = `${name.replace(/-[0-9a-z]{6,10}-[0-9a-z]{5}$/, '')} ${observed}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

test('unenrolling releases running pods, which go on talking', async () => {
  const { client } = sandbox();
  const before = await identityOf('frontend');
  const outcome = await sandbox().meshctl(['unenroll', bank]);
  expect(outcome.exitCode, outcome.stderr).toBe(0);
  await eventually(
    async () => {
      const list = await client.list<Pod>(pods, { namespace: bank });
      const states = list.map((p) => p.metadata.annotations?.['ambient.istio.io/redirection']);
      expect(states).toEqual(list.map(() => undefined));
    },
    { timeoutMs: 20_000 },
  );
  await waitForPods(client, { namespace: bank, labelSelector: 'app=frontend', count: 2 });
  // The proxies' pooled connections say goodbye on 15008 for a moment.
  await eventually(
    async () => {
      const facts = await captureCalls();
      expect(facts.readableSegments).toBeGreaterThan(0);
      expect(facts.tlsSegments).toBe(0);
    },
    { timeoutMs: 20_000 },
  );
  expect(await identityOf('frontend')).toEqual(before);
});
