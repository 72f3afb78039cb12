import { expect, test } from 'vitest';
import { events, pods } from '#base/kube/resource.js';
import type { KubeObject, Pod } from '#base/kube/types.js';
import {
  bank,
  curlFrom,
  deployBank,
  enrollNamespace,
  expectRefused,
  installMesh,
  sleep,
} from '../../harness/bank.js';
import { eventually, waitForPods } from '../../harness/cluster.js';
import { useSandbox } from '../../harness/sandbox.js';

const sandbox = useSandbox('departure', async (s) => {
  await Promise.all([installMesh(s), deployBank(s.client)]);
  await enrollNamespace(s, bank);
});

/** Probes every second; one that fails shows at once. */
const probed = {
  readinessProbe: { httpGet: { port: 8080 }, periodSeconds: 1, failureThreshold: 1 },
  livenessProbe: { httpGet: { port: 8080 }, periodSeconds: 1, failureThreshold: 2 },
};

function podOnNode2(namespace: string, name: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name, labels: { app: name } },
    spec: {
      nodeName: 'node-2',
      terminationGracePeriodSeconds: 1,
      containers: [
        { name: 'app', image: 'meshctl/tool:latest', ports: [{ containerPort: 8080 }], ...probed },
      ],
    },
  });
}

const apply = async (manifest: string): Promise<void> => {
  const applied = await sandbox().kubectl(['apply', '-f', '-'], { input: manifest });
  expect(applied.exitCode, applied.stderr).toBe(0);
};
/** Has the CNI agent run on nodes with a label; null: on all. */
const selectNodes = async (label: Record<string, string> | null): Promise<void> => {
  const nodeSelector = { 'kubernetes.io/os': 'linux', 'test/mesh': null, ...label };
  const patch = JSON.stringify({ spec: { template: { spec: { nodeSelector } } } });
  const patched = await sandbox().kubectl([
    'patch',
    'daemonset',
    'istio-cni-node',
    '-n',
    'istio-system',
    '--type=merge',
    '-p',
    patch,
  ]);
  expect(patched.exitCode, patched.stderr).toBe(0);
};
const agentsLeft = async (nodes: readonly string[]): Promise<void> =>
  eventually(
    async () => {
      const list = await sandbox().client.list<Pod>(pods, {
        namespace: 'istio-system',
        labelSelector: 'k8s-app=istio-cni-node',
      });
      expect(new Set(list.map(({ spec }) => spec.nodeName))).toEqual(new Set(nodes));
      expect(
        list.every(({ status }) =>
          status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True'),
        ),
      ).toBe(true);
    },
    { timeoutMs: 90_000 },
  );
const eventsOf = async (name: string, namespace: string): Promise<string> => {
  const found = await sandbox().client.list<
    KubeObject & { involvedObject?: { name?: string }; message?: string }
  >(events, { namespace });
  return found
    .filter(({ involvedObject }) => involvedObject?.name === name)
    .map(({ message }) => message)
    .join('\n');
};

test('a node that the CNI agent leaves for good keeps its pods healthy and lets no new one in uncaptured', async () => {
  const { client, kubectl, meshctl } = sandbox();
  const strict = await kubectl(['apply', '-f', 'test/e2e/fixtures/seed-strict-mtls.yaml']);
  expect(strict.exitCode, strict.stderr).toBe(0);
  await apply(podOnNode2(bank, 'probed'));
  await waitForPods(client, { namespace: bank, labelSelector: 'app=probed', count: 1 });
  const before = await client.get<Pod>({ resource: pods, namespace: bank, name: 'probed' });
  const url = `http://${before.status?.podIP}:8080/`;
  // STRICT is in force: who is not of the mesh gets no answer, the kubelet does.
  await eventually(
    async () => expectRefused(await curlFrom(client, { namespace: 'outside', app: 'sleep' }, url)),
    { timeoutMs: 20_000 },
  );

  await kubectl(['label', 'node', 'node-1', 'test/mesh=true']);
  await selectNodes({ 'test/mesh': 'true' });
  await agentsLeft(['node-1']);
  await apply(podOnNode2(bank, 'held'));
  await apply(podOnNode2('outside', 'free'));
  await waitForPods(client, { namespace: 'outside', labelSelector: 'app=free', count: 1 });
  await eventually(async () => expect(await eventsOf('held', bank)).toContain('MESH0710'), {
    timeoutMs: 30_000,
  });
  expect(await eventsOf('node-2', 'default')).toMatch(/no longer selects this node.*bank-of-ambient\/probed/);

  // Many periods of the probes have passed by now.
  const after = await client.get<Pod>({ resource: pods, namespace: bank, name: 'probed' });
  const readySince = (pod: Pod) => pod.status?.conditions?.find(({ type }) => type === 'Ready');
  expect(readySince(after)).toEqual(readySince(before));
  expect(after.status?.containerStatuses?.[0]?.restartCount).toBe(0);
  expect(await curlFrom(client, sleep, url)).toMatchObject({ exitCode: 0, status: 200 });
  expectRefused(await curlFrom(client, { namespace: 'outside', app: 'sleep' }, url));
  const verify = await meshctl(['verify-install']);
  expect(verify.exitCode).toBe(1);
  expect(verify.stdout).toMatch(
    /Node node-2: no CNI agent runs on it: .* does not select it;.*are held back/,
  );

  await selectNodes(null);
  await agentsLeft(['node-1', 'node-2']);
  await waitForPods(client, { namespace: bank, labelSelector: 'app=held', count: 1 });
  const held = await client.get<Pod>({ resource: pods, namespace: bank, name: 'held' });
  expect(held.metadata.annotations?.['ambient.istio.io/redirection']).toBe('enabled');
  await eventually(
    async () => {
      const again = await meshctl(['verify-install']);
      expect(again.exitCode, again.stdout).toBe(0);
    },
    { timeoutMs: 30_000 },
  );
});

test('a mesh whose DaemonSets are deleted leaves pods that talk as if there had never been one', async () => {
  const { client, kubectl, meshctl, name } = sandbox();
  await kubectl(['delete', '-f', 'test/e2e/fixtures/seed-strict-mtls.yaml']);
  const deleted = await kubectl(['delete', 'daemonset', '-n', 'istio-system', 'istio-cni-node', 'ztunnel']);
  expect(deleted.exitCode, deleted.stderr).toBe(0);
  await agentsLeft([]);
  await eventually(
    async () => {
      const list = await client.list<Pod>(pods, { namespace: bank });
      expect(list.filter(({ metadata }) => metadata.annotations?.['ambient.istio.io/redirection'])).toEqual(
        [],
      );
      const answer = await curlFrom(client, sleep, 'http://frontend.bank-of-ambient/');
      expect(answer).toMatchObject({ exitCode: 0, status: 200 });
    },
    { timeoutMs: 60_000 },
  );
  for (const node of ['node-1', 'node-2']) {
    const left = await meshctl([
      'sandbox',
      'exec',
      '--name',
      name,
      node,
      '--',
      'sh',
      '-c',
      'ls -A /opt/cni/bin | grep istio; iptables-save | grep ISTIO; grep -l istio-cni /etc/cni/net.d/*; true',
    ]);
    expect(left.exitCode, left.stderr).toBe(0);
    expect(left.stdout.trim()).toBe('');
  }
});
