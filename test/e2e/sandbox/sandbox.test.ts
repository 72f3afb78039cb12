import { expect, test } from 'vitest';
import { deployments, pods } from '#base/kube/resource.js';
import type { Pod } from '#base/kube/types.js';
import { bank, curlFrom, deployBank, onePod, outsider, sleep } from '../../harness/bank.js';
import { eventually, waitForPods } from '../../harness/cluster.js';
import { useSandbox } from '../../harness/sandbox.js';

const sandbox = useSandbox('sandbox', (s) => deployBank(s.client));

test('kubectl sees two ready nodes and the server version', async () => {
  const { kubectl } = sandbox();
  const nodes = await kubectl(['get', 'nodes', '--no-headers']);
  expect(nodes.exitCode, nodes.stderr).toBe(0);
  expect(nodes.stdout.match(/\sReady\s/g)).toHaveLength(2);
  const version = await kubectl(['version', '-o', 'json']);
  expect(JSON.parse(version.stdout)).toHaveProperty('serverVersion.major', '1');
});

test('pods reach each other by service name and by address, on one node and across nodes', async () => {
  const { client } = sandbox();
  for (const from of [sleep, outsider]) {
    const answer = await curlFrom(client, from, `http://frontend.${bank}.svc.cluster.local/`);
    expect(answer).toMatchObject({ exitCode: 0, status: 200 });
  }
  for (const at of ['near', 'far']) {
    const pod = await onePod(client, bank, `app=frontend,at=${at}`);
    const answer = await curlFrom(client, sleep, `http://${pod.status?.podIP}:8080/`);
    expect(answer.body).toContain(`frontend-${at}`);
  }
});

test('logs, exec and port-forward work with kubectl', async () => {
  const { client, kubectl } = sandbox();
  const pod = await onePod(client, bank, 'app=frontend,at=near');
  const exec = await kubectl([
    'exec',
    pod.metadata.name,
    '-n',
    bank,
    '--',
    'sh',
    '-c',
    'echo out; echo err >&2; exit 7',
  ]);
  expect(exec.exitCode).toBe(7);
  expect(exec.stdout).toBe('out\n');
  expect(exec.stderr).toContain('err');
  const input = await kubectl(['exec', '-i', pod.metadata.name, '-n', bank, '--', 'cat'], {
    input: 'through and back',
  });
  expect(input.stdout).toBe('through and back');
  // kubectl up to 1.30 and client-go programs speak SPDY.
  const spdy = await kubectl(['exec', '-i', pod.metadata.name, '-n', bank, '--', 'sh', '-c', 'cat; exit 7'], {
    input: 'through and back',
    env: { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: 'false' },
  });
  expect(spdy).toMatchObject({ exitCode: 7, stdout: 'through and back' });
  const logs = await kubectl(['logs', pod.metadata.name, '-n', bank, '--tail=5', '--timestamps']);
  expect(logs.exitCode, logs.stderr).toBe(0);
  const port = 20_000 + Math.floor(Math.random() * 20_000);
  const forward = kubectl(['port-forward', `pod/${pod.metadata.name}`, '-n', bank, `${port}:8080`], {
    timeoutMs: 8_000,
  });
  const body = await eventually(async () => (await fetch(`http://127.0.0.1:${port}/`)).text(), {
    timeoutMs: 6_000,
  });
  expect(body).toContain('frontend-near');
  await forward;
});

test('the API server leads to services, pods and kubelets behind it', async () => {
  const { client, kubectl } = sandbox();
  const pod = await onePod(client, bank, 'app=frontend,at=near');
  const raw = async (path: string): Promise<string> => {
    const answer = await kubectl(['get', '--raw', path]);
    expect(answer.exitCode, answer.stderr).toBe(0);
    return answer.stdout;
  };
  expect(await raw(`/api/v1/namespaces/${bank}/services/http:frontend:80/proxy/`)).toContain('frontend-');
  expect(await raw(`/api/v1/namespaces/${bank}/pods/${pod.metadata.name}:8080/proxy/a/b?c=d`)).toContain(
    'frontend-near',
  );
  expect(await raw(`/api/v1/nodes/${pod.spec.nodeName}/proxy/healthz`)).toBe('ok');
  // Only visits of a page are led to its slash; anything else goes to the pod as it is.
  const target = `/api/v1/namespaces/${bank}/pods/${pod.metadata.name}:8080/proxy?c=d`;
  const post = await kubectl(['create', '--raw', target, '-f', '-'], { input: '{}' });
  expect(post).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('POST') as string });
  const stranger = await curlFrom(client, sleep, '-k', `https://${pod.status?.hostIP}:10250/pods`);
  expect(stranger).toMatchObject({ status: 401, body: 'Unauthorized' });
  const missing = await kubectl(['get', '--raw', `/api/v1/namespaces/${bank}/services/nope/proxy/`]);
  expect(missing.stderr).toContain('services "nope" not found');
});

test('a deployment rolls, scales and heals', async () => {
  const { client, kubectl } = sandbox();
  expect((await kubectl(['scale', 'deployment/sleep', '-n', 'outside', '--replicas=3'])).exitCode).toBe(0);
  const three = await waitForPods(client, { namespace: 'outside', labelSelector: 'app=sleep', count: 3 });
  await kubectl(['delete', 'pod', three[0]?.metadata.name ?? '', '-n', 'outside', '--wait=false']);
  await waitForPods(client, { namespace: 'outside', labelSelector: 'app=sleep', count: 3 });
  await kubectl(['set', 'env', 'deployment/sleep', '-n', 'outside', 'A=b']);
  const rolled = await kubectl(['rollout', 'status', 'deployment/sleep', '-n', 'outside', '--timeout=60s']);
  expect(rolled.exitCode, rolled.stderr).toBe(0);
  const now = await waitForPods(client, { namespace: 'outside', labelSelector: 'app=sleep', count: 3 });
  for (const pod of now) expect(pod.spec.containers[0]?.env).toEqual([{ name: 'A', value: 'b' }]);
});

test('an unknown image says how to load it; a crashing container backs off', async () => {
  const { client, kubectl } = sandbox();
  await kubectl(['run', 'foreign', '--image=example.com/foreign:1']);
  await kubectl(['run', 'crash', '--image=meshctl/tool:latest', '--', 'sh', '-c', 'exit 3']);
  await eventually(
    async () => {
      const foreign = await client.get<Pod>({ resource: pods, namespace: 'default', name: 'foreign' });
      const waiting = foreign.status?.containerStatuses?.[0]?.state?.waiting;
      expect(waiting?.reason).toMatch(/ImagePullBackOff|ErrImagePull/);
      expect(waiting?.message).toContain('sandbox load');
      const crash = await client.get<Pod>({ resource: pods, namespace: 'default', name: 'crash' });
      const status = crash.status?.containerStatuses?.[0];
      expect(status?.restartCount).toBeGreaterThan(0);
      expect((status?.lastState ?? status?.state)?.terminated?.exitCode).toBe(3);
    },
    { timeoutMs: 30_000 },
  );
});

test('server-side apply, validation and RBAC are enforced', async () => {
  const { client, kubectl } = sandbox();
  const bad = await kubectl(['apply', '--server-side', '-f', '-'], {
    input: JSON.stringify({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'x', namespace: 'default' },
      spec: {},
    }),
  });
  expect(bad.exitCode).not.toBe(0);
  expect(bad.stderr).toMatch(/selector/);
  const forbidden = await kubectl(['get', 'pods', '-A', '--as', 'system:serviceaccount:default:default']);
  expect(forbidden.exitCode).not.toBe(0);
  expect(forbidden.stderr).toContain('forbidden');
  expect(
    await client.getOrUndefined({ resource: deployments, namespace: 'default', name: 'x' }),
  ).toBeUndefined();
});

test('sandbox status and list tell what runs; a second up is refused or reused', async () => {
  const { meshctl, name } = sandbox();
  const status = await meshctl(['sandbox', 'status', '--name', name, '-o', 'json']);
  expect(status.exitCode, status.stderr).toBe(0);
  expect(status.stdout).toContain('node-2');
  const list = await meshctl(['sandbox', 'list']);
  expect(list.stdout).toContain(name);
});
