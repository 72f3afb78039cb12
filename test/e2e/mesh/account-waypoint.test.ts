import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { serviceAccounts } from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import {
  bank,
  curlFrom,
  deployBank,
  enrollNamespace,
  installMesh,
  onePod,
  sleep,
} from '../../harness/bank.js';
import { eventually } from '../../harness/cluster.js';
import { useSandbox } from '../../harness/sandbox.js';

const sandbox = useSandbox('account-waypoint', async (s) => {
  await Promise.all([installMesh(s), deployBank(s.client)]);
  await enrollNamespace(s, bank);
});

/** Whether a request to the address of a frontend pod, which runs as account default, passes through a waypoint. */
async function passesThrough(waypoint: string): Promise<boolean> {
  const { client, kubectl } = sandbox();
  const frontend = await onePod(client, bank, 'app=frontend,at=far');
  const mark = `/mark-${randomUUID()}`;
  const answer = await curlFrom(client, sleep, `http://${frontend.status?.podIP}:8080${mark}`);
  expect(answer).toMatchObject({ exitCode: 0 });
  const selector = `gateway.networking.k8s.io/gateway-name=${waypoint}`;
  const log = await kubectl(['logs', '-n', bank, '-l', selector, '--tail=-1']);
  expect(log.exitCode, log.stderr).toBe(0);
  return log.stdout.includes(mark);
}

test('waypoint apply --service-account: calls to the pods of the account pass through it', async () => {
  const { meshctl } = sandbox();
  const applied = await meshctl(['waypoint', 'apply', '-n', bank, '--service-account', 'default', '--wait']);
  expect(applied.exitCode, applied.stderr).toBe(0);
  expect(applied.stderr).toContain(
    `ServiceAccount ${bank}/default labeled with "istio.io/use-waypoint: default-waypoint"`,
  );
  await eventually(async () => expect(await passesThrough('default-waypoint')).toBe(true), {
    timeoutMs: 15_000,
  });

  const list = await meshctl(['waypoint', 'list', '-n', bank, '-o', 'json']);
  expect(JSON.parse(list.stdout)).toMatchObject({
    items: [{ name: 'default-waypoint', trafficType: 'workload', users: [`ServiceAccount ${bank}/default`] }],
  });
  const described = await meshctl(['describe', 'pod', '-n', bank, '-l', 'app=frontend,at=far', '-o', 'json']);
  expect(JSON.parse(described.stdout)).toMatchObject({
    items: [{ waypoint: { namespace: bank, name: 'default-waypoint', isUsed: true, isReady: true } }],
  });
});

test('the label of a pod goes before that of its account', async () => {
  const { client, kubectl } = sandbox();
  const frontend = await onePod(client, bank, 'app=frontend,at=far');
  const label = async (value: string) => {
    const done = await kubectl([
      'label',
      'pod',
      frontend.metadata.name,
      '-n',
      bank,
      `istio.io/use-waypoint${value}`,
    ]);
    expect(done.exitCode, done.stderr).toBe(0);
  };
  await label('=none');
  await eventually(async () => expect(await passesThrough('default-waypoint')).toBe(false), {
    timeoutMs: 15_000,
  });
  await label('-');
  await eventually(async () => expect(await passesThrough('default-waypoint')).toBe(true), {
    timeoutMs: 15_000,
  });
});

test('delete refuses while the account uses it, and detaches it when told to', async () => {
  const { client, meshctl } = sandbox();
  const refused = await meshctl(['waypoint', 'delete', 'default-waypoint', '-n', bank]);
  expect(refused.exitCode).toBe(1);
  expect(refused.stderr).toContain(`ServiceAccount ${bank}/default`);
  const deleted = await meshctl(['waypoint', 'delete', 'default-waypoint', '-n', bank, '--detach']);
  expect(deleted.exitCode, deleted.stderr).toBe(0);
  await eventually(
    async () =>
      expect(await curlFrom(sandbox().client, sleep, 'http://frontend/')).toMatchObject({ status: 200 }),
    { timeoutMs: 15_000 },
  );
  const account = await client.get<KubeObject>({
    resource: serviceAccounts,
    namespace: bank,
    name: 'default',
  });
  expect(account.metadata.labels ?? {}).toEqual({});
  expect(account.metadata.ownerReferences).toBeUndefined();
});

test('a waypoint is not given the name of its account, whose identity it would have', async () => {
  const { meshctl } = sandbox();
  const args = ['waypoint', 'apply', 'default', '-n', bank, '--service-account', 'default'];
  const outcome = await meshctl(args);
  expect(outcome.exitCode).toBe(2);
  expect(outcome.stderr).toContain('default-waypoint');
});

test('an account that does not exist is named, and nothing is applied', async () => {
  const { meshctl } = sandbox();
  const outcome = await meshctl(['waypoint', 'apply', '-n', bank, '--service-account', 'nobody']);
  expect(outcome.exitCode).toBe(1);
  expect(outcome.stderr).toContain('MESH0970');
  const list = await meshctl(['waypoint', 'list', '-n', bank, '-o', 'json']);
  expect(JSON.parse(list.stdout)).toMatchObject({ items: [] });
});
