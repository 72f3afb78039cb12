import { expect, test } from 'vitest';
import { namespaces } from '#base/kube/resource.js';
import type { Namespace } from '#base/kube/types.js';
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
import { eventually } from '../../harness/cluster.js';
import { useSandbox } from '../../harness/sandbox.js';

const sandbox = useSandbox('waypoint', async (s) => {
  await Promise.all([installMesh(s), deployBank(s.client)]);
  await enrollNamespace(s, bank);
});

const frontendUrl = 'http://frontend.bank-of-ambient/';
const fixtures = 'test/e2e/fixtures';

test('waypoint apply --enroll-namespace --wait makes a ready waypoint and says what it did', async () => {
  const { meshctl, client } = sandbox();
  const outcome = await meshctl(['waypoint', 'apply', '-n', bank, '--enroll-namespace', '--wait']);
  expect(outcome.exitCode, outcome.stderr).toBe(0);
  const text = `${outcome.stdout}${outcome.stderr}`;
  expect(text).toContain(`waypoint ${bank}/waypoint applied`);
  expect(text).toContain(`namespace ${bank} labeled with "istio.io/use-waypoint: waypoint"`);
  const namespace = await client.get<Namespace>({ resource: namespaces, name: bank });
  expect(namespace.metadata.labels?.['istio.io/use-waypoint']).toBe('waypoint');
  const programmed = await sandbox().kubectl([
    'get',
    'gtw',
    'waypoint',
    '-n',
    bank,
    '-o',
    'jsonpath={.status.conditions[?(@.type=="Programmed")].status}',
  ]);
  expect(programmed.stdout).toBe('True');
});

test('apply again changes nothing and succeeds', async () => {
  const outcome = await sandbox().meshctl(['waypoint', 'apply', '-n', bank, '--enroll-namespace', '--wait']);
  expect(outcome.exitCode, outcome.stderr).toBe(0);
});

test('HTTP to a service of the namespace passes through the waypoint', async () => {
  const { client, kubectl } = sandbox();
  const answer = await eventually(
    async () => {
      const got = await curlFrom(client, sleep, frontendUrl);
      expect(got).toMatchObject({ exitCode: 0, status: 200 });
      const log = await kubectl([
        'logs',
        '-n',
        bank,
        '-l',
        'gateway.networking.k8s.io/gateway-name=waypoint',
        '--tail=-1',
      ]);
      expect(log.stdout).toMatch(/GET/);
      return got;
    },
    { timeoutMs: 15_000 },
  );
  expect(answer.body).toContain('frontend-');
});

test("the seeds' L7 policy: GET passes, DELETE is refused with the words of the seeds", async () => {
  const { client, kubectl } = sandbox();
  const applied = await kubectl(['apply', '-f', `${fixtures}/seed-frontend-viewer.yaml`]);
  expect(applied.exitCode, applied.stderr).toBe(0);
  await eventually(
    async () =>
      expect(await curlFrom(client, sleep, '-X', 'DELETE', frontendUrl)).toMatchObject({ status: 403 }),
    { timeoutMs: 15_000 },
  );
  const denied = await curlFrom(client, sleep, '-X', 'DELETE', frontendUrl);
  expect(denied).toMatchObject({ exitCode: 0, status: 403, body: 'RBAC: access denied' });
  expect(await curlFrom(client, sleep, frontendUrl)).toMatchObject({ exitCode: 0, status: 200 });
  expect(await curlFrom(client, loadgenerator, frontendUrl)).toMatchObject({ status: 403 });
  // As the seeds call it: from inside the namespace, by the short name.
  const pod = await onePod(client, bank, 'app=sleep');
  const asSeeds = await kubectl([
    'exec',
    pod.metadata.name,
    '-n',
    bank,
    '--',
    'curl',
    '-s',
    'frontend',
    '-X',
    'DELETE',
  ]);
  expect(asSeeds.stdout.trim()).toBe('RBAC: access denied');
});

test('waypoint list and status show it with its user and its pod', async () => {
  const { meshctl } = sandbox();
  const list = await meshctl(['waypoint', 'list', '-n', bank, '-o', 'json']);
  expect(list.exitCode, list.stderr).toBe(0);
  expect(JSON.parse(list.stdout)).toMatchObject({
    apiVersion: 'meshctl.dev/v1',
    items: [
      {
        namespace: bank,
        name: 'waypoint',
        isReady: true,
        trafficType: 'service',
        pods: { ready: 1, total: 1 },
        users: [`Namespace ${bank}`],
      },
    ],
  });
  const status = await meshctl(['waypoint', 'status', 'waypoint', '-n', bank]);
  expect(status.exitCode, status.stderr).toBe(0);
  expect(status.stdout).toContain('ready');
});

test('without a ready waypoint the traffic is refused, not let through', async () => {
  const { client, kubectl, meshctl } = sandbox();
  const scaled = await kubectl(['scale', 'deployment', 'waypoint', '-n', bank, '--replicas=0']);
  expect(scaled.exitCode, scaled.stderr).toBe(0);
  await eventually(async () => expectRefused(await curlFrom(client, sleep, frontendUrl)), {
    timeoutMs: 20_000,
  });
  expect((await meshctl(['waypoint', 'status', 'waypoint', '-n', bank])).exitCode).toBe(1);
  await kubectl(['scale', 'deployment', 'waypoint', '-n', bank, '--replicas=1']);
  await eventually(
    async () =>
      expect(await curlFrom(client, sleep, frontendUrl)).toMatchObject({ exitCode: 0, status: 200 }),
    { timeoutMs: 30_000 },
  );
});

test("the seeds' Gateway manifest is deployed as a waypoint too", async () => {
  const { client, kubectl } = sandbox();
  const applied = await kubectl(['apply', '-n', bank, '-f', `${fixtures}/seed-waypoint.yaml`]);
  expect(applied.exitCode, applied.stderr).toBe(0);
  await eventually(
    async () => {
      const { stdout } = await kubectl([
        'get',
        'gtw',
        'namespace',
        '-n',
        bank,
        '-o',
        'jsonpath={.status.conditions[?(@.type=="Programmed")].status}',
      ]);
      expect(stdout).toBe('True');
    },
    { timeoutMs: 40_000 },
  );
  await kubectl(['label', 'namespace', bank, 'istio.io/use-waypoint=namespace', '--overwrite']);
  await eventually(
    async () => {
      expect(await curlFrom(client, sleep, frontendUrl)).toMatchObject({ exitCode: 0, status: 200 });
      const log = await kubectl([
        'logs',
        '-n',
        bank,
        '-l',
        'gateway.networking.k8s.io/gateway-name=namespace',
        '--tail=-1',
      ]);
      expect(log.stdout).toMatch(/GET/);
    },
    { timeoutMs: 20_000 },
  );
  expect(await curlFrom(client, sleep, '-X', 'DELETE', frontendUrl)).toMatchObject({
    status: 403,
    body: 'RBAC: access denied',
  });
});

test('waypoint delete refuses while it is used, and detaches when asked to', async () => {
  const { client, meshctl } = sandbox();
  const refused = await meshctl(['waypoint', 'delete', 'namespace', '-n', bank, '--yes']);
  expect(refused.exitCode).toBe(1);
  expect(refused.stderr).toMatch(/MESH\d{4}/);
  const deleted = await meshctl(['waypoint', 'delete', 'namespace', '-n', bank, '--detach', '--yes']);
  expect(deleted.exitCode, deleted.stderr).toBe(0);
  const namespace = await client.get<Namespace>({ resource: namespaces, name: bank });
  expect(namespace.metadata.labels?.['istio.io/use-waypoint']).toBeUndefined();
  await eventually(
    async () =>
      expect(await curlFrom(client, sleep, frontendUrl)).toMatchObject({ exitCode: 0, status: 200 }),
    { timeoutMs: 15_000 },
  );
});
