import { expect, test } from 'vitest';
import { eventually } from '../harness/cluster.js';
import { command, type CommandOutcome } from '../harness/meshctl.js';
import { useSandbox } from '../harness/sandbox.js';
import { describeWith } from './programs.js';

describeWith('helm', { needs: ['helm', 'kubectl'] }, () => {
  const sandbox = useSandbox('helm');
  const chart = 'test/interop/helm/widgets';

  const run = (...args: string[]): Promise<CommandOutcome> => command('helm', args, { env: sandbox().env });

  async function helm(...args: string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await run(...args);
    expect(exitCode, `helm ${args.join(' ')}: ${stderr}${stdout}`).toBe(0);
    return stdout;
  }

  async function get(what: string, jsonpath: string): Promise<string> {
    const { stdout, stderr } = await sandbox().kubectl(['get', what, '-o', `jsonpath=${jsonpath}`]);
    return stdout + stderr;
  }

  test('installs CRDs, runs hooks and waits until the chart is ready', async () => {
    await helm('install', 'w', chart, '--wait', '--timeout', '60s');
    expect(await get('gadget/w', '{.spec.message}')).toBe('hello');
    expect(await get('job/w-pre-install', '{.status.succeeded}')).toBe('1');
    expect(await get('deployment/w', '{.status.readyReplicas}')).toBe('1');
    expect(await get('pdb/w', '{.spec.minAvailable}')).toBe('1');
    expect(await get('service/w', '{.metadata.labels.app\\.kubernetes\\.io/managed-by}')).toBe('Helm');
    expect(JSON.parse(await helm('list', '-o', 'json'))).toMatchObject([
      { name: 'w', status: 'deployed', revision: '1' },
    ]);
  });

  test('runs the tests of a chart', async () => {
    expect(await helm('test', 'w', '--timeout', '60s')).toMatch(/Phase:\s+Succeeded/);
  });

  test('upgrades with a three-way merge: what others changed stays, what it owns is restored', async () => {
    const key = await get('secret/w-key', '{.data.key}');
    await sandbox().kubectl(['annotate', 'service/w', 'by=hand']);
    await sandbox().kubectl(['scale', 'deployment/w', '--replicas=3']);
    await helm('upgrade', 'w', chart, '--set', 'message=changed,replicas=2', '--wait', '--timeout', '60s');
    expect(await get('service/w', '{.metadata.annotations.by}')).toBe('hand');
    expect(await get('deployment/w', '{.spec.replicas} {.spec.template.metadata.annotations.message}')).toBe(
      '2 changed',
    );
    expect(await get('gadget/w', '{.spec.message}')).toBe('changed');
    expect(await get('secret/w-key', '{.data.key}')).toBe(key);
    expect(await get('job/w-post-upgrade', '{.status.succeeded}')).toBe('1');
  });

  test('takes a failed upgrade back by itself when it is atomic', async () => {
    const failed = await run(
      'upgrade',
      'w',
      chart,
      '--set',
      'image=missing:1',
      '--atomic',
      '--timeout',
      '8s',
    );
    expect(failed.exitCode).toBe(1);
    expect(failed.stderr).toContain('rolled back due to atomic');
    expect(await get('deployment/w', '{.spec.template.spec.containers[0].image}')).toBe('meshctl/tool');
    const history = JSON.parse(await helm('history', 'w', '-o', 'json')) as { status: string }[];
    expect(history.map((h) => h.status)).toEqual(['superseded', 'superseded', 'failed', 'deployed']);
  });

  test('refuses what the schema refuses, before anything changes', async () => {
    const refused = await run('upgrade', 'w', chart, '--set', 'replicas=many');
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toContain('replicas');
    expect(await get('deployment/w', '{.spec.replicas}')).toBe('2');
  });

  test('rolls back to a revision', async () => {
    await helm('rollback', 'w', '1', '--wait', '--timeout', '60s');
    expect(await get('deployment/w', '{.spec.replicas} {.spec.template.metadata.annotations.message}')).toBe(
      '1 hello',
    );
  });

  test('uninstalls everything but the CRDs', async () => {
    await helm('uninstall', 'w', '--wait', '--timeout', '60s');
    expect(await get('job/w-pre-delete', '{.status.succeeded}')).toBe('1');
    await eventually(
      async () => {
        const left = await sandbox().kubectl(['get', 'deploy,rs,svc,pdb,gadgets,secrets', '-o', 'name']);
        expect(left.stdout.split('\n').filter(Boolean)).toEqual(['service/kubernetes']);
      },
      { timeoutMs: 30_000 },
    );
    expect(await get('crd/gadgets.chart.example.com', '{.metadata.name}')).toBe('gadgets.chart.example.com');
    expect(JSON.parse(await helm('list', '-a', '-o', 'json'))).toEqual([]);
  });
});
