import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { KubeClient } from '#base/kube/client.js';
import { configMaps, events, nodes, pods, runtimeClasses } from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import type { KubeletPod } from '#sandbox/node/model/pod.js';

// Set before the launcher is loaded: nothing of the user's is touched.
const folder = mkdtempSync(join(tmpdir(), 'sandbox-it-'));
process.env['XDG_STATE_HOME'] = join(folder, 'state');
process.env['KUBECONFIG'] = join(folder, 'kubeconfig');
const { checkHost, sandboxDown, sandboxExec, sandboxKubeconfig, sandboxList, sandboxStatus, sandboxUp } =
  await import('#sandbox/launcher/index.js');

const name = 'it';
const missing = await checkHost();
if (missing.length > 0) process.stderr.write(`skipped: no sandbox here, ${JSON.stringify(missing)}\n`);
const isBuilt = existsSync('dist/sandbox.js');
if (!isBuilt) process.stderr.write('skipped: dist/ is not built (npm run build)\n');

interface EventObject extends KubeObject {
  reason: string;
  message: string;
  involvedObject: { name: string };
}

describe.skipIf(missing.length > 0 || !isBuilt)('a sandbox', () => {
  let client: KubeClient;

  beforeAll(async () => {
    await sandboxUp({ name });
    client = await KubeClient.fromKubeconfig({ kubeconfig: process.env['KUBECONFIG'] });
  });

  afterAll(async () => {
    client?.close();
    await sandboxDown({ name });
    rmSync(folder, { recursive: true, force: true });
  });

  const run = (podName: string, spec: object, annotations = {}) =>
    client.create<KubeletPod>(
      pods,
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: podName, annotations },
        spec: { terminationGracePeriodSeconds: 1, ...spec },
      },
      { namespace: 'default' },
    );
  const container = (o: object) => ({
    name: 'c',
    image: 'meshctl/tool',
    command: ['sleep', 'infinity'],
    ...o,
  });
  const get = (podName: string) =>
    client.get<KubeletPod>({ resource: pods, namespace: 'default', name: podName });
  const until = (podName: string, check: (pod: KubeletPod) => void, timeout = 20_000) =>
    expect.poll(async () => tryCheck(await get(podName), check), { timeout, interval: 50 }).toBe('');
  const eventsOf = async (podName: string) =>
    (await client.list<EventObject>(events, { namespace: 'default' })).filter(
      (e) => e.involvedObject.name === podName,
    );
  const onNode = async (command: string) =>
    sandboxExec({ name, node: 'node-1', command: ['sh', '-c', command], stdio: 'ignore' });

  test('is ready, listed, and up again changes nothing', async () => {
    const again = await sandboxUp({ name });
    expect(again).toMatchObject({ wasRunning: true, nodes: ['node-1', 'node-2'], context: 'sandbox-it' });
    expect(sandboxList().map((s) => [s.name, s.state])).toEqual([['it', 'running']]);
    const status = await sandboxStatus({ name });
    expect(status.supervisor?.nodes.map((n) => [n.name, n.isReady])).toEqual([
      ['node-1', true],
      ['node-2', true],
    ]);
    expect(status.supervisor?.memoryBytes).toBeLessThan(300 * 1024 * 1024);
    expect(parse(await sandboxKubeconfig({ name }))['current-context']).toBe('sandbox-it');
    await expect(sandboxUp({ name, nodes: 3 })).rejects.toMatchObject({ code: 'MESH0804' });
  });

  test('exec on a node gives its exit code; an unknown node is refused', async () => {
    expect(await onNode('test "$(hostname)" = node-1 && exit 5')).toBe(5);
    await expect(sandboxExec({ name, node: 'node-9', command: ['true'] })).rejects.toMatchObject({
      code: 'MESH0807',
    });
    await expect(sandboxExec({ name: 'none', node: 'node-1', command: ['true'] })).rejects.toMatchObject({
      code: 'MESH0803',
    });
  });

  test('init containers, sidecars and main containers start in order', async () => {
    await run('order', {
      restartPolicy: 'Never',
      initContainers: [
        container({
          name: 'i',
          command: ['sh', '-c', 'echo i >> /d/f'],
          volumeMounts: [{ name: 'd', mountPath: '/d' }],
        }),
        container({
          name: 's',
          restartPolicy: 'Always',
          command: ['sh', '-c', 'echo s >> /d/f; exec sleep infinity'],
          startupProbe: { exec: { command: ['grep', '-q', 's', '/d/f'] }, periodSeconds: 1 },
          volumeMounts: [{ name: 'd', mountPath: '/d' }],
        }),
      ],
      containers: [
        container({
          command: ['sh', '-c', 'echo m >> /d/f; tr -d "\\n" < /d/f > /dev/termination-log'],
          volumeMounts: [{ name: 'd', mountPath: '/d' }],
        }),
      ],
      volumes: [{ name: 'd', emptyDir: {} }],
    });
    await until('order', (pod) => {
      expect(pod.status?.phase).toBe('Succeeded');
      expect(pod.status?.containerStatuses?.[0]?.state.terminated).toMatchObject({
        reason: 'Completed',
        message: 'ism',
      });
    });
  });

  test('a failed liveness probe restarts, a readiness probe decides readiness', async () => {
    await run('probed', {
      // However the container ends, it is the probe that has failed.
      restartPolicy: 'OnFailure',
      containers: [
        container({
          command: ['sh', '-c', 'trap "exit 0" TERM; touch /alive; tool & wait'],
          livenessProbe: { exec: { command: ['cat', '/alive'] }, periodSeconds: 1, failureThreshold: 1 },
          readinessProbe: { httpGet: { path: '/', port: 8080 }, periodSeconds: 1, failureThreshold: 1 },
        }),
      ],
    });
    await until('probed', (pod) => {
      expect(pod.status?.conditions?.find((c) => c.type === 'Ready')?.status).toBe('True');
    });
    const { spec, metadata } = await get('probed');
    const folders = await sandboxExec({
      name,
      node: spec.nodeName ?? '',
      command: ['sh', '-c', 'rm /var/lib/containers/*/rootfs/alive'],
      stdio: 'ignore',
    });
    expect(folders).toBe(0);
    await until('probed', (pod) =>
      expect(pod.status?.containerStatuses?.[0]?.restartCount).toBeGreaterThan(0),
    );
    const reasons = (await eventsOf(metadata.name)).map((e) => e.reason);
    expect(reasons).toEqual(expect.arrayContaining(['Unhealthy', 'Killing']));
  });

  test('a changed ConfigMap reaches the volume of a running pod', async () => {
    const map = (text: string) => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'm' },
      data: { k: text },
    });
    await client.create(configMaps, map('old'), { namespace: 'default' });
    await run('mounted', {
      restartPolicy: 'Never',
      containers: [
        container({
          command: ['sh', '-c', 'cat /m/k; until grep -q new /m/k; do sleep 0.05; done'],
          volumeMounts: [{ name: 'm', mountPath: '/m', readOnly: true }],
        }),
      ],
      volumes: [{ name: 'm', configMap: { name: 'm' } }],
    });
    await until('mounted', (pod) => expect(pod.status?.phase).toBe('Running'));
    await client.patch({ resource: configMaps, namespace: 'default', name: 'm' }, { data: { k: 'new' } });
    await until('mounted', (pod) => expect(pod.status?.phase).toBe('Succeeded'));
  });

  test('a refusing network plugin holds a pod back, with an event, until it agrees', async () => {
    const script =
      'cat > /opt/cni/bin/gate <<"X"\n#!/bin/sh\nin=$(cat)\n[ "$CNI_COMMAND" = ADD ] || exit 0\n' +
      '[ -e /run/open ] || { echo \'{"code":11,"msg":"the gate is closed"}\'; exit 1; }\n' +
      'echo "$in" | sed \'s/.*"prevResult"://; s/}$//\'\nX\nchmod 755 /opt/cni/bin/gate\n' +
      'tr -d "\\n" < /etc/cni/net.d/10-sandbox.conflist | sed "s/\\(.*\\)\\]\\(.*\\)/\\1,{\\"type\\":\\"gate\\"}]\\2/" > /tmp/c && cp /tmp/c /etc/cni/net.d/00-gate.conflist';
    expect(await onNode(script)).toBe(0);
    await run('gated', { nodeName: 'node-1', containers: [container({})] });
    await expect
      .poll(async () => (await eventsOf('gated')).map((e) => e.message).join(), { timeout: 10_000 })
      .toContain('plugin type="gate" failed (add): the gate is closed');
    expect((await get('gated')).status?.phase).toBe('Pending');
    expect(await onNode('touch /run/open')).toBe(0);
    await until('gated', (pod) => expect(pod.status?.phase).toBe('Running'));
    expect(await onNode('rm /etc/cni/net.d/00-gate.conflist')).toBe(0);
  });

  test('a runtime that is not there holds a pod back, with an event', async () => {
    const runtimeClass = { apiVersion: 'node.k8s.io/v1', kind: 'RuntimeClass' };
    for (const handler of ['gvisor', 'runc'])
      await client.create(runtimeClasses, { ...runtimeClass, metadata: { name: handler }, handler });
    await run('elsewhere', { runtimeClassName: 'gvisor', containers: [container({})] });
    await run('ordinary', { runtimeClassName: 'runc', containers: [container({})] });
    await expect
      .poll(async () => (await eventsOf('elsewhere')).map((e) => e.message).join(), { timeout: 10_000 })
      .toContain('no runtime for "gvisor" is configured');
    expect((await get('elsewhere')).status?.phase).toBe('Pending');
    await until('ordinary', (pod) => expect(pod.status?.phase).toBe('Running'));
  });

  test('an unknown image, a missing ConfigMap and a crash are told apart', async () => {
    await run('foreign', { containers: [container({ image: 'example.com/x:1' })] });
    await run('unconfigured', {
      containers: [
        container({ env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'none', key: 'k' } } }] }),
      ],
    });
    await run('crashing', { containers: [container({ command: ['sh', '-c', 'exit 3'] })] });
    await until('foreign', (pod) => {
      const { waiting } = pod.status?.containerStatuses?.[0]?.state ?? {};
      expect(waiting?.reason).toBe('ImagePullBackOff');
      expect(waiting?.message).toContain('meshctl sandbox load');
    });
    await until('unconfigured', (pod) => {
      expect(pod.status?.containerStatuses?.[0]?.state.waiting).toMatchObject({
        reason: 'CreateContainerConfigError',
        message: 'configmap "none" not found',
      });
    });
    await until('crashing', (pod) => {
      const status = pod.status?.containerStatuses?.[0];
      expect(status?.state.waiting?.reason).toBe('CrashLoopBackOff');
      expect(status?.lastState.terminated?.exitCode).toBe(3);
      expect(status?.restartCount).toBeGreaterThan(1);
    });
  });

  test('a deleted pod gets its grace period and then is gone', async () => {
    await run('polite', {
      terminationGracePeriodSeconds: 20,
      containers: [container({ command: ['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 0.05; done'] })],
    });
    await until('polite', (pod) => expect(pod.status?.phase).toBe('Running'));
    const startedAt = Date.now();
    await client.delete({ resource: pods, namespace: 'default', name: 'polite' });
    await expect
      .poll(() => client.getOrUndefined({ resource: pods, namespace: 'default', name: 'polite' }), {
        timeout: 10_000,
      })
      .toBeUndefined();
    expect(Date.now() - startedAt).toBeLessThan(10_000);
  });

  test('a node whose first process is killed boots again, with its pods', async () => {
    await run('survivor', { nodeName: 'node-2', containers: [container({})] });
    await until('survivor', (pod) => expect(pod.status?.phase).toBe('Running'));
    const before = (await sandboxStatus({ name })).supervisor?.nodes[1]?.initPid;
    // From inside nobody can kill pid 1; from the machine anybody with the rights can.
    const { pid } = await sandboxStatus({ name });
    process.kill(nodeProcess(pid ?? 0, 'node-2'), 'SIGKILL');
    await until('survivor', (pod) => {
      expect(pod.status?.containerStatuses?.[0]?.restartCount).toBe(1);
      expect(pod.status?.conditions?.find((c) => c.type === 'Ready')?.status).toBe('True');
    });
    expect((await sandboxStatus({ name })).supervisor?.nodes[1]?.initPid).not.toBe(before);
    const node = await client.get<
      KubeObject & { status: { conditions: { type: string; status: string }[] } }
    >({
      resource: nodes,
      name: 'node-2',
    });
    expect(node.status.conditions.find((c) => c.type === 'Ready')?.status).toBe('True');
  });

  test('two sandboxes side by side do not see each other', async () => {
    const o = { name: 'other', nodes: 1, noKubeconfig: true };
    const [other, same] = await Promise.all([sandboxUp(o), sandboxUp(o)]);
    expect(same.server).toBe(other.server);
    expect(other.wasRunning).not.toBe(same.wasRunning);
    expect(other.server).not.toBe((await sandboxStatus({ name })).server);
    expect(sandboxList()).toHaveLength(2);
    expect(await sandboxDown({ name: 'other' })).toBe('removed');
    expect(await sandboxDown({ name: 'other' })).toBe('absent');
    expect(sandboxList()).toHaveLength(1);
  });

  test('after kill -9 of its supervisor nothing runs on, and up starts afresh', async () => {
    await sandboxUp({ name: 'crash', nodes: 1 });
    const { pid } = await sandboxStatus({ name: 'crash' });
    const all = descendants(pid ?? 0);
    const supervisor = all.find(
      (p) => commandLine(p).includes('sandbox.js') && /^\S*node/.test(commandLine(p)),
    );
    expect(supervisor).toBeDefined();
    process.kill(supervisor ?? 0, 'SIGKILL');
    await expect.poll(() => all.filter((p) => existsSync(`/proc/${p}/cwd`)), { timeout: 5_000 }).toEqual([]);
    expect((await sandboxStatus({ name: 'crash' })).state).toBe('crashed');
    chmodSync(join(folder, 'state/meshctl/sandbox/crash/nodes'), 0o700);
    const again = await sandboxUp({ name: 'crash', nodes: 1 });
    expect(again.wasRunning).toBe(false);
    await sandboxDown({ name: 'crash' });
    expect(existsSync(join(folder, 'state/meshctl/sandbox/crash'))).toBe(false);
    const contexts = parse(readFileSync(join(folder, 'kubeconfig'), 'utf8')) as {
      contexts: { name: string }[];
    };
    expect(contexts.contexts.map((c) => c.name)).toEqual(['sandbox-it']);
  });
});

/** '' when the check passes, otherwise what it complained about. */
function tryCheck(pod: KubeletPod, check: (pod: KubeletPod) => void): string {
  try {
    check(pod);
    return '';
  } catch (error) {
    return `${String(error)}\n${JSON.stringify(pod.status)}`;
  }
}

function descendants(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .split(' ')
    .filter(Boolean)
    .map(Number);
  return [pid, ...children.flatMap(descendants)];
}

function commandLine(pid: number): string {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
}

function nodeProcess(sandboxPid: number, node: string): number {
  const found = descendants(sandboxPid).find((p) => commandLine(p).includes(`--hostname ${node} `));
  if (found === undefined) throw new Error(`no process of ${node}`);
  return found;
}
