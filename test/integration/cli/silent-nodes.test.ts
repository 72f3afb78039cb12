import { runInProcess } from '../../harness/in-process.js';
import { Duplex } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { KubeClient } from '#base/kube/client.js';
import { mapConcurrently } from '#base/system/concurrency.js';
import { ApiUnderTest, localKubelet } from '../sandbox/apiserver/api-under-test.js';
import { addNamespace, addNode, addPod } from './mesh-objects.js';

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
  await addNamespace(client, 'istio-system');
  const names = Array.from({ length: nodeCount }, (_, i) => `node-${i + 1}`);
  await mapConcurrently(names, async (node) => {
    await addNode(client, node);
    const image = 'meshctl/ztunnel:1';
    const labels = { app: 'ztunnel' };
    await addPod(client, { namespace: 'istio-system', name: `ztunnel-${node}`, node, labels, image });
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
