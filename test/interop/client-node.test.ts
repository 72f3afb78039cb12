import { once } from 'node:events';
import { createServer, type AddressInfo, connect } from 'node:net';
import { PassThrough } from 'node:stream';
import {
  Attach,
  CoreV1Api,
  Exec,
  KubeConfig,
  KubernetesObjectApi,
  Log,
  PatchStrategy,
  PortForward,
  type V1ConfigMap,
  type V1Status,
  Watch,
} from '@kubernetes/client-node';
import { beforeAll, expect, test } from 'vitest';
import { eventually } from '../harness/cluster.js';
import { useSandbox } from '../harness/sandbox.js';

const namespace = 'default';
const sandbox = useSandbox('client-node', undefined, { needsKubectl: false });
const config = new KubeConfig();
let core: CoreV1Api;

beforeAll(async () => {
  config.loadFromFile(sandbox().env['KUBECONFIG'] ?? '');
  core = config.makeApiClient(CoreV1Api);
  const containers = [{ name: 'tool', image: 'meshctl/tool' }];
  const shell = { name: 'shell', image: 'meshctl/tool', command: ['sh'], stdin: true, tty: true };
  await core.createNamespacedPod({ namespace, body: { metadata: { name: 'app' }, spec: { containers } } });
  await core.createNamespacedPod({
    namespace,
    body: { metadata: { name: 'shell' }, spec: { containers: [shell] } },
  });
  await eventually(
    async () => {
      const { items } = await core.listNamespacedPod({ namespace });
      expect(items.map((p) => p.status?.conditions?.find((c) => c.type === 'Ready')?.status)).toEqual([
        'True',
        'True',
      ]);
    },
    { timeoutMs: 60_000 },
  );
});

/** A stream and what has been written to it. */
function recorder(): { stream: PassThrough; text: () => string } {
  const stream = new PassThrough();
  let text = '';
  stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  return { stream, text: () => text };
}

async function exec(
  command: string[],
  input?: string,
): Promise<{ out: string; err: string; status: V1Status }> {
  const out = recorder();
  const err = recorder();
  const stdin = input === undefined ? null : new PassThrough();
  stdin?.end(input);
  const status = await new Promise<V1Status>((resolve, reject) => {
    new Exec(config)
      .exec(namespace, 'app', 'tool', command, out.stream, err.stream, stdin, false, resolve)
      .catch(reject);
  });
  return { out: out.text(), err: err.text(), status };
}

test('exec keeps output and errors apart and reports the exit code', async () => {
  const { out, err, status } = await exec(['sh', '-c', 'echo out; echo err >&2; exit 3']);
  expect({ out, err }).toEqual({ out: 'out\n', err: 'err\n' });
  expect(status).toMatchObject({ status: 'Failure', reason: 'NonZeroExitCode' });
  expect(status.details?.causes).toContainEqual({ reason: 'ExitCode', message: '3' });
});

test('exec takes input until it ends, also a lot of it', async () => {
  const { out, status } = await exec(['wc', '-c'], 'x'.repeat(300_000));
  expect(out.trim()).toBe('300000');
  expect(status.status).toBe('Success');
});

test('attach types into a running shell', async () => {
  const out = recorder();
  const stdin = new PassThrough();
  const socket = await new Attach(config).attach(namespace, 'shell', 'shell', out.stream, null, stdin, true);
  stdin.write('echo typed $((40 + 2))\n');
  await eventually(() => Promise.resolve(expect(out.text()).toContain('typed 42')), { timeoutMs: 10_000 });
  socket.close();
});

test('logs follow what a container says', async () => {
  const out = recorder();
  const controller = await new Log(config).log(namespace, 'app', 'tool', out.stream, {
    follow: true,
    tailLines: 1,
  });
  await exec(['sh', '-c', 'curl -s localhost:8080/seen-in-the-log']);
  await eventually(() => Promise.resolve(expect(out.text()).toContain('/seen-in-the-log')), {
    timeoutMs: 10_000,
  });
  controller.abort();
});

test('port-forward carries connections one after another', async () => {
  const forward = new PortForward(config);
  const server = createServer((socket) => {
    socket.on('error', () => undefined); // the far side may close first
    void forward.portForward(namespace, 'app', [9090], socket, null, socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  for (const word of ['first', 'second']) {
    const socket = connect(port, '127.0.0.1');
    socket.write(`${word}\n`);
    expect(String((await once(socket, 'data'))[0])).toBe(`${word}\n`);
    socket.destroy();
  }
  server.close();
});

test('a watch sees changes in order and goes on from a version', async () => {
  const events: string[] = [];
  const watch = new Watch(config);
  const { metadata } = await core.listNamespacedConfigMap({ namespace });
  const follow = (resourceVersion: string | undefined) =>
    watch.watch(
      `/api/v1/namespaces/${namespace}/configmaps`,
      { resourceVersion, allowWatchBookmarks: true, labelSelector: 'watched=yes' },
      (type: string, object: V1ConfigMap) => {
        if (type !== 'BOOKMARK') events.push(`${type} ${object.data?.['n']}`);
      },
      () => undefined,
    );
  const first = await follow(metadata?.resourceVersion);
  const body = { metadata: { name: 'w', labels: { watched: 'yes' } }, data: { n: '1' } };
  await core.createNamespacedConfigMap({ namespace, body });
  await core.replaceNamespacedConfigMap({ namespace, name: 'w', body: { ...body, data: { n: '2' } } });
  await core.deleteNamespacedConfigMap({ namespace, name: 'w' });
  const expected = ['ADDED 1', 'MODIFIED 2', 'DELETED 2'];
  await eventually(() => Promise.resolve(expect(events).toEqual(expected)), { timeoutMs: 10_000 });
  first.abort();
  const second = await follow(metadata?.resourceVersion);
  await eventually(() => Promise.resolve(expect(events).toEqual([...expected, ...expected])), {
    timeoutMs: 10_000,
  });
  second.abort();
});

test('objects of any kind are created, patched, applied and listed by the generic client', async () => {
  const objects = KubernetesObjectApi.makeApiClient(config);
  const base = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'any', namespace } };
  await objects.create({ ...base, data: { a: '1' } } as V1ConfigMap);
  const merged = await objects.patch(
    { ...base, data: { b: '2' } } as V1ConfigMap,
    undefined,
    undefined,
    undefined,
    undefined,
    PatchStrategy.MergePatch,
  );
  expect((merged as V1ConfigMap).data).toEqual({ a: '1', b: '2' });
  const applied = await objects.patch(
    { ...base, data: { c: '3' } } as V1ConfigMap,
    undefined,
    undefined,
    'interop',
    true,
    PatchStrategy.ServerSideApply,
  );
  expect((applied as V1ConfigMap).data).toEqual({ a: '1', b: '2', c: '3' });
  const { items } = await objects.list('v1', 'ConfigMap', namespace);
  expect(items.map((i) => i.metadata?.name)).toContain('any');
  await objects.delete(base);
  await expect(objects.read(base)).rejects.toMatchObject({ code: 404 });
});

test('lists are paged without loss', async () => {
  const names = Array.from({ length: 23 }, (_, i) => `page-${String(i).padStart(2, '0')}`);
  const labels = { paged: 'yes' };
  await Promise.all(
    names.map((name) => core.createNamespacedConfigMap({ namespace, body: { metadata: { name, labels } } })),
  );
  const seen: (string | undefined)[] = [];
  for (let token: string | undefined = ''; token !== undefined; ) {
    const page = await core.listNamespacedConfigMap({
      namespace,
      labelSelector: 'paged=yes',
      limit: 5,
      _continue: token,
    });
    seen.push(...page.items.map((i) => i.metadata?.name));
    token = page.metadata?._continue === '' ? undefined : page.metadata?._continue;
  }
  expect(seen).toEqual(names);
});
