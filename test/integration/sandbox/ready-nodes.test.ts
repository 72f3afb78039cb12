import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { KubeClient } from '#base/kube/client.js';
import { readyNodes } from '#sandbox/supervisor/nodes/ready-nodes.js';

test('an API server that hangs or is gone is said soon not to answer', async () => {
  const silent = createServer((socket) => onTestFinished(() => void socket.destroy()));
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  const client = new KubeClient({ server: `http://127.0.0.1:${port}` });
  onTestFinished(() => client.close());
  expect(await readyNodes(client)).toBeUndefined();
  silent.close();
  expect(await readyNodes(client)).toBeUndefined();
});
