import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import { customResourceDefinitions, peerAuthentications } from '#base/kube/resource.js';
import type { CustomResourceDefinition, KubeObject } from '#base/kube/types.js';
import { readInventory } from '#mesh/install/apply/inventory.js';
import { applyPlan, type InstallPlan, isNoop, planInstallation } from '#mesh/install/installer.js';
import type { ValuesRequest } from '#mesh/install/values/effective.js';
import { planUninstall, uninstall, type UninstallReport } from '#mesh/install/uninstall/uninstall.js';
import { verifyInstallation } from '#mesh/install/verify/verify.js';
import { eventually } from '../harness/cluster.js';
import { Notes } from '../harness/notes.js';
import { describeServers, type ServerUnderTest } from './servers.js';

const meshNamespace = 'istio-system';
const clientVersion = '9.9.9';
const { signal } = new AbortController();
const bundleVersion = 'gateway.networking.k8s.io/bundle-version';

/** The installer at a server that runs no pods. */
class Installer {
  readonly server: ServerUnderTest;
  readonly notes = new Notes();

  constructor(server: ServerUnderTest) {
    this.server = server;
  }

  plan(values: ValuesRequest = {}): Promise<InstallPlan> {
    const { client } = this.server;
    return planInstallation({
      client,
      namespace: meshNamespace,
      values,
      clientVersion,
      force: false,
      signal,
    });
  }

  async install(values: ValuesRequest = {}): Promise<InstallPlan> {
    const plan = await this.plan(values);
    const { client } = this.server;
    await applyPlan(plan, { client, clientVersion, timeoutMs: undefined, signal, reporter: this.notes });
    return plan;
  }

  async uninstall(isPurge: boolean): Promise<UninstallReport> {
    const { client } = this.server;
    const plan = await planUninstall(client, { namespace: meshNamespace, isPurge });
    return uninstall(plan, {
      client,
      namespace: meshNamespace,
      isPurge,
      isForced: false,
      timeoutMs: 20_000,
      signal,
      reporter: this.notes,
    });
  }

  /** What verify-install has to say about an object. */
  async findings(name: string): Promise<string[]> {
    const { client } = this.server;
    const found = await verifyInstallation({ client, namespace: meshNamespace, signal, now: Date.now() });
    return found.checks
      .filter((c) => c.subject === `CustomResourceDefinition ${name}` && c.finding !== undefined)
      .map((c) => `${c.finding?.code} ${c.finding?.message}`);
  }

  async recorded(): Promise<string[]> {
    const inventory = await readInventory(this.server.client, meshNamespace);
    return (inventory?.objects ?? []).map((o) => o.metadata.name);
  }

  crd(name: string): Promise<CustomResourceDefinition> {
    return this.server.client.get({ resource: customResourceDefinitions, name });
  }
}

const gatewayCrd = 'gateways.gateway.networking.k8s.io';
const routeCrd = 'httproutes.gateway.networking.k8s.io';
const istioCrd = 'peerauthentications.security.istio.io';

/** A CRD as a published release would bring it: our own with another text, and marked as theirs. */
function published(planned: KubeObject, release = 'v1.99.0'): CustomResourceDefinition {
  const crd = structuredClone(planned) as CustomResourceDefinition;
  crd.metadata = crd.metadata.name.endsWith('.k8s.io')
    ? {
        name: crd.metadata.name,
        annotations: {
          'api-approved.kubernetes.io': 'https://github.com/kubernetes-sigs/gateway-api',
          [bundleVersion]: release,
          'gateway.networking.k8s.io/channel': 'standard',
        },
      }
    : { name: crd.metadata.name, labels: { app: 'istio-pilot', chart: 'istio' } };
  const versions = crd.spec.versions.map((version) => {
    const openAPIV3Schema = { ...(version.schema?.openAPIV3Schema as object), description: 'As published.' };
    return { ...version, schema: { openAPIV3Schema } };
  });
  return { ...crd, spec: { ...crd.spec, versions } };
}

/** Stands for the file with the definition. */
const file = 'FILE';
const fromFile = (...command: readonly string[]): string[] => [...command, '-f', file];

/** Ways in which a published definition comes over ours, and once more when it is its owner's. */
const ways: Record<string, { over: string[]; again: string[]; names: string[] }> = {
  'client-side apply': { over: fromFile('apply'), again: fromFile('apply'), names: [gatewayCrd, istioCrd] },
  'server-side apply': {
    over: fromFile('apply', '--server-side', '--force-conflicts'),
    again: fromFile('apply', '--server-side'),
    names: [gatewayCrd, istioCrd],
  },
  'kubectl replace': { over: fromFile('replace'), again: fromFile('replace'), names: [gatewayCrd, istioCrd] },
  // As a program does that reads, changes and writes back. Only the Gateway API says in it whose it is.
  'an update': {
    over: ['patch', 'crd', gatewayCrd, '--type=merge', '--patch-file', file],
    again: ['patch', 'crd', gatewayCrd, '--type=merge', '--patch-file', file],
    names: [gatewayCrd],
  },
};
/** Of a release of their own, and of that which ours is of. */
const releases = ['v1.99.0', 'v1.6.1'];

/** A policy, and its binding, under which a CRD keeps a label that it has. */
function keepsLabel(label: string): string {
  const name = 'labels-stay';
  const rules = [
    {
      apiGroups: ['apiextensions.k8s.io'],
      apiVersions: ['v1'],
      operations: ['UPDATE'],
      resources: ['customresourcedefinitions'],
    },
  ];
  const has = (object: string): string =>
    `(has(${object}.metadata.labels) && '${label}' in ${object}.metadata.labels)`;
  const kinds = {
    ValidatingAdmissionPolicy: {
      failurePolicy: 'Fail',
      matchConstraints: { resourceRules: rules },
      validations: [{ expression: `!${has('oldObject')} || ${has('object')}`, message: 'labels stay' }],
    },
    ValidatingAdmissionPolicyBinding: { policyName: name, validationActions: ['Deny'] },
  };
  return Object.entries(kinds)
    .map(([kind, spec]) =>
      stringify({ apiVersion: 'admissionregistration.k8s.io/v1', kind, metadata: { name }, spec }),
    )
    .join('---\n');
}

describeServers('a CRD over ours', (server) => {
  const cases = Object.entries(ways).flatMap(([way, { names, ...commands }]) =>
    names.flatMap((name) =>
      (name === gatewayCrd ? releases : ['']).map((release) => ({ way, ...commands, name, release })),
    ),
  );

  test.each(cases)("$name $release by $way is its owner's from then on", async (given) => {
    const { over, again, name, release } = given;
    const s = new Installer(server());
    const { changes } = await s.install();
    const planned = changes.find((c) => c.planned.object.metadata.name === name)?.planned.object;
    if (planned === undefined) throw new Error(`no ${name} in the plan`);
    const theirs = published(planned, release);
    const path = s.server.file('published.yaml', stringify(theirs));
    const run = (command: readonly string[]): Promise<string> =>
      s.server.ok(command.map((word) => (word === file ? path : word)));
    await run(over);

    // Before the next installation: verify and uninstall know already.
    expect(await s.findings(name)).toEqual([]);
    const dropped = await planUninstall(s.server.client, { namespace: meshNamespace, isPurge: true });
    expect(dropped.inventory.objects.map((o) => o.metadata.name)).not.toContain(name);

    const second = await s.install();
    expect(second.changes.find((c) => c.planned.object.metadata.name === name)?.action).toMatch(
      /keep|release/,
    );
    const live = await s.crd(name);
    expect(live.spec.versions).toMatchObject(
      theirs.spec.versions.map(() => ({ schema: { openAPIV3Schema: { description: 'As published.' } } })),
    );
    expect(live.metadata.annotations ?? {}).toMatchObject(theirs.metadata.annotations ?? {});
    expect(live.metadata.labels ?? {}).toEqual(theirs.metadata.labels ?? {});
    expect((live.metadata.managedFields ?? []).map((entry) => entry.manager)).not.toContain('meshctl');
    expect(await s.recorded()).not.toContain(name);
    expect(await s.findings(name)).toEqual([]);
    expect(isNoop(await s.plan())).toBe(true);

    // Its owner meets no conflict.
    await run(again);
    const report = await s.uninstall(true);
    expect(report.left).toEqual([]);
    expect((await s.crd(name)).metadata.deletionTimestamp).toBeUndefined();
    await s.server.client.delete({ resource: customResourceDefinitions, name });
  });

  test('an uninstallation before the next installation leaves it, without our marks', async () => {
    const s = new Installer(server());
    const { changes } = await s.install();
    const theirs = changes
      .map((c) => c.planned.object)
      .filter((o) => o.metadata.name === gatewayCrd || o.metadata.name === istioCrd)
      .map((o) => published(o));
    for (const crd of theirs) await s.server.ok(['apply', '-f', '-'], stringify(crd));
    const report = await s.uninstall(true);
    expect(report.left).toEqual([]);
    for (const { metadata } of theirs) {
      expect(report.kept).toContainEqual({
        object: `CustomResourceDefinition ${metadata.name}`,
        why: expect.stringContaining('kubectl') as string,
      });
      const live = await s.crd(metadata.name);
      expect(live.metadata.labels ?? {}).toEqual(metadata.labels ?? {});
      await s.server.client.delete({ resource: customResourceDefinitions, name: metadata.name });
    }
  });

  test('an admission policy that keeps our labels on it holds nothing up', async () => {
    const s = new Installer(server());
    const { changes } = await s.install();
    const planned = changes.find((c) => c.planned.object.metadata.name === gatewayCrd)?.planned.object;
    if (planned === undefined) throw new Error('no Gateway CRD in the plan');
    await s.server.ok(['apply', '-f', '-'], stringify(published(planned)));
    const label = 'app.kubernetes.io/part-of';
    const policy = keepsLabel(label);
    await s.server.ok(['apply', '-f', '-'], policy);
    // A policy is in force a moment after it is there.
    await eventually(
      async () => {
        const tried = await s.server.kubectl(['label', 'crd', gatewayCrd, `${label}-`, '--dry-run=server']);
        if (tried.exitCode === 0) throw new Error('not in force');
      },
      { timeoutMs: 20_000 },
    );
    const notes = await s.install().then(() => s.notes);
    expect(notes.lines.filter((line) => line.startsWith('! ')).join()).toContain('labels stay');
    expect(await s.recorded()).not.toContain(gatewayCrd);
    expect(await s.findings(gatewayCrd)).toEqual([]);
    const report = await s.uninstall(true);
    expect(report.left).toEqual([]);
    expect((await s.crd(gatewayCrd)).metadata.labels).toHaveProperty([label]);
    await s.server.ok(['delete', '-f', '-'], policy);
    await s.server.client.delete({ resource: customResourceDefinitions, name: gatewayCrd });
  });

  test('an edit is drift: it is reported, and put back', async () => {
    const s = new Installer(server());
    await s.install();
    const edit = [{ op: 'remove', path: '/spec/versions/0/additionalPrinterColumns' }];
    await s.server.ok(['patch', 'crd', routeCrd, '--type=json', '-p', JSON.stringify(edit)]);
    expect((await s.findings(routeCrd)).join()).toContain('MESH0331');
    const plan = await s.install();
    expect(plan.changes.find((c) => c.planned.object.metadata.name === routeCrd)?.action).toBe('update');
    expect((await s.crd(routeCrd)).spec.versions[0]).toHaveProperty('additionalPrinterColumns');
    expect(await s.recorded()).toContain(routeCrd);
    await s.uninstall(true);
  });

  test('a newer bundle of ours is not put back to an older one, and stays ours', async () => {
    const s = new Installer(server());
    const { changes } = await s.install();
    const planned = changes.find((c) => c.planned.object.metadata.name === routeCrd)?.planned.object;
    if (planned === undefined) throw new Error('no HTTPRoute CRD in the plan');
    const newer = structuredClone(planned);
    newer.metadata.annotations = { ...newer.metadata.annotations, [bundleVersion]: 'v1.99.0' };
    await s.server.client.apply(customResourceDefinitions, newer, { fieldManager: 'meshctl', force: true });
    await s.install({ set: ['values.pilot.replicaCount=2'] });
    expect((await s.crd(routeCrd)).metadata.annotations?.[bundleVersion]).toBe('v1.99.0');
    expect(await s.recorded()).toContain(routeCrd);
    await s.uninstall(true);
    expect(
      await s.server.client.getOrUndefined({ resource: customResourceDefinitions, name: routeCrd }),
    ).toBeUndefined();
  });

  test('a release that lacks what the mesh reads is left alone, and found by verify-install', async () => {
    const s = new Installer(server());
    const { changes } = await s.install();
    const planned = changes.find((c) => c.planned.object.metadata.name === istioCrd)?.planned.object;
    if (planned === undefined) throw new Error('no PeerAuthentication CRD in the plan');
    await s.uninstall(true);
    const old = published(planned);
    old.spec.versions = old.spec.versions
      .filter((v) => v.name !== peerAuthentications.version)
      .map((v) => ({ ...v, storage: true }));
    await s.server.ok(['create', '-f', '-'], stringify(old));
    const plan = await s.install();
    expect(plan.changes.find((c) => c.planned.object.metadata.name === istioCrd)).toMatchObject({
      action: 'keep',
      note: expect.stringContaining('does not serve v1') as string,
    });
    expect((await s.findings(istioCrd)).join()).toContain('MESH0334');
    await s.uninstall(true);
    expect((await s.crd(istioCrd)).spec.versions.map((v) => v.name)).toEqual(['v1beta1']);
  });
});
