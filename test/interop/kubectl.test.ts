import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { eventually } from '../harness/cluster.js';
import type { CommandOutcome } from '../harness/meshctl.js';
import { useSandbox } from '../harness/sandbox.js';
import { makeTestFolder } from '../harness/test-user.js';
import { describeWith } from './programs.js';

describeWith('kubectl', { needs: ['kubectl'] }, () => {
  const folder = makeTestFolder();
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const sandbox = useSandbox('kubectl', async ({ kubectl }) => {
    const made = await kubectl([
      'create',
      'deployment',
      'web',
      '--image=meshctl/tool',
      '--port=8080',
      '--replicas=2',
    ]);
    expect(made.exitCode, made.stderr).toBe(0);
  });

  const run = (line: string, input?: string): Promise<CommandOutcome> =>
    sandbox().kubectl(line.split(' '), input === undefined ? {} : { input });

  /** Standard output of a command (arguments have no blanks) that must succeed. */
  async function kubectl(line: string, input?: string): Promise<string> {
    const { exitCode, stdout, stderr } = await run(line, input);
    expect(exitCode, `kubectl ${line}: ${stderr}`).toBe(0);
    return stdout;
  }

  const json = (kind: string, name: string, more: object): string =>
    JSON.stringify({
      apiVersion: 'v1',
      kind,
      metadata: { name, namespace: 'default', labels: { set: 'one' } },
      ...more,
    });

  test('rollout: status, image, history, undo, restart', async () => {
    expect(await kubectl('rollout status deploy/web --timeout=60s')).toContain('successfully rolled out');
    await kubectl('set image deploy/web tool=meshctl/tool:v2');
    await kubectl('rollout status deploy/web --timeout=60s');
    expect(await kubectl('rollout history deploy/web')).toMatch(/^1 .*\n2 /m);
    expect(await kubectl('rollout history deploy/web --revision=2')).toContain('meshctl/tool:v2');
    await kubectl('rollout undo deploy/web');
    await kubectl('rollout status deploy/web --timeout=60s');
    expect(await kubectl('get deploy web -o jsonpath={.spec.template.spec.containers[0].image}')).toBe(
      'meshctl/tool',
    );
    await kubectl('rollout restart deploy/web');
    await kubectl('rollout status deploy/web --timeout=60s');
  });

  test('expose, run, proxy', async () => {
    await kubectl('expose deploy web --port=80 --target-port=8080');
    await eventually(
      async () =>
        expect(await kubectl('get --raw /api/v1/namespaces/default/services/web:80/proxy/x')).toContain(
          '"path":"/x"',
        ),
      { timeoutMs: 20_000 },
    );
    const once = await kubectl(
      'run once --image=meshctl/tool --restart=Never -i --rm --quiet -- curl -s http://web/y',
    );
    expect(once).toContain('"path":"/y"');
  });

  test('run: a client that has no more to say leaves a container whose input stays open', async () => {
    const flags = '--attach --stdin --leave-stdin-open --quiet --restart=Never';
    await kubectl(`run listener --image=meshctl/tool ${flags} -- cat`, 'said\n');
    await eventually(async () => expect(await kubectl('logs listener')).toBe('said\n'), {
      timeoutMs: 15_000,
    });
    expect(await kubectl('get pod listener -o jsonpath={.status.phase}')).toBe('Running');
    await kubectl('delete pod listener --now');
  });

  test('wait: condition, jsonpath, deletion', async () => {
    await kubectl('wait --for=condition=Available deploy/web --timeout=10s');
    await kubectl('wait --for=jsonpath={.status.readyReplicas}=2 deploy/web --timeout=10s');
    await kubectl('run short --image=meshctl/tool');
    const waiting = kubectl('wait --for=delete pod/short --timeout=30s');
    await kubectl('delete pod short --now');
    await waiting;
  });

  test('top says that there are no metrics', async () => {
    expect(await run('top nodes')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('Metrics API not available') as string,
    });
  });

  test('scale, autoscale, patch of a subresource', async () => {
    await kubectl('scale deploy web --replicas=3 --current-replicas=2');
    await kubectl('patch deploy web --subresource=scale --type=merge -p {"spec":{"replicas":2}}');
    expect(await kubectl('get deploy web -o jsonpath={.spec.replicas}')).toBe('2');
    await kubectl('autoscale deploy web --min=1 --max=3 --cpu-percent=80');
    expect(
      await kubectl('get hpa web -o jsonpath={.spec.metrics[0].resource.target.averageUtilization}'),
    ).toBe('80');
    expect(await kubectl('get hpa web')).toMatch(/cpu: <unknown>\/80%\s+1\s+3/);
    await kubectl('delete hpa web');
  });

  test('apply of a list, diff, prune, replace --force', async () => {
    const list = (...names: string[]): string =>
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'List',
        items: names.map((n) => JSON.parse(json('ConfigMap', n, { data: { key: n } })) as object),
      });
    expect(await kubectl('apply -f -', list('one', 'two'))).toBe(
      'configmap/one created\nconfigmap/two created\n',
    );
    const diff = await run('diff -f -', json('ConfigMap', 'one', { data: { key: 'changed' } }));
    expect(diff.exitCode).toBe(1);
    expect(diff.stdout).toMatch(/^-\s+key: one\n\+\s+key: changed$/m);
    const pruned = await kubectl(
      'apply --prune -l set=one --prune-allowlist=core/v1/ConfigMap -f -',
      list('one'),
    );
    expect(pruned).toContain('configmap/two pruned');
    const before = await kubectl('get cm one -o jsonpath={.metadata.uid}');
    await kubectl('replace --force -f -', json('ConfigMap', 'one', { data: {} }));
    expect(await kubectl('get cm one -o jsonpath={.metadata.uid}')).not.toBe(before);
    const unknown = await run('apply -f -', json('ConfigMap', 'one', { bogus: 1 }));
    expect(unknown.stderr).toContain('unknown field "bogus"');
  });

  test('kustomize', async () => {
    const overlay = join(folder, 'overlay');
    mkdirSync(overlay);
    writeFileSync(
      join(overlay, 'kustomization.yaml'),
      'namePrefix: k-\ncommonAnnotations: { by: kustomize }\nconfigMapGenerator: [{ name: made, literals: [a=1] }]\n',
    );
    expect(await kubectl(`apply -k ${overlay}`)).toMatch(/^configmap\/k-made-[a-z0-9]+ created$/m);
    expect(await kubectl(`delete -k ${overlay}`)).toContain('deleted');
  });

  test('labels, annotations, environment', async () => {
    expect(await kubectl('label deploy -l app=web tier=front')).toBe('deployment.apps/web labeled\n');
    expect(await kubectl('get deploy -l tier=front -o name')).toBe('deployment.apps/web\n');
    await kubectl('label deploy -l app=web tier-');
    expect(await kubectl('get deploy -l tier=front -o name')).toBe('');
    const refused = await run('label deploy web app=other');
    expect(refused.stderr).toContain('--overwrite is false');
    await kubectl('annotate deploy web note=1 note2=2');
    await kubectl('annotate deploy web note2-');
    expect(
      await kubectl('get deploy web -o jsonpath={.metadata.annotations.note}{.metadata.annotations.note2}'),
    ).toBe('1');
    await kubectl('set env deploy/web A=1');
    expect(await kubectl('set env deploy/web --list')).toContain('A=1');
    await kubectl('rollout status deploy/web --timeout=60s');
  });

  test('auth: lists, questions, tokens, reconcile', async () => {
    expect(await kubectl('auth can-i --list')).toMatch(/\*\.\*\s+\[\]\s+\[\]\s+\[\*\]/);
    expect(
      (await run('auth can-i create pods --as=system:serviceaccount:default:default')).stdout.trim(),
    ).toBe('no');
    expect(await kubectl('auth whoami')).toContain('system:masters');
    await kubectl('create role reader --verb=get,list --resource=pods');
    await kubectl('create rolebinding reader --role=reader --serviceaccount=default:default');
    const token = (await kubectl('create token default --duration=10m')).trim();
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as {
      sub: string;
    };
    expect(claims.sub).toBe('system:serviceaccount:default:default');
    const bare = `--token=${token} --kubeconfig=/dev/null --insecure-skip-tls-verify --server=${await kubectl('config view -o jsonpath={.clusters[0].cluster.server}')}`;
    expect(await kubectl(`get pods -l app=web -o name ${bare}`)).toContain('pod/web-');
    expect((await run(`get secrets ${bare}`)).stderr).toContain('cannot list resource "secrets"');
  });

  test('cordon, drain with a disruption budget, taint', async () => {
    await kubectl('create pdb web --selector=app=web --min-available=1');
    await kubectl('cordon node-2');
    expect(await kubectl('get node node-2')).toContain('SchedulingDisabled');
    await kubectl('drain node-2 --ignore-daemonsets --delete-emptydir-data --force --timeout=60s');
    const nodes = '{range .items[*]}{.spec.nodeName}{"\\n"}{end}';
    await eventually(
      async () => {
        const { stdout } = await sandbox().kubectl([
          'get',
          'pods',
          '-l',
          'app=web',
          '-o',
          `jsonpath=${nodes}`,
        ]);
        expect(stdout.trim().split('\n')).toEqual(['node-1', 'node-1']);
      },
      { timeoutMs: 30_000 },
    );
    await kubectl('uncordon node-2');
    await kubectl('taint node node-2 k=v:NoSchedule');
    expect(await kubectl('describe node node-2')).toContain('k=v:NoSchedule');
    await kubectl('taint node node-2 k-');
    await kubectl('delete pdb web');
  });

  test('debug: ephemeral container, copy of a pod, node', async () => {
    const [pod = ''] = (await kubectl('get pods -l app=web -o jsonpath={.items[*].metadata.name}')).split(
      ' ',
    );
    await kubectl(`debug ${pod} --image=meshctl/tool --profile=general -c dbg -- tool sleep 600`);
    await eventually(
      async () =>
        expect(
          await kubectl(
            `get pod ${pod} -o jsonpath={.status.ephemeralContainerStatuses[0].state.running.startedAt}`,
          ),
        ).not.toBe(''),
      { timeoutMs: 20_000 },
    );
    expect(await kubectl(`exec ${pod} -c dbg -- curl -s localhost:8080/from-debug`)).toContain('/from-debug');
    await kubectl(`debug ${pod} --image=meshctl/tool --profile=general --copy-to=copy -- sleep 600`);
    await kubectl('wait --for=condition=Ready pod/copy --timeout=30s');
    await kubectl('delete pod copy --now');
    await kubectl('debug node/node-1 --image=meshctl/tool --profile=sysadmin -- ls /host/etc/cni/net.d');
    await eventually(
      async () => {
        const [debugPod = ''] = (await kubectl('get pods -o name'))
          .split('\n')
          .filter((n) => n.includes('node-debugger'));
        expect(await kubectl(`logs ${debugPod}`)).toContain('.conflist');
      },
      { timeoutMs: 30_000 },
    );
  });

  test('cp both ways, logs of many', async () => {
    const [pod = ''] = (await kubectl('get pods -l app=web -o jsonpath={.items[*].metadata.name}')).split(
      ' ',
    );
    writeFileSync(join(folder, 'up'), 'content');
    await kubectl(`cp ${join(folder, 'up')} ${pod}:/tmp/up -c tool`);
    await kubectl(`cp ${pod}:/tmp/up ${join(folder, 'down')} -c tool`);
    expect(await kubectl(`exec ${pod} -c tool -- cat /tmp/up`)).toBe('content');
    expect(await kubectl('logs -l app=web --prefix --tail=1 -c tool')).toMatch(/^\[pod\/web-.*\/tool\] /m);
  });

  test('events, describe, explain, dump', async () => {
    expect(await kubectl('events --for deploy/web')).toContain('ScalingReplicaSet');
    expect(await kubectl('describe deploy web')).toMatch(/NewReplicaSet:\s+web-/);
    expect(await kubectl('explain deployment.spec.strategy')).toContain('rollingUpdate');
    expect(await kubectl('explain pod.spec --output=plaintext-openapiv2')).toContain('containers');
    expect(await kubectl('cluster-info')).toContain('control plane');
    const dump = await kubectl('cluster-info dump --namespaces default -o json');
    for (const part of [
      '"kind": "NodeList"',
      '"kind": "EventList"',
      '"kind": "PodList"',
      'http echo on 8080',
    ])
      expect(dump).toContain(part);
  });

  test('jobs and cron jobs from the command line', async () => {
    await sandbox().kubectl([
      'create',
      'cronjob',
      'cj',
      '--image=meshctl/tool',
      '--schedule=0 0 1 1 *',
      '--',
      'echo',
      'from cron',
    ]);
    await kubectl('create job --from=cronjob/cj manual');
    await kubectl('wait --for=condition=complete job/manual --timeout=60s');
    expect(await kubectl('logs job/manual')).toBe('from cron\n');
  });

  test('delete: orphan, foreground, background', async () => {
    await kubectl('delete deploy web --cascade=orphan');
    const sets = (await kubectl('get rs -l app=web -o name')).trim().split('\n');
    expect(sets.length).toBeGreaterThan(0);
    await kubectl('delete rs -l app=web --cascade=foreground --timeout=60s');
    expect((await kubectl('get pods -l app=web -o name')).trim()).toBe('');
    await kubectl('delete cronjob cj --cascade=background');
    await eventually(async () => expect((await kubectl('get jobs -o name')).trim()).toBe(''), {
      timeoutMs: 20_000,
    });
  });
});
