import { describe, expect, test } from 'vitest';
import { execInPod } from '#base/kube/exec.js';
import { nodes, pods } from '#base/kube/resource.js';
import type { Node, Pod } from '#base/kube/types.js';
import { curlFrom, expectUnanswered } from '../../harness/bank.js';
import { applyFile, eventually, readyPods, waitForPods } from '../../harness/cluster.js';
import { useSandbox } from '../../harness/sandbox.js';

const watcher = { namespace: 'default', app: 'watcher' } as const;
/** Upstream's grace period for silent nodes, and some time to act on it. */
const unknownWithinMs = 90_000;

const sandbox = useSandbox(
  'nodes',
  async ({ client }) => {
    await applyFile(client, 'test/e2e/fixtures/web-on-every-node.yaml');
    await waitForPods(client, { namespace: 'default', labelSelector: 'app=web', count: 2 });
    for (const name of ['watcher', 'lone'])
      await waitForPods(client, { namespace: 'default', labelSelector: `app=${name}`, count: 1 });
  },
  { needsKubectl: false },
);

/** `sandbox node VERB...`, in JSON. */
async function node(...args: readonly string[]) {
  const { name, meshctl } = sandbox();
  const outcome = await meshctl(['sandbox', 'node', ...args, '--name', name, '-o', 'json']);
  return { ...outcome, document: JSON.parse(outcome.stdout) as Record<string, unknown> };
}

async function statesOfNodes(): Promise<Record<string, string>> {
  const { document } = await node('list');
  const items = document['items'] as { name: string; state: string }[];
  return Object.fromEntries(items.map((item) => [item.name, item.state]));
}

async function readyCondition(name: string): Promise<string | undefined> {
  const object = await sandbox().client.get<Node>({ resource: nodes, name });
  return object.status?.conditions?.find((c) => c.type === 'Ready')?.status;
}

function podOf(labelSelector: string, nodeName: string): Promise<Pod> {
  return eventually(
    async () => {
      const all = await readyPods(sandbox().client, 'default', labelSelector);
      const pod = all.find((each) => each.spec.nodeName === nodeName);
      if (pod === undefined) throw new Error(`no ready pod with ${labelSelector} on ${nodeName}`);
      return pod;
    },
    { timeoutMs: 30_000 },
  );
}

function ask(pod: Pod) {
  return curlFrom(sandbox().client, watcher, '-m', '2', `http://${pod.status?.podIP}:8080/`);
}

async function lonePod(): Promise<Pod> {
  return sandbox().client.get<Pod>({ resource: pods, namespace: 'default', name: 'lone' });
}

describe('nodes of a running sandbox', () => {
  test('are added with names of their own or given ones, and are on the network of the others', async () => {
    const added = await node('add', 'edge');
    expect(added.exitCode, added.stderr).toBe(0);
    expect(added.document).toMatchObject({ kind: 'SandboxNodesAdded', nodes: ['edge'] });
    expect((await node('add')).document).toMatchObject({ nodes: ['node-3'] });
    expect(await statesOfNodes()).toEqual({
      'node-1': 'Ready',
      'node-2': 'Ready',
      'node-3': 'Ready',
      edge: 'Ready',
    });
    const { client } = sandbox();
    await waitForPods(client, { namespace: 'default', labelSelector: 'app=web', count: 4 });
    for (const name of ['edge', 'node-3']) {
      const web = await podOf('app=web', name);
      expect(await ask(web)).toMatchObject({ exitCode: 0, status: 200 });
      // And from there: the cluster's DNS, a service, a pod on a node that was there before.
      const back = await execInPod(client, {
        namespace: 'default',
        pod: web.metadata.name,
        container: 'web',
        command: ['curl', '-sS', '-m', '5', 'http://web.default.svc.cluster.local/'],
      });
      expect(back.exitCode, back.stderr).toBe(0);
      const near = await podOf('app=web', 'node-2');
      const direct = await execInPod(client, {
        namespace: 'default',
        pod: web.metadata.name,
        container: 'web',
        command: ['curl', '-sS', '-m', '5', `http://${near.status?.podIP}:8080/`],
      });
      expect(direct.exitCode, direct.stderr).toBe(0);
    }
  });

  test.each([
    [['stop', 'edg'], 'MESH0807', 'Did you mean edge?', 2],
    [['add', 'edge'], 'MESH0813', 'there is a node edge already', 1],
    [['add', 'Not_A_Name'], 'MESH0800', 'cannot be the name of a node', 2],
    [['add', '--count', '47'], 'MESH0813', 'at most 50 nodes', 1],
    [['add', '--count', '0'], 'MESH0800', 'not a number of nodes', 2],
    [['remove', 'node-2'], 'MESH0812', 'default/lone', 1],
    [['stop', 'edge', 'edge'], 'MESH0102', 'named twice', 2],
  ])('a wrong request is refused and changes nothing: %j', async (args, code, text, exitCode) => {
    const before = await statesOfNodes();
    const outcome = await node(...args);
    expect(outcome.exitCode, outcome.stderr).toBe(exitCode);
    expect(outcome.document).toMatchObject({ code });
    expect(outcome.stdout).toContain(text);
    expect(await statesOfNodes()).toEqual(before);
  });

  test.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
    ['SIGHUP', 129],
  ] as const)('%s to exec ends the command and all it started', async (signal, exitCode) => {
    const { name, meshctl } = sandbox();
    const seconds = String(900_000 + exitCode);
    const onNode = (...words: string[]) =>
      meshctl(['sandbox', 'exec', 'node-1', '--name', name, '--', ...words]);
    const outcome = await meshctl(
      ['sandbox', 'exec', 'node-1', '--name', name, '--', 'sh', '-c', `echo begun; sleep ${seconds}; true`],
      { onStdout: (_text, kill) => kill(signal), timeoutMs: 30_000 },
    );
    expect(outcome).toMatchObject({ exitCode, stdout: 'begun\n', stderr: '' });
    expect((await onNode('pgrep', '-x', '-f', `sleep ${seconds}`)).stdout).toBe('');
  });

  test('a command that does not end is killed by the second signal, and one is when exec is killed', async () => {
    const { name, meshctl } = sandbox();
    const stubborn = `trap 'echo no' TERM; echo begun; while :; do sleep 0.1; done # ${name}`;
    const words = ['sandbox', 'exec', 'node-1', '--name', name, '--', 'sh', '-c', stubborn];
    const outcome = await meshctl(words, { onStdout: (_text, kill) => kill('SIGTERM'), timeoutMs: 30_000 });
    expect(outcome).toMatchObject({ exitCode: 137, stdout: 'begun\nno\n' });
    await meshctl(words, { onStdout: (_text, kill) => kill('SIGKILL') }).catch(() => undefined);
    await eventually(
      async () => {
        const search = ['sandbox', 'exec', 'node-1', '--name', name, '--', 'pgrep', '-f', `[#] ${name}`];
        expect((await meshctl(search)).stdout).toBe('');
      },
      { timeoutMs: 5_000 },
    );
  });

  test('one that is removed is gone with its Node, its pods and the routes to them', async () => {
    const { name, client, meshctl } = sandbox();
    const web = await podOf('app=web', 'node-3');
    const removed = await node('remove', 'node-3');
    expect(removed.exitCode, removed.stderr).toBe(0);
    expect(await client.getOrUndefined({ resource: nodes, name: 'node-3' })).toBeUndefined();
    expect(Object.keys(await statesOfNodes())).toEqual(['node-1', 'node-2', 'edge']);
    const routes = await meshctl(['sandbox', 'exec', '--name', name, 'node-1', '--', 'ip', 'route']);
    expect(routes.stdout).toContain('10.244.2.0/24');
    expect(routes.stdout).not.toContain('10.244.3.0/24');
    await eventually(
      async () => {
        const ref = { resource: pods, namespace: 'default', name: web.metadata.name };
        expect(await client.getOrUndefined(ref)).toBeUndefined();
      },
      { timeoutMs: 60_000 },
    );
  });

  test('one without power and one without network are told from the others, and come back', async () => {
    const { client } = sandbox();
    const [cutOff, lost] = [await podOf('app=web', 'edge'), await podOf('app=web', 'node-2')];
    expect((await node('disconnect', 'edge')).exitCode).toBe(0);
    expect((await node('stop', 'node-2')).document).toMatchObject({
      nodes: [{ name: 'node-2', isChanged: true }],
    });
    expect((await node('stop', 'node-2')).document).toMatchObject({ nodes: [{ isChanged: false }] });
    expect(await statesOfNodes()).toEqual({ 'node-1': 'Ready', 'node-2': 'Stopped', edge: 'Disconnected' });
    for (const pod of [cutOff, lost]) {
      expectUnanswered(await ask(pod));
      const path = `/api/v1/namespaces/default/pods/${pod.metadata.name}/log`;
      await expect(client.request({ method: 'GET', path })).rejects.toThrow('no route to host');
    }

    await eventually(
      async () => {
        expect(await readyCondition('node-2')).toBe('Unknown');
        expect(await readyCondition('edge')).toBe('Unknown');
        const web = await readyPods(client, 'default', 'app=web');
        expect(web.map((pod) => pod.spec.nodeName)).toEqual(['node-1']);
      },
      { timeoutMs: unknownWithinMs },
    );
    expect(await readyCondition('node-1')).toBe('True');
    // Nobody tells a node that is cut off about services: it goes on with what it knew.
    const { name, meshctl } = sandbox();
    const rules = ['iptables-save', '-t', 'nat'];
    const known = await meshctl(['sandbox', 'exec', '--name', name, 'edge', '--', ...rules]);
    expect(known.stdout).toContain(`${lost.status?.podIP}:8080`);
    const current = await meshctl(['sandbox', 'exec', '--name', name, 'node-1', '--', ...rules]);
    expect(current.stdout).not.toContain(`${lost.status?.podIP}:8080`);
    for (let i = 0; i < 5; i++)
      expect(await curlFrom(client, watcher, 'http://web.default/')).toMatchObject({ status: 200 });

    expect((await node('connect', 'edge')).exitCode).toBe(0);
    expect((await node('start', 'node-2')).exitCode).toBe(0);
    expect(Object.values(await statesOfNodes())).toEqual(['Ready', 'Ready', 'Ready']);
    const again = await podOf('app=web', 'edge');
    // It ran on all the time: the same container of the same pod at the same address.
    expect(again.metadata.uid).toBe(cutOff.metadata.uid);
    expect(again.status?.containerStatuses?.[0]?.restartCount).toBe(0);
    expect(await ask(again)).toMatchObject({ status: 200 });
    const restarted = await podOf('app=web', 'node-2');
    expect(restarted.metadata.uid).toBe(lost.metadata.uid);
    expect(restarted.status?.containerStatuses?.[0]).toMatchObject({
      restartCount: 1,
      lastState: { terminated: { exitCode: 255, reason: 'Unknown' } },
    });
    expect(await ask(restarted)).toMatchObject({ status: 200 });
  });

  test('volumes on the disk outlive a power cut', async () => {
    await eventually(
      async () => expect((await lonePod()).status?.containerStatuses?.[0]?.restartCount).toBe(1),
      { timeoutMs: 20_000 },
    );
    const command = ['sh', '-c', 'cat /scratch/boots /disk/boots'];
    const { stdout } = await execInPod(sandbox().client, {
      namespace: 'default',
      pod: 'lone',
      container: 'c',
      command,
    });
    expect(stdout.trim().split('\n')).toEqual(['boot', 'boot', 'boot', 'boot']);
  });
});
