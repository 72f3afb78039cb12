import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  configMaps,
  customResourceDefinitions,
  daemonSets,
  deployments,
  namespaces,
} from '#base/kube/resource.js';
import { eventually } from '../../harness/cluster.js';
import { useSandbox } from '../../harness/sandbox.js';

const sandbox = useSandbox('install');

async function resourceVersions(): Promise<Record<string, string | undefined>> {
  const { client } = sandbox();
  const of = async (resource: typeof deployments, name: string) =>
    (await client.get({ resource, name, namespace: 'istio-system' })).metadata.generation?.toString();
  return {
    istiod: await of(deployments, 'istiod'),
    ztunnel: await of(daemonSets, 'ztunnel'),
    cni: await of(daemonSets, 'istio-cni-node'),
  };
}

test('--dry-run says what it would do and does nothing', async () => {
  const { client, meshctl } = sandbox();
  const outcome = await meshctl(['install', '--profile', 'ambient', '--dry-run']);
  expect(outcome.exitCode, outcome.stderr).toBe(0);
  expect(`${outcome.stdout}${outcome.stderr}`).toContain('istiod');
  expect(await client.getOrUndefined({ resource: namespaces, name: 'istio-system' })).toBeUndefined();
  expect(
    (await client.list(customResourceDefinitions)).filter((c) => c.metadata.name.endsWith('istio.io')),
  ).toEqual([]);
});

test.each([
  [['--set', 'nonsense'], 'nonsense'],
  [['--set', 'values.pilot.autoscaleEnabeld=true'], 'autoscaleEnabled'],
  [['--profile', 'ambeint'], 'ambient'],
  [['--set', 'a[=1'], 'a['],
])('install %j is refused as wrong usage before anything is written', async (flags, expected) => {
  const { client, meshctl } = sandbox();
  const outcome = await meshctl(['install', ...flags]);
  expect(outcome.exitCode).toBe(2);
  expect(outcome.stderr).toMatch(/MESH\d{4}/);
  expect(outcome.stderr).toContain(expected);
  expect(await client.getOrUndefined({ resource: namespaces, name: 'istio-system' })).toBeUndefined();
});

test('a values file that is no YAML is refused', async () => {
  const { env, meshctl } = sandbox();
  const file = join(env['HOME'] ?? '', 'values.yaml');
  writeFileSync(file, 'a: [1,\nb: }');
  const outcome = await meshctl(['install', '-f', file]);
  expect(outcome.exitCode).toBe(2);
  expect(outcome.stderr).toContain('values.yaml');
});

test('without permission nothing is half-applied and the exit code is 3', async () => {
  const { client, meshctl } = sandbox();
  const outcome = await meshctl(['install', '--profile', 'ambient', '--as', 'nobody']);
  expect(outcome.exitCode).toBe(3);
  expect(outcome.stderr).toMatch(/MESH\d{4}/);
  expect(await client.getOrUndefined({ resource: namespaces, name: 'istio-system' })).toBeUndefined();
});

test("install with the seeds' own flags brings every component up", async () => {
  const { client, meshctl } = sandbox();
  const outcome = await meshctl([
    'install',
    '--set',
    'profile=ambient',
    '--skip-confirmation',
    '--set',
    'meshConfig.enableTracing=true',
    '--set',
    'meshConfig.extensionProviders[0].name=otel-tracing',
    '--set',
    'meshConfig.extensionProviders[0].opentelemetry.service=otel-collector.observability.svc.cluster.local',
    '--set',
    'meshConfig.extensionProviders[0].opentelemetry.port=4317',
  ]);
  expect(outcome.exitCode, outcome.stderr).toBe(0);
  const verify = await meshctl(['verify-install']);
  expect(verify.exitCode, `${verify.stdout}${verify.stderr}`).toBe(0);
  const mesh = await client.get<{ data: { mesh: string } } & Parameters<typeof client.update>[1]>({
    resource: configMaps,
    name: 'istio',
    namespace: 'istio-system',
  });
  expect(mesh.data.mesh).toContain('otel-collector.observability.svc.cluster.local');
});

test('a second install changes nothing', async () => {
  const { meshctl } = sandbox();
  const flags = ['install', '--profile', 'ambient'];
  const first = await meshctl(flags);
  expect(first.exitCode, first.stderr).toBe(0);
  const before = await resourceVersions();
  const second = await meshctl(flags);
  expect(second.exitCode, second.stderr).toBe(0);
  expect(await resourceVersions()).toEqual(before);
});

test('the components run with least privilege', async () => {
  const { kubectl } = sandbox();
  const istiod = await kubectl([
    'get',
    'deployment',
    'istiod',
    '-n',
    'istio-system',
    '-o',
    'jsonpath={.spec.template.spec.containers[0].securityContext}',
  ]);
  expect(JSON.parse(istiod.stdout)).toMatchObject({
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    runAsNonRoot: true,
    capabilities: { drop: ['ALL'] },
  });
  const ztunnel = await kubectl([
    'auth',
    'can-i',
    'list',
    'pods',
    '-A',
    '--as',
    'system:serviceaccount:istio-system:ztunnel',
  ]);
  expect(ztunnel.stdout.trim()).toBe('no');
  const cni = await kubectl([
    'auth',
    'can-i',
    'list',
    'secrets',
    '-A',
    '--as',
    'system:serviceaccount:istio-system:istio-cni',
  ]);
  expect(cni.stdout.trim()).toBe('no');
});

test('verify-install notices a missing and a changed object, and install puts them back', async () => {
  const { kubectl, meshctl } = sandbox();
  await kubectl(['delete', 'configmap', 'istio-cni-config', '-n', 'istio-system']);
  const missing = await meshctl(['verify-install', '-o', 'json']);
  expect(missing.exitCode).toBe(1);
  expect(missing.stdout).toContain('istio-cni-config');
  await kubectl(['set', 'env', 'deployment/istiod', '-n', 'istio-system', 'CLUSTER_ID=drifted']);
  const drifted = await meshctl(['verify-install', '-o', 'json']);
  expect(drifted.exitCode).toBe(1);
  expect(drifted.stdout).toContain('istiod');
  const again = await meshctl(['install', '--profile', 'ambient']);
  expect(again.exitCode, again.stderr).toBe(0);
  await eventually(
    async () => {
      const sound = await meshctl(['verify-install']);
      expect(sound.exitCode, `${sound.stdout}${sound.stderr}`).toBe(0);
    },
    { timeoutMs: 30_000 },
  );
});
