import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readInventory } from '#mesh/install/apply/inventory.js';
import {
  customResourceDefinitions,
  daemonSets,
  deployments,
  namespaces,
  resourceQuotas,
} from '#base/kube/resource.js';
import type { Deployment } from '#base/kube/types.js';
import { CliUnderTest } from './cli-under-test.js';

// The API server alone: no controllers and no nodes, so nothing becomes ready.
const install = ['install', '--no-wait', '--yes', '-o', 'json'];
const system = 'istio-system';
let cluster: CliUnderTest;

interface InstallationDocument {
  readonly objects: readonly { object: string; action: string; note?: string; fields?: { path: string }[] }[];
}

async function apply(...args: string[]): Promise<InstallationDocument> {
  const result = await cluster.meshctl(...install, ...args);
  if (result.code !== 0) throw new Error(`exit ${result.code}: ${result.stderr}`);
  return JSON.parse(result.stdout) as InstallationDocument;
}

function actions(document: InstallationDocument): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { action } of document.objects) counts[action] = (counts[action] ?? 0) + 1;
  return counts;
}

const controller = () =>
  cluster.client.get<Deployment>({ resource: deployments, namespace: system, name: 'istiod' });

describe('on an empty cluster', () => {
  beforeAll(async () => {
    cluster = await CliUnderTest.start();
  });
  afterAll(() => cluster.stop());

  const isUntouched = async (): Promise<void> => {
    expect(await cluster.client.getOrUndefined({ resource: namespaces, name: system })).toBeUndefined();
    expect(await cluster.client.list(customResourceDefinitions)).toEqual([]);
  };

  it('a dry run shows everything and changes nothing', async () => {
    const document = await apply('--dry-run');
    expect(actions(document)).toEqual({ create: document.objects.length });
    expect(document.objects.length).toBeGreaterThan(20);
    await isUntouched();
  });

  it.each([
    [['--set', 'values.pilto.x=1'], 'MESH0302'],
    [['--set', 'meshConfig.extensionProviders[2].name=x'], 'MESH0301'],
    [['--set', 'novalue'], 'MESH0301'],
    [['--profile', 'ambinet'], 'MESH0300'],
    [['-f', '/nowhere.yaml'], 'MESH0303'],
  ])('%j is wrong usage and changes nothing', async (args, code) => {
    const result = await cluster.meshctl(...install, ...args);
    expect(result.code).toBe(2);
    expect(JSON.parse(result.stdout)).toMatchObject({ kind: 'Error', code });
    await isUntouched();
  });

  it('a user without rights is told which, before anything is written', async () => {
    const result = await cluster.meshctl(...install, '--as', 'nobody');
    expect(result.code).toBe(3);
    const error = JSON.parse(result.stdout) as { code: string; evidence: string };
    expect(error.code).toBe('MESH0306');
    expect(error.evidence).toContain('create deployments.apps in namespace istio-system');
    expect(error.evidence).toContain('patch customresourcedefinitions.apiextensions.k8s.io');
    await isUntouched();
  });

  it('a cluster that does not answer is exit 3', async () => {
    const kubeconfig = cluster.file(`apiVersion: v1
kind: Config
current-context: x
contexts: [{ name: x, context: { cluster: c, user: u } }]
clusters: [{ name: c, cluster: { server: "https://127.0.0.1:1" } }]
users: [{ name: u, user: {} }]
`);
    const result = await cluster.meshctl(...install, '--kubeconfig', kubeconfig);
    expect(result.code).toBe(3);
    expect(result.stderr).toContain('https://127.0.0.1:1');
  });
});

describe('an installation', () => {
  beforeAll(async () => {
    cluster = await CliUnderTest.start();
    await apply();
  });
  afterAll(() => cluster.stop());
  // Every test starts from, and returns to, the plain profile.
  beforeEach(async () => {
    await apply('--force');
  });

  it('run again changes nothing', async () => {
    const before = await controller();
    const again = await apply();
    expect(actions(again)).toEqual({ unchanged: again.objects.length });
    expect((await controller()).metadata.resourceVersion).toBe(before.metadata.resourceVersion);
    expect(await cluster.meshctl('manifest', 'diff')).toMatchObject({ code: 0, stdout: 'no difference\n' });
  });

  it('records what was applied', async () => {
    const inventory = await readInventory(cluster.client, system);
    expect(inventory).toMatchObject({ profile: 'ambient', isComplete: true });
    for (const object of inventory?.objects ?? []) expect(object.metadata.name).toBeTruthy();
    expect(inventory?.objects.map((o) => o.metadata.name)).toEqual(
      expect.arrayContaining(['istiod', 'ztunnel', 'istio-cni-node', 'istio']),
    );
  });

  it('takes new values, shows them first, and drops them again', async () => {
    const set = ['--set', 'values.pilot.env.EXTRA=1'];
    const dry = await apply('--dry-run', ...set);
    const change = dry.objects.filter((o) => o.action === 'update');
    expect(change.map((c) => c.object)).toEqual([`Deployment ${system}/istiod`]);
    expect(change[0]?.fields?.[0]?.path).toContain('containers[0].env');
    expect((await cluster.meshctl('manifest', 'diff', ...set)).code).toBe(1);
    const env = async () => (await controller()).spec.template.spec.containers[0]?.env?.map((e) => e.name);
    expect(await env()).not.toContain('EXTRA');
    await apply(...set);
    expect(await env()).toContain('EXTRA');
    await apply();
    expect(await env()).not.toContain('EXTRA');
  });

  it('says what it takes back because it was not given again, before it does', async () => {
    await apply('--set', 'values.pilot.env.EXTRA=1', '--set', 'values.global.logging.level=debug');
    const { stdout, stderr } = await cluster.meshctl(...install, '--set', 'values.pilot.env.EXTRA=2');
    const path = 'values.global.logging.level';
    expect(stderr).toContain(`reverts: ${path} from debug to info`);
    expect(stderr).not.toContain('reverts: values.pilot');
    expect(JSON.parse(stdout)).toMatchObject({ reverts: [{ path, before: 'debug', after: 'info' }] });
    expect(JSON.parse((await cluster.meshctl(...install, '--dry-run')).stdout)).toMatchObject({
      reverts: [{ path: 'values.pilot.env.EXTRA', before: '2', after: null }],
    });
  });

  it('tells what stands against it before it writes', async () => {
    const quota = {
      apiVersion: 'v1',
      kind: 'ResourceQuota',
      metadata: { name: 'tight' },
      spec: { hard: { pods: '0', 'limits.cpu': '1' } },
    };
    await cluster.client.create(resourceQuotas, quota, { namespace: system });
    const { stdout, stderr } = await cluster.meshctl(...install);
    expect(stderr).toMatch(/MESH0340 Namespace istio-system: ResourceQuota tight admits 0 more pods/);
    expect(stderr).toMatch(/refuses pods without limits\.cpu/);
    expect((JSON.parse(stdout) as { findings: { code: string }[] }).findings).toContainEqual(
      expect.objectContaining({ code: 'MESH0340' }),
    );
    await cluster.client.delete({ resource: resourceQuotas, namespace: system, name: 'tight' });
  });

  it('one that was interrupted is one finding, with the command that goes on', async () => {
    const set = ['--set', 'values.pilot.env.W=1'];
    await cluster.meshctl('install', '--yes', '--timeout', '6s', ...set);
    const result = await cluster.meshctl('verify-install', '-o', 'json');
    expect(result.code).toBe(1);
    const { findings } = JSON.parse(result.stdout) as {
      findings: { code: string; severity: string; fix?: string; consequences?: unknown[] }[];
    };
    const errors = findings.filter(({ severity, code }) => severity === 'error' && code !== 'MESH0957');
    expect(errors.map(({ code }) => code)).toEqual(['MESH0336']);
    expect(errors[0]?.fix).toBe('meshctl install --set values.pilot.env.W=1');
    expect(errors[0]?.consequences?.length).toBeGreaterThan(1);
    await apply();
  });

  it('prunes components that were switched off, and keeps CRDs', async () => {
    const crds = (await cluster.client.list(customResourceDefinitions)).length;
    const document = await apply('--profile', 'minimal');
    const removed = document.objects.filter((o) => o.action === 'delete').map((o) => o.object);
    expect(removed).toContain(`DaemonSet ${system}/ztunnel`);
    expect(await cluster.client.list(daemonSets, { namespace: system })).toEqual([]);
    expect((await cluster.client.list(customResourceDefinitions)).length).toBe(crds);
  });

  it('gives up waiting with exit 4 and says what is missing', async () => {
    const result = await cluster.meshctl(
      'install',
      '--yes',
      '--timeout',
      '6s',
      '--set',
      'values.pilot.env.W=1',
      '-o',
      'json',
    );
    expect(result.code).toBe(4);
    expect(JSON.parse(result.stdout)).toMatchObject({ code: 'MESH0308' });
    // Half-way: recorded as such, and the next run finishes it.
    expect((await readInventory(cluster.client, system))?.isComplete).toBe(false);
    await apply();
    expect((await readInventory(cluster.client, system))?.isComplete).toBe(true);
  });

  it('is refused in a second namespace', async () => {
    const result = await cluster.meshctl(...install, '-i', 'other-system');
    expect(result.code).toBe(1);
    expect(JSON.parse(result.stdout)).toMatchObject({ code: 'MESH0305' });
  });
});
