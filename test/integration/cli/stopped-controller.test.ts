import { Duplex } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { deployments, pods, services } from '#base/kube/resource.js';
import { runInProcess } from '../../harness/in-process.js';
import { ClusterUnderTest, meshNamespace } from '../mesh/install/cluster.js';
import { localKubelet } from '../sandbox/apiserver/api-under-test.js';
import { addNamespace, addNode, addPod, hasDefaultAccount } from './mesh-objects.js';

let cluster: ClusterUnderTest;

/** The connection into a pod whose process is stopped: it stands, and nothing comes back. */
function silence(): Duplex {
  return new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
}

const deployment = { resource: deployments, namespace: meshNamespace, name: 'istiod' };
const controller = { namespace: meshNamespace, name: 'istiod-1', node: 'node-1', labels: { app: 'istiod' } };

beforeAll(async () => {
  cluster = await ClusterUnderTest.start({
    kubelet: { ...localKubelet, portForward: () => Promise.resolve(silence()) },
  });
  await cluster.install();
  await hasDefaultAccount(cluster.client, meshNamespace);
  await addNode(cluster.client, 'node-1');
  await addNamespace(cluster.client, 'shop');
  await addPod(cluster.client, { namespace: 'shop', name: 'web', node: 'node-1', labels: { app: 'web' } });
  await cluster.client.create(
    services,
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web' },
      spec: { selector: { app: 'web' }, ports: [{ port: 80 }] },
    },
    { namespace: 'shop' },
  );
}, 60_000);

afterAll(() => cluster.stop());

interface Seen {
  readonly code: string;
  readonly severity: string;
  readonly message: string;
  readonly evidence?: readonly string[];
  readonly fix?: string;
  readonly consequences?: readonly Seen[];
}

async function outagesTold(...args: string[]): Promise<readonly Seen[]> {
  const { stdout, stderr } = await runInProcess([
    ...args,
    '-o',
    'json',
    '--timeout',
    '3s',
    '--kubeconfig',
    cluster.api.kubeconfig,
  ]);
  expect(stdout, stderr).not.toBe('');
  const { findings } = JSON.parse(stdout) as { findings: readonly Seen[] };
  const aboutIt = /istiod|[Cc]ontroller/;
  return findings.filter(({ message }) => aboutIt.test(message));
}

async function expectOutage(why: RegExp, fix: RegExp): Promise<void> {
  for (const [severity, ...args] of [
    ['error', 'status'],
    ['error', 'verify-install'],
    ['warning', 'describe', 'pod', 'web', '-n', 'shop'],
    ['warning', 'describe', 'service', 'web', '-n', 'shop'],
    ['warning', 'describe', 'namespace', 'shop'],
  ] as const) {
    const [outage, ...more] = await outagesTold(...args);
    expect(
      more.map(({ code, message }) => `${code} ${message}`),
      args.join(' '),
    ).toEqual([]);
    expect(outage, args.join(' ')).toMatchObject({ code: 'MESH0966', severity });
    expect(outage?.message).toMatch(why);
    expect(outage?.fix).toMatch(fix);
    const evidence = outage?.evidence?.join('\n');
    expect(evidence).toContain('works: connections of pods that proxies know');
    expect(evidence).toContain('does not work: calls of and to new pods');
  }
}

test('a controller scaled to 0 is one finding of every command', async () => {
  await cluster.client.patch(deployment, { spec: { replicas: 0 } });
  await expectOutage(/^the controller is stopped: Deployment .*scaled to 0/, /kubectl scale .*--replicas=1/);
  await cluster.client.patch(deployment, { spec: { replicas: 1 } });
}, 60_000);

test('one whose pod is not ready, too', async () => {
  await addPod(cluster.client, { ...controller, isReady: false });
  await expectOutage(/^the controller is stopped: istiod pod istiod-1 .*is not ready/, /kubectl logs/);
  await cluster.client.delete({ resource: pods, namespace: meshNamespace, name: 'istiod-1' });
}, 60_000);

test('and one that counts as ready and hangs', async () => {
  await addPod(cluster.client, { ...controller, name: 'istiod-2' });
  await expectOutage(
    /^the controller is stopped: controller pod .*counts as ready and does not answer$/,
    /kubectl delete pod istiod-2/,
  );
}, 90_000);
