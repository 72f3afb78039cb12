import { runInProcess } from '../../harness/in-process.js';
import { expect, it } from 'vitest';
import { parse } from 'yaml';

/** No cluster: what needs one must not be reached. */
const meshctl = (...args: string[]) => runInProcess(args, { KUBECONFIG: '/nonexistent' });

it('waypoint generate prints a Gateway for kubectl', async () => {
  const { code, stdout } = await meshctl('waypoint', 'generate', '-n', 'shop', '--for', 'workload', 'l4');
  expect(code).toBe(0);
  expect(parse(stdout)).toMatchObject({
    kind: 'Gateway',
    metadata: { name: 'l4', namespace: 'shop', labels: { 'istio.io/waypoint-for': 'workload' } },
  });
});

it.each([
  [['waypoint', 'generate', '--for', 'servce'], 'service'],
  [['waypoint', 'generate', '-s', 'frontend', '--for', 'service'], '--for workload'],
  [['waypoint', 'apply', 'a', '--name', 'b'], 'two names'],
  [['waypoint', 'delete'], '--all'],
  [['waypoint', 'delete', 'a', '--all'], '--all'],
  [['enroll'], '--help'],
  [['uninstall', '--prge'], '--purge'],
])('%j is wrong usage and says %s', async (args, expected) => {
  const { code, stdout, stderr } = await meshctl(...args);
  expect(code, stderr).toBe(2);
  expect(stdout).toBe('');
  expect(stderr).toContain(expected);
});

// One invocation each: every one reads all templates, which takes its time on a busy machine.
it('profiles can be listed without a cluster', async () => {
  expect((await meshctl('profile', 'list')).stdout).toContain('ambient');
});

it('profiles can be dumped without a cluster', async () => {
  expect(parse((await meshctl('profile', 'dump', 'minimal')).stdout)).toMatchObject({ profile: 'minimal' });
});

it('profiles can be compared without a cluster', async () => {
  const differing = await meshctl('profile', 'diff', 'minimal', 'ambient');
  expect(differing.code).toBe(1);
  expect(differing.stdout).toContain('components.ztunnel');
});

it('profiles that are equal do not differ', async () => {
  expect((await meshctl('profile', 'diff', 'ambient', 'ambient')).code).toBe(0);
});

it('manifest generate prints the whole installation without a cluster', async () => {
  const { code, stdout } = await meshctl('manifest', 'generate', '--set', 'profile=ambient', '-o', 'json');
  expect(code).toBe(0);
  const { items } = JSON.parse(stdout) as { items: { kind: string; metadata: { name: string } }[] };
  const names = items.map((o) => `${o.kind} ${o.metadata.name}`);
  expect(names[0]).toBe('Namespace istio-system');
  expect(names).toContain('DaemonSet ztunnel');
  expect(names).toContain('CustomResourceDefinition gateways.gateway.networking.k8s.io');
});
