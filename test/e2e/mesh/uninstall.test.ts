import { expect, test } from 'vitest';
import {
  clusterRoles,
  configMaps,
  customResourceDefinitions,
  namespaces,
  pods,
} from '#base/kube/resource.js';
import type { ConfigMap, Pod } from '#base/kube/types.js';
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
import { eventually, readyPods } from '../../harness/cluster.js';
import { command } from '../../harness/meshctl.js';
import { meshctlCommand } from '../../harness/test-user.js';
import { useSandbox } from '../../harness/sandbox.js';

const sandbox = useSandbox('uninstall', async (s) => {
  await Promise.all([installMesh(s), deployBank(s.client)]);
  await enrollNamespace(s, bank);
});

const frontendUrl = 'http://frontend.bank-of-ambient/';

async function onNode(node: string, ...command: string[]): Promise<string> {
  const { name, env, meshctl } = sandbox();
  const outcome = await meshctl(['sandbox', 'exec', '--name', name, node, '--', ...command], { env });
  expect(outcome.exitCode, outcome.stderr).toBe(0);
  return outcome.stdout;
}

/** Everything of the mesh that can be found on a node and in the network namespaces of its pods. */
async function traces(node: string): Promise<string[]> {
  const look = [
    'iptables-save; ip6tables-save; ipset list -n 2>/dev/null',
    'for n in /var/run/netns/*; do nsenter --net=$n iptables-save; nsenter --net=$n ip6tables-save; nsenter --net=$n ip rule; nsenter --net=$n ss -Hltn 2>/dev/null; done',
    'cat /etc/cni/net.d/*; ls /opt/cni/bin /etc/cni/net.d /var/run/ztunnel /var/run/istio-cni 2>/dev/null',
  ].join('; ');
  const text = await onNode(node, 'sh', '-c', look);
  return text
    .split('\n')
    .filter(
      (line) =>
        /istio|ztunnel|0x539|0x111|1500[168]\b/i.test(line) &&
        !/^\/var\/run\/(ztunnel|istio-cni):$/.test(line),
    );
}

test('the mesh leaves traces on the nodes while it is installed', async () => {
  for (const node of ['node-1', 'node-2']) expect((await traces(node)).length).toBeGreaterThan(5);
});

test('uninstall asks first, and without a terminal wants --yes', async () => {
  const { meshctl, client } = sandbox();
  const outcome = await meshctl(['uninstall']);
  expect(outcome.exitCode).toBe(2);
  expect(outcome.stderr).toContain('--yes');
  expect((await readyPods(client, 'istio-system', 'app=ztunnel')).length).toBe(2);
});

test.each([
  ['n', 'n\n'],
  ['nothing', '\n'],
  ['the end of the input', ''],
])('on a terminal it asks, and %s is no', async (_, input) => {
  const { client, env } = sandbox();
  const words = [...meshctlCommand(), 'uninstall'].map((word) => `'${word}'`).join(' ');
  const asked = await command('script', ['-qec', words, '/dev/null'], { env, input });
  expect(asked.stdout).toContain('(y/N)');
  expect(asked.stdout).toContain('Not uninstalled: nothing was changed.');
  expect(asked.stdout).not.toMatch(/error|MESH\d{4}/);
  expect(asked.exitCode).toBe(1);
  expect((await readyPods(client, 'istio-system', 'app=ztunnel')).length).toBe(2);
});

test('uninstall takes back what the mesh said of policies; the mesh can be put back', async () => {
  const { client, kubectl, meshctl } = sandbox();
  await kubectl(['apply', '-f', 'test/e2e/fixtures/seed-frontend-policy.yaml']);
  const conditions = async () =>
    (
      await kubectl([
        'get',
        'authorizationpolicy',
        'frontend-policy',
        '-n',
        bank,
        '-o',
        'jsonpath={.status.conditions}',
      ])
    ).stdout;
  await eventually(async () => expect(await conditions()).toContain('ZtunnelAccepted'), {
    timeoutMs: 10_000,
  });
  const outcome = await meshctl(['uninstall', '--yes']);
  expect(outcome.exitCode, `${outcome.stdout}${outcome.stderr}`).toBe(0);
  expect(await conditions()).toBe('');
  expect(await curlFrom(client, loadgenerator, frontendUrl)).toMatchObject({ exitCode: 0, status: 200 });
  await installMesh(sandbox());
  await enrollNamespace(sandbox(), bank);
  await eventually(async () => expectRefused(await curlFrom(client, loadgenerator, frontendUrl)), {
    timeoutMs: 15_000,
  });
  await kubectl(['delete', '-f', 'test/e2e/fixtures/seed-frontend-policy.yaml']);
});

test('uninstall --purge: pods keep running and talking, and nothing of the mesh is left', async () => {
  const { client, kubectl, meshctl } = sandbox();
  const waypoint = await meshctl(['waypoint', 'apply', '-n', bank, '--enroll-namespace', '--wait']);
  expect(waypoint.exitCode, waypoint.stderr).toBe(0);
  const uidsOf = async () =>
    (
      await client.list<Pod>(pods, {
        namespace: bank,
        labelSelector: 'app in (sleep,frontend,loadgenerator)',
      })
    )
      .map((p) => `${p.metadata.uid} ${p.status?.containerStatuses?.[0]?.restartCount}`)
      .sort();
  const before = await uidsOf();

  const outcome = await meshctl(['uninstall', '--purge', '--yes']);
  expect(outcome.exitCode, `${outcome.stdout}${outcome.stderr}`).toBe(0);

  expect(await curlFrom(client, sleep, frontendUrl)).toMatchObject({ exitCode: 0, status: 200 });
  const far = await onePod(client, bank, 'app=frontend,at=far');
  expect(await curlFrom(client, sleep, `http://${far.status?.podIP}:8080/`)).toMatchObject({
    exitCode: 0,
    status: 200,
  });
  expect(await uidsOf()).toEqual(before);
  for (const node of ['node-1', 'node-2']) expect(await traces(node)).toEqual([]);

  await eventually(
    async () => {
      expect(await client.getOrUndefined({ resource: namespaces, name: 'istio-system' })).toBeUndefined();
    },
    { timeoutMs: 30_000 },
  );
  const isOurs = (name: string) => name.includes('istio');
  const names = async (resource: typeof clusterRoles) =>
    (await client.list(resource)).map((o) => o.metadata.name).filter(isOurs);
  expect(await names(clusterRoles)).toEqual([]);
  expect(await names(customResourceDefinitions)).toEqual([]);
  const all = await client.list<ConfigMap>(configMaps);
  expect(
    all.map((c) => `${c.metadata.namespace}/${c.metadata.name}`).filter((n) => n.includes('istio')),
  ).toEqual([]);
  const bankPods = await client.list<Pod>(pods, { namespace: bank });
  expect(bankPods.map((p) => p.metadata.annotations?.['ambient.istio.io/redirection'])).toEqual(
    bankPods.map(() => undefined),
  );
  const leftovers = await kubectl(['get', 'deploy,svc,sa', '-n', bank, '-o', 'name']);
  expect(leftovers.stdout).not.toContain('waypoint');
});

test('a new pod starts without the mesh, and the mesh can be installed again', async () => {
  const { client, kubectl, meshctl } = sandbox();
  await kubectl(['rollout', 'restart', 'deployment/sleep', '-n', bank]);
  const rolled = await kubectl(['rollout', 'status', 'deployment/sleep', '-n', bank, '--timeout=60s']);
  expect(rolled.exitCode, rolled.stderr).toBe(0);
  expect(await curlFrom(client, sleep, frontendUrl)).toMatchObject({ exitCode: 0, status: 200 });
  const again = await meshctl(['install', '--profile', 'ambient']);
  expect(again.exitCode, again.stderr).toBe(0);
});
