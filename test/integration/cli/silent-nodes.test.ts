import { runInProcess } from '../../harness/in-process.js';
import { Duplex } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { KubeClient } from '#base/kube/client.js';
import { namespaces, nodes, pods, serviceAccounts } from '#base/kube/resource.js';
import { mapConcurrently } from '#base/system/concurrency.js';
import { ApiUnderTest, eventually, localKubelet } from '../sandbox/apiserver/api-under-test.js';

const nodeCount = 1_000;

let api: ApiUnderTest;
/** Connections into pods that stand at the moment, and the most that ever did. */
let open = 0;
let openMax = 0;
let asked = 0;

/** The connection into a pod whose process is stopped: it stands, and nothing comes back. */
function silence(): Duplex {
  asked++;
  openMax = Math.max(openMax, ++open);
  const hole = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
  return hole.once('close', () => open--);
}

beforeAll(async () => {
  api = await ApiUnderTest.start({
    kubelet: { ...localKubelet, portForward: () => Promise.resolve(silence()) },
  });
  const client = await KubeClient.fromKubeconfig({ kubeconfig: api.kubeconfig });
  const metadata = { name: 'istio-system' };
  await client.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata });
  const account = { resource: serviceAccounts, namespace: metadata.name, name: 'default' };
  await eventually(async () => (await client.getOrUndefined(account)) !== undefined);
  const names = Array.from({ length: nodeCount }, (_, i) => `node-${i + 1}`);
  await mapConcurrently(names, async (name) => {
    await client.create(nodes, { apiVersion: 'v1', kind: 'Node', metadata: { name } });
    const pod = { name: `ztunnel-${name}`, labels: { app: 'ztunnel' } };
    await client.create(
      pods,
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: pod,
        spec: { nodeName: name, containers: [{ name: 'istio-proxy', image: 'meshctl/ztunnel:1' }] },
      },
      { namespace: metadata.name },
    );
    await client.patch(
      { resource: pods, namespace: metadata.name, name: pod.name, subresource: 'status' },
      { status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] } },
    );
  });
  client.close();
}, 180_000);

afterAll(() => api.stop());

test('a thousand stopped node proxies: some are asked at a time, and the command ends in time', async () => {
  const args = ['version', '-o', 'json', '--timeout', '12s', '--kubeconfig', api.kubeconfig];
  const startedMs = performance.now();
  const { stdout } = await runInProcess(args);
  expect(performance.now() - startedMs).toBeLessThan(15_000);
  const { components } = JSON.parse(stdout) as { components: { error?: string; source: string }[] };
  expect(components).toHaveLength(nodeCount);
  expect(components.every(({ source }) => source === 'image')).toBe(true);
  const silent = components.filter(({ error }) => error?.includes('did not answer on port 15000 within 5 s'));
  expect(silent.length).toBeGreaterThanOrEqual(32);
  const unasked = components.filter(({ error }) => error?.includes('was not asked'));
  expect(unasked.length).toBeGreaterThan(nodeCount / 2);
  expect(asked).toBeGreaterThanOrEqual(32);
  expect(openMax).toBeLessThanOrEqual(40);
});
