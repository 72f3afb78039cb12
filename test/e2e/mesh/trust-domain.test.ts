import { expect, test } from 'vitest';
import { configMaps } from '#base/kube/resource.js';
import type { ConfigMap } from '#base/kube/types.js';
import { bank, curlFrom, deployBank, enrollNamespace, loadgenerator, sleep } from '../../harness/bank.js';
import { eventually } from '../../harness/cluster.js';
import { hitless, podLoad } from '../../harness/load.js';
import { useSandbox } from '../../harness/sandbox.js';

const first = ['install', '--set', 'meshConfig.trustDomain=td.example'];
const second = ['install', '--set', 'meshConfig.trustDomain=td2.example'];
const alias = ['--set', 'meshConfig.trustDomainAliases={td.example}'];

const sandbox = useSandbox('trust-domain', async (s) => {
  const [installed] = await Promise.all([s.meshctl(first), deployBank(s.client)]);
  if (installed.exitCode !== 0) throw new Error(installed.stderr);
  await enrollNamespace(s, bank);
  const waypoint = await s.meshctl(['waypoint', 'apply', '-n', bank, '--enroll-namespace', '--wait']);
  if (waypoint.exitCode !== 0) throw new Error(waypoint.stderr);
});

const frontendUrl = 'http://frontend.bank-of-ambient/';

/** Requests, each on a new connection, from sleep to the frontend while the task runs: none of them fails. */
async function hitlessly<T>(task: () => Promise<T>): Promise<T> {
  const load = await podLoad(sandbox(), { from: sleep, url: frontendUrl, rate: 20, connections: 'new' });
  let result: T | undefined;
  await hitless(load, async () => {
    result = await task();
  });
  return result as T;
}

/** Trust domains of the certificates that node proxies and the waypoint have. */
async function domainsInUse(): Promise<readonly string[]> {
  const { meshctl, kubectl } = sandbox();
  const proxies = await meshctl(['ztunnel-config', 'certificates', '-o', 'json']);
  expect(proxies.exitCode, proxies.stderr).toBe(0);
  const waypoint = await kubectl([
    'exec',
    '-n',
    bank,
    'deploy/waypoint',
    '--',
    'curl',
    '-s',
    'http://127.0.0.1:15000/config_dump',
  ]);
  const text = `${proxies.stdout}${waypoint.stdout}`;
  expect(text).toContain('/sa/waypoint');
  return [...new Set([...text.matchAll(/spiffe:\/\/([^/]+)\/ns/g)].map(([, domain]) => domain ?? ''))].sort();
}

test('another trust domain alone is refused with the way, and changes nothing', async () => {
  const { client, meshctl } = sandbox();
  const refused = await meshctl(second);
  expect(refused.exitCode).toBe(2);
  expect(refused.stderr).toContain('MESH0322');
  expect(refused.stderr).toContain('--set "meshConfig.trustDomainAliases={td.example}"');
  const at = { resource: configMaps, namespace: 'istio-system', name: 'istio' };
  expect((await client.get<ConfigMap>(at)).data?.['mesh']).toContain('trustDomain: td.example');
  const hasty = await meshctl([...second, ...alias, '--no-wait']);
  expect(hasty.exitCode).toBe(2);
  expect(await domainsInUse()).toEqual(['td.example']);
});

test('with the old one as an alias it changes under load, and no call through the waypoint fails', async () => {
  const { meshctl, kubectl } = sandbox();
  // It names the old domain, and goes on to mean the same callers.
  const policy = await kubectl(['apply', '-f', '-'], {
    input: `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: old-names, namespace: ${bank} }
spec:
  targetRefs: [{ group: "", kind: Service, name: frontend }]
  rules: [{ from: [{ source: { principals: [td.example/ns/${bank}/sa/sleep] } }] }]
`,
  });
  expect(policy.exitCode, policy.stderr).toBe(0);
  await eventually(
    async () => expect((await curlFrom(sandbox().client, loadgenerator, frontendUrl)).status).toBe(403),
    { timeoutMs: 10_000 },
  );
  const result = await hitlessly(() => meshctl([...second, ...alias]));
  expect(result.exitCode, result.stderr).toBe(0);
  expect(result.stderr).toContain('Trust domain td.example becomes td2.example in two steps');
  expect(await domainsInUse()).toEqual(['td2.example']);
  const verified = await meshctl(['verify-install']);
  expect(verified.exitCode, verified.stdout).toBe(0);
  expect((await curlFrom(sandbox().client, loadgenerator, frontendUrl)).status).toBe(403);
  expect(await curlFrom(sandbox().client, sleep, frontendUrl)).toMatchObject({ exitCode: 0, status: 200 });
}, 300_000);

test('the alias can go afterwards, also without a failed call', async () => {
  const { client, kubectl, meshctl } = sandbox();
  await kubectl(['delete', 'authorizationpolicy', 'old-names', '-n', bank]);
  const result = await hitlessly(() => meshctl(second));
  expect(result.exitCode, result.stderr).toBe(0);
  expect(await domainsInUse()).toEqual(['td2.example']);
  expect(await curlFrom(client, sleep, frontendUrl)).toMatchObject({ exitCode: 0, status: 200 });
}, 300_000);

test('verify-install names the components that run with other options than the mesh has', async () => {
  const { client, meshctl } = sandbox();
  const at = { resource: configMaps, namespace: 'istio-system', name: 'istio' };
  const { data = {} } = await client.get<ConfigMap>(at);
  const edited = (data['mesh'] ?? '').replace(
    'trustDomainAliases: []',
    'trustDomainAliases: [other.example]',
  );
  expect(edited).toContain('other.example');
  await client.patch(at, { data: { mesh: edited } });
  // The controller takes it up and rolls the waypoint out; node proxies are told by an installation only.
  await eventually(
    async () => {
      const { stdout, exitCode } = await meshctl(['verify-install']);
      expect(exitCode).toBe(1);
      const stale = [...stdout.matchAll(/MESH0337 (Pod \S+): (.*)/g)].map(([, pod, why]) => `${pod}: ${why}`);
      expect(stale).toHaveLength(2);
      expect(stale.join('\n')).toMatch(
        /Pod istio-system\/ztunnel-\S+: trustDomainAliases is \[\], not \["other.example"\]/,
      );
    },
    { timeoutMs: 60_000 },
  );
  await client.patch(at, { data: { mesh: 'trustDomain: 7' } });
  await eventually(
    async () =>
      expect((await meshctl(['verify-install'])).stdout).toMatch(
        /MESH0337 ConfigMap istio-system\/istio: .*trustDomain/,
      ),
    { timeoutMs: 30_000 },
  );
}, 300_000);
