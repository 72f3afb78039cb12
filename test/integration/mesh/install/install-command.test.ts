import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readInventory } from '#mesh/install/apply/inventory.js';
import { customResourceDefinitions, daemonSets, deployments, namespaces } from '#base/kube/resource.js';
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
      '1s',
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
