import { expect, test } from 'vitest';
import { bank, deployBank, enrollNamespace, installMesh } from '../../harness/bank.js';
import { useSandbox } from '../../harness/sandbox.js';

const sandbox = useSandbox('permissions', async (s) => {
  await Promise.all([installMesh(s), deployBank(s.client)]);
  await enrollNamespace(s, bank);
  const bound = await s.kubectl([
    'create',
    'rolebinding',
    'tenant',
    '-n',
    bank,
    '--clusterrole=meshctl-namespace-viewer',
    '--user=tenant',
  ]);
  expect(bound.exitCode, bound.stderr).toBe(0);
});

test('a tenant lists the waypoints of its namespace, and is told once that others may use them', async () => {
  const { meshctl } = sandbox();
  const applied = await meshctl(['waypoint', 'apply', '-n', bank, '--enroll-namespace', '--wait']);
  expect(applied.exitCode, applied.stderr).toBe(0);
  const args = ['waypoint', 'list', '-n', bank, '--as', 'tenant'];
  const seen = await meshctl([...args, '-o', 'json']);
  expect(seen.exitCode, seen.stderr).toBe(0);
  expect(JSON.parse(seen.stdout)).toMatchObject({
    items: [{ name: 'waypoint', isReady: true, users: [`Namespace ${bank}`] }],
  });
  expect(seen.stderr.match(/not seen: who else uses the waypoints/g)).toHaveLength(1);
  const status = await meshctl(['waypoint', 'status', '-n', bank, '--as', 'tenant']);
  expect(status.exitCode, status.stderr).toBe(0);
});

test('a tenant who may not list Gateways is told so, with exit code 3', async () => {
  const { meshctl } = sandbox();
  const refused = await meshctl(['waypoint', 'list', '-n', 'default', '--as', 'tenant']);
  expect(refused.exitCode).toBe(3);
  expect(refused.stderr).toContain('in the namespace "default"');
});

test.each([
  ['describe', 'deploy/frontend-near'],
  ['describe', 'service', 'frontend'],
  ['describe', 'namespace', bank],
])('a tenant: %s %s tells what it may see, and once what it may not', async (...words) => {
  const { meshctl } = sandbox();
  const outcome = await meshctl([...words, '-n', bank, '--as', 'tenant', '-o', 'json']);
  expect(outcome.exitCode, outcome.stderr).toBe(0);
  const { findings } = JSON.parse(outcome.stdout) as {
    findings: readonly { code: string; severity: string; message: string; fix?: string }[];
  };
  expect(findings.filter(({ severity }) => severity === 'error')).toEqual([]);
  const hidden = findings.filter(({ message }) => message.includes('may not ask the agents and proxies'));
  expect(hidden).toMatchObject([
    { code: 'MESH0926', fix: expect.stringContaining('meshctl-observer') as string },
  ]);
});

test('a tenant: analyze and enrollment of its own namespace', async () => {
  const { meshctl } = sandbox();
  const analysis = await meshctl(['analyze', '-n', bank, '--as', 'tenant']);
  expect(analysis.exitCode, analysis.stderr).toBe(0);
  expect(analysis.stdout.match(/not seen: \d+ kinds of objects/g)).toHaveLength(1);
  const enrollment = await meshctl(['enrollment', '-n', bank, '--as', 'tenant', '-o', 'json']);
  const { items } = JSON.parse(enrollment.stdout) as { items: readonly { observed: string }[] };
  expect(new Set(items.map(({ observed }) => observed))).toEqual(new Set(['unknown']));
  const nowhere = await meshctl(['enrollment', '-n', 'nosuch']);
  expect(nowhere.exitCode).toBe(1);
  expect(nowhere.stderr).toContain('namespaces "nosuch" not found');
});

test('whoever may see the cluster and ask the proxies sees all of it', async () => {
  const { meshctl, kubectl } = sandbox();
  const bind = async (...args: string[]) => {
    const bound = await kubectl(['create', ...args, '--user=viewer']);
    expect(bound.exitCode, bound.stderr).toBe(0);
  };
  await bind('clusterrolebinding', 'viewer', '--clusterrole=meshctl-viewer');
  await bind('rolebinding', 'viewer', '-n', 'istio-system', '--role=meshctl-viewer');
  await bind('rolebinding', 'observer', '-n', 'istio-system', '--role=meshctl-observer');
  for (const words of [['status'], ['describe', 'service', 'frontend', '-n', bank], ['proxy-status']]) {
    const outcome = await meshctl([...words, '--as', 'viewer', '-o', 'json']);
    expect(outcome.exitCode, `${words.join(' ')}: ${outcome.stdout}${outcome.stderr}`).toBe(0);
  }
});
