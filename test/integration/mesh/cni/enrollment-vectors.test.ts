import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { namespaces, pods } from '#base/kube/resource.js';
import type { Namespace, Pod } from '#base/kube/types.js';
import { enrollmentConfigMap } from '#mesh/rules/enrollment-config.js';
import { ruleVectors, VectorWorld } from '../../../harness/rule-vectors.js';
import { TestAgent } from './test-agent.js';
import { TestCluster } from './test-cluster.js';
import { eventually, isRoot, makeNetns, type TestNetns } from './test-netns.js';

interface Expected {
  readonly isEnrolled: boolean;
  readonly reason?: string;
}

const cases = ruleVectors<Expected>('enrollment').map((vector) => ({
  ...vector,
  world: new VectorWorld(vector.given),
}));
const bySettings = new Map<string, typeof cases>();
for (const each of cases) {
  const settings = JSON.stringify(each.world.settings(enrollmentConfigMap));
  bySettings.set(settings, [...(bySettings.get(settings) ?? []), each]);
}

/** A running agent decides as the rule says: what it was started with, and what it hears of pods and namespaces. */
describe.runIf(isRoot).each([...bySettings])('CNI agent with %s', (settings, group) => {
  let cluster: TestCluster;
  let host: TestNetns;
  let agent: TestAgent;

  beforeAll(async () => {
    cluster = await TestCluster.start();
    await cluster.daemonSet();
    host = makeNetns();
    agent = new TestAgent(cluster, host, JSON.parse(settings) as Record<string, string>);
    await agent.start();
  });
  afterAll(async () => {
    await agent.dispose();
    await cluster.stop();
    host.remove();
  });

  it.each(group)('$name', async ({ world, expect: { isEnrolled, reason = '' } }) => {
    const { metadata, spec, status } = world.pod;
    const { namespace = '' } = metadata;
    const labels = world.namespaceLabels(namespace);
    const ref = { resource: namespaces, name: namespace };
    const live = await cluster.admin.getOrUndefined<Namespace>(ref);
    if (live === undefined) await cluster.namespace(namespace);
    const unlabeled = { 'istio.io/dataplane-mode': null, team: null };
    await cluster.admin.patch(ref, { metadata: { labels: { ...unlabeled, ...labels } } });
    // Without an address there is nothing to capture, only to decide.
    await cluster.admin.create<Pod>(pods, { apiVersion: 'v1', kind: 'Pod', metadata, spec }, { namespace });
    const at = { resource: pods, namespace, name: metadata.name };
    await cluster.admin.patch({ ...at, subresource: 'status' }, { status: { phase: status?.phase } });
    const wanted = async () => {
      const report = await agent.enrollment(`?namespace=${namespace}&pod=${metadata.name}`);
      return report.pods.find(({ name }) => name === metadata.name)?.wanted;
    };
    await eventually(async () => (await wanted())?.reason.includes(reason) === true);
    expect(await wanted()).toMatchObject({ enroll: isEnrolled });
    await cluster.admin.delete(at, { gracePeriodSeconds: 0 });
    await eventually(async () => (await wanted()) === undefined);
  });
});
