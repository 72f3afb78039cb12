import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { eventually } from '../harness/cluster.js';
import { archiveOf, ociLayout, tarOf } from '../harness/image-archive.js';
import { command } from '../harness/meshctl.js';
import { useSandbox } from '../harness/sandbox.js';
import { makeTestFolder } from '../harness/test-user.js';
import { certificateFor } from '../integration/sandbox/tool/certificate.js';
import { crd, deployment, webhooks } from './controller-runtime/manifests.js';
import { controllerSource, describeWith } from './programs.js';

const buildTimeoutMs = 540_000;

describeWith('a controller made with controller-runtime', { needs: ['kubectl', 'go', 'go modules'] }, () => {
  const folder = makeTestFolder();
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const sandbox = useSandbox('controller', async (s) => {
    const program = join(folder, 'widgets');
    const build = await command('go', ['build', '-trimpath', '-ldflags=-s -w', '-o', program, '.'], {
      cwd: controllerSource,
      env: { CGO_ENABLED: '0', GOFLAGS: '-mod=readonly' },
      timeoutMs: buildTimeoutMs,
    });
    expect(build.exitCode, build.stderr).toBe(0);
    // Nothing but the program: no shell, no users, no libraries.
    const layers = [await tarOf([{ name: 'widgets', mode: 0o755, content: readFileSync(program) }])];
    const image = {
      name: 'shop/widgets:1',
      layers,
      config: { Entrypoint: ['/widgets'], User: '65532:65532' },
    };
    const archive = join(folder, 'widgets.tar');
    writeFileSync(archive, await archiveOf(ociLayout([image])), { mode: 0o644 });
    const loaded = await s.meshctl(['sandbox', 'load', archive, '--name', s.name]);
    expect(loaded.exitCode, loaded.stderr).toBe(0);
    const certificate = await certificateFor('widgets.shop.svc');
    for (const manifest of [crd, deployment(certificate), webhooks(certificate.certPem)]) {
      const applied = await s.kubectl(['apply', '-f', '-'], { input: JSON.stringify(manifest) });
      expect(applied.exitCode, applied.stderr).toBe(0);
    }
    const ready = await s.kubectl(['rollout', 'status', 'deploy/widgets', '-n', 'shop', '--timeout=60s']);
    expect(ready.exitCode, ready.stderr).toBe(0);
  });

  async function kubectl(args: readonly string[], input?: string): Promise<string> {
    const { exitCode, stdout, stderr } = await sandbox().kubectl(args, input === undefined ? {} : { input });
    expect(exitCode, `kubectl ${args.join(' ')}: ${stderr}`).toBe(0);
    return stdout;
  }

  const widget = (name: string, spec: object): string =>
    JSON.stringify({
      apiVersion: 'shop.example.com/v1',
      kind: 'Widget',
      metadata: { name, namespace: 'shop' },
      spec,
    });

  const get = (what: string, jsonpath: string): Promise<string> =>
    kubectl(['get', '-n', 'shop', what, '-o', `jsonpath=${jsonpath}`]);

  const textBecomes = (name: string, text: string): Promise<void> =>
    eventually(async () => expect(await get(`configmap/${name}`, '{.data.text}')).toBe(text), {
      timeoutMs: 30_000,
    });

  test('reconciles: owned object by server-side apply, status, condition, event', async () => {
    await kubectl(['create', '-f', '-'], widget('first', { message: 'ab', repeat: 3 }));
    await textBecomes('first', 'ababab');
    await kubectl(['wait', '-n', 'shop', 'widget/first', '--for=condition=Ready', '--timeout=20s']);
    expect(await get('widget/first', '{.status.text} {.status.observedGeneration}')).toBe('ababab 1');
    expect(
      await get(
        'configmap/first',
        '{.metadata.ownerReferences[0].kind} {.metadata.ownerReferences[0].controller}',
      ),
    ).toBe('Widget true');
    const managers = '{range .metadata.managedFields[*]}{.manager}/{.operation} {end}';
    expect(
      await kubectl([
        'get',
        '-n',
        'shop',
        'configmap/first',
        '--show-managed-fields',
        '-o',
        `jsonpath=${managers}`,
      ]),
    ).toBe('widget-controller/Apply ');
    await eventually(
      async () =>
        expect(await kubectl(['events', '-n', 'shop', '--for', 'widget/first'])).toContain('LedgerOpened'),
      { timeoutMs: 20_000 },
    );
  });

  test('its watches see changes of the object and of what it owns', async () => {
    await kubectl(['patch', '-n', 'shop', 'widget/first', '--type=merge', '-p', '{"spec":{"message":"x"}}']);
    await textBecomes('first', 'xxx');
    await kubectl([
      'patch',
      '-n',
      'shop',
      'configmap/first',
      '--type=merge',
      '-p',
      '{"data":{"text":"drifted"}}',
    ]);
    await textBecomes('first', 'xxx');
    await kubectl(['delete', '-n', 'shop', 'configmap/first']);
    await textBecomes('first', 'xxx');
  });

  test('its webhooks default, refuse and warn', async () => {
    await kubectl(['create', '-f', '-'], widget('defaulted', { message: 'y' }));
    await textBecomes('defaulted', 'yy');
    const refused = await sandbox().kubectl(['create', '-f', '-'], {
      input: widget('bad', { message: 'forbidden' }),
    });
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toContain('the message "forbidden" is not allowed');
    const warned = await sandbox().kubectl(['create', '-f', '-'], {
      input: widget('blank', { message: ' z' }),
    });
    expect(warned.exitCode).toBe(0);
    expect(warned.stderr).toContain('Warning: the message begins with a blank');
  });

  test('when the leader goes, the other replica takes over', async () => {
    const holder = (): Promise<string> => get('lease/widgets.shop.example.com', '{.spec.holderIdentity}');
    const before = await holder();
    await kubectl(['delete', 'pod', '-n', 'shop', before.split('_')[0] ?? '', '--wait=false']);
    await eventually(async () => expect(await holder()).not.toBe(before), { timeoutMs: 40_000 });
    await kubectl(['create', '-f', '-'], widget('later', { message: 'q', repeat: 1 }));
    await textBecomes('later', 'q');
  });

  test('a deleted object is finalized, and what it owned is collected', async () => {
    await kubectl(['delete', '-n', 'shop', 'widget/first', '--timeout=30s']);
    await eventually(
      async () => {
        const left = await kubectl(['get', 'configmaps', '-n', 'shop', '-o', 'name']);
        expect(left.split('\n')).not.toContain('configmap/first');
        expect(left.split('\n')).not.toContain('configmap/first-ledger');
      },
      { timeoutMs: 30_000 },
    );
  });

  test('it was allowed nothing more than its role says', async () => {
    const as = '--as=system:serviceaccount:shop:widgets';
    const denied = await sandbox().kubectl(['get', 'secrets', '-n', 'shop', as]);
    expect(denied.exitCode).toBe(1);
    expect(denied.stderr).toContain(
      'User "system:serviceaccount:shop:widgets" cannot list resource "secrets"',
    );
  });
});
