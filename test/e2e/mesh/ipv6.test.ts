import { expect, test } from 'vitest';
import { nodes } from '#base/kube/resource.js';
import type { Node } from '#base/kube/types.js';
import { curlFrom, enrollNamespace, installMesh, onePod } from '../../harness/bank.js';
import { applyYaml, waitForPods } from '../../harness/cluster.js';
import { useSandbox } from '../../harness/sandbox.js';

const app = `
apiVersion: v1
kind: Namespace
metadata: { name: six }
---
apiVersion: v1
kind: Pod
metadata: { name: server, namespace: six, labels: { app: server } }
spec: { nodeName: node-2, containers: [{ name: tool, image: 'meshctl/tool:latest' }] }
---
apiVersion: v1
kind: Pod
metadata: { name: client, namespace: six, labels: { app: client } }
spec: { nodeName: node-1, containers: [{ name: tool, image: 'meshctl/tool:latest' }] }
---
apiVersion: v1
kind: Service
metadata: { name: backend, namespace: six }
spec: { selector: { app: server }, ports: [{ port: 80, targetPort: 8080 }] }
`;

const sandbox = useSandbox(
  'ipv6',
  async (s) => {
    await applyYaml(s.client, app);
    await waitForPods(s.client, { namespace: 'six', labelSelector: 'app', count: 2 });
  },
  { flags: ['--ip-families', 'ipv6'], needsKubectl: false },
);

test('a cluster with IPv6 alone, and the mesh on it', async () => {
  const { client, meshctl, env } = sandbox();
  const addresses = (await client.list<Node>(nodes)).flatMap((node) => node.status?.addresses ?? []);
  expect(
    addresses.filter((each) => each.type === 'InternalIP').every((each) => each.address.includes(':')),
  ).toBe(true);
  const call = () => curlFrom(client, { namespace: 'six', app: 'client' }, 'http://backend.six/');
  expect(await call()).toMatchObject({ exitCode: 0, status: 200 });
  expect((await onePod(client, 'six', 'app=server')).status?.podIPs).toEqual([
    { ip: expect.stringMatching(/^fd00:10:244:2::/) },
  ]);

  await installMesh(sandbox());
  await enrollNamespace(sandbox(), 'six');
  expect(await call()).toMatchObject({ exitCode: 0, status: 200 });
  const verified = await meshctl(['verify-install'], { env });
  expect(verified, verified.stdout).toMatchObject({ exitCode: 0 });
});
