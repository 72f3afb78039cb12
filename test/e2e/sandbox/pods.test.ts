import { expect, test } from 'vitest';
import { events, nodes, pods } from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import type { KubeletPod } from '#sandbox/node/model/pod.js';
import type { KubeletContainerStatus, KubeletPodStatus } from '#sandbox/node/model/pod-status.js';
import { eventually } from '../../harness/cluster.js';
import { command } from '../../harness/meshctl.js';
import { useSandbox } from '../../harness/sandbox.js';
import { isOrdinaryRun } from '../../harness/test-user.js';

const sandbox = useSandbox('pods', async ({ kubectl }) => {
  const applied = await kubectl(['apply', '-f', 'test/e2e/fixtures/pods.yaml']);
  if (applied.exitCode !== 0) throw new Error(applied.stderr);
});

const waitMs = 30_000;

interface Event extends KubeObject {
  involvedObject: { name: string };
  type: string;
  reason: string;
  message: string;
}

async function statusOf(name: string): Promise<KubeletPodStatus> {
  const { status } = await sandbox().client.get<KubeletPod & KubeObject>({
    resource: pods,
    namespace: 'default',
    name,
  });
  return status ?? {};
}

async function containersOf(name: string): Promise<Record<string, KubeletContainerStatus>> {
  const { containerStatuses = [] } = await statusOf(name);
  return Object.fromEntries(containerStatuses.map((status) => [status.name, status]));
}

async function eventsOf(name: string): Promise<string[]> {
  const all = await sandbox().client.list<Event>(events, { namespace: 'default' });
  return all
    .filter((event) => event.involvedObject.name === name)
    .map((event) => `${event.type} ${event.reason} ${event.message}`);
}

async function until(check: () => Promise<void>, timeoutMs = waitMs): Promise<void> {
  await eventually(check, { timeoutMs });
}

async function ready(...names: string[]): Promise<void> {
  const targets = names.map((name) => `pod/${name}`);
  const done = await sandbox().kubectl(['wait', '--for=condition=Ready', ...targets, '--timeout=30s']);
  expect(done.exitCode, done.stderr).toBe(0);
}

/** Output of a shell command in a container. */
async function sh(pod: string, script: string, container = 'c'): Promise<string> {
  const done = await sandbox().kubectl(['exec', pod, '-c', container, '--', 'sh', '-c', script]);
  return done.stdout;
}

test('init containers run in order, sidecars beside them; the end of the work ends the sidecars', async () => {
  await until(async () => expect(await statusOf('order')).toMatchObject({ phase: 'Succeeded' }));
  const logs = await sandbox().kubectl(['logs', 'order', '-c', 'main']);
  expect(logs.stdout).toBe('first\nsidecar\nsecond\nmain\n');
  const { initContainerStatuses = [], conditions = [] } = await statusOf('order');
  expect(initContainerStatuses.map((s) => s.state?.terminated?.reason)).toEqual(Array(3).fill('Completed'));
  expect(conditions.find((c) => c.type === 'Ready')).toMatchObject({
    status: 'False',
    reason: 'PodCompleted',
  });
});

test('a crashing container waits longer each time; what it said last is kept', async () => {
  const { kubectl } = sandbox();
  await until(async () => {
    const { words, fallback } = await containersOf('crash');
    expect(words?.state?.waiting?.reason).toBe('CrashLoopBackOff');
    expect(words?.state?.waiting?.message).toMatch(
      /^back-off 10s restarting failed container=words pod=crash_default\(/,
    );
    expect(words?.lastState?.terminated).toMatchObject({ exitCode: 3, reason: 'Error', message: 'bye\n' });
    expect(fallback?.lastState?.terminated).toMatchObject({ exitCode: 4, message: 'last words\n' });
  });
  const previous = await kubectl(['logs', 'crash', '-c', 'words', '--previous']);
  expect(previous.stdout, previous.stderr).toBe('logged\n');
  const collect = 'cat /var/log/containers/crash_default_words-*.log';
  expect(await sh('watcher', `chroot /host sh -c "${collect}" | cut -d " " -f 2-`)).toContain(
    'stdout F logged\n',
  );
  expect(await eventsOf('crash')).toContainEqual(
    expect.stringMatching(/^Warning BackOff Back-off restarting failed container words in pod crash_default/),
  );
});

test('containers that cannot start say why', async () => {
  await until(async () => {
    const status = await containersOf('cannot-start');
    expect(status['no-key']?.state?.waiting).toEqual({
      reason: 'CreateContainerConfigError',
      message: 'configmap "nope" not found',
    });
    expect(status['no-program']?.lastState?.terminated).toMatchObject({
      exitCode: 128,
      reason: 'StartError',
    });
    expect(status['root']?.state?.waiting?.message).toContain(
      'container has runAsNonRoot and image will run as root',
    );
    expect(status['seccomp']?.state?.waiting?.reason).toBe('CreateContainerError');
  });
  expect((await statusOf('cannot-start')).phase).toBe('Pending');
});

test('a node refuses pods it has no room for or that reach beyond themselves', async () => {
  await until(async () => {
    const cpu = await statusOf('too-big');
    expect(cpu).toMatchObject({ phase: 'Failed', reason: 'OutOfcpu' });
    expect(cpu.message).toContain("Node didn't have enough resource: cpu, requested: 1000000");
    expect(await statusOf('unsafe-sysctl')).toMatchObject({ phase: 'Failed', reason: 'SysctlForbidden' });
  });
});

test('a node takes pods for a label it has just got', async () => {
  const { client } = sandbox();
  const [node] = await client.list<KubeObject>(nodes);
  const name = node?.metadata.name ?? '';
  await client.patch({ resource: nodes, name }, { metadata: { labels: { fresh: 'yes' } } });
  const spec = {
    nodeSelector: { fresh: 'yes' },
    restartPolicy: 'Never',
    containers: [{ name: 'c', image: 'meshctl/tool', command: ['true'] }],
  };
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'labeled' }, spec };
  await client.create(pods, pod, { namespace: 'default' });
  await until(async () => {
    const { phase, reason } = await statusOf('labeled');
    expect({ phase, reason }).toEqual({ phase: 'Succeeded' });
  });
});

test('pods end at their deadline and at the limit of their storage', async () => {
  await until(async () => {
    expect(await statusOf('deadline')).toMatchObject({ phase: 'Failed', reason: 'DeadlineExceeded' });
    expect(await statusOf('over-storage')).toMatchObject({
      reason: 'Evicted',
      message: 'Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. ',
    });
    const evicted = await statusOf('over-limit');
    expect(evicted).toMatchObject({ phase: 'Failed', reason: 'Evicted' });
    expect(evicted.conditions).toContainEqual(
      expect.objectContaining({ type: 'DisruptionTarget', reason: 'TerminationByKubelet' }),
    );
  });
});

test('volumes hold what a pod asks for and follow changes; containers share what pods share', async () => {
  const { kubectl } = sandbox();
  await ready('volumes');
  const seen = await sh(
    'volumes',
    'cat /settings/sub/a /mixed/b.txt /one /mixed/cpu /mixed/secret/pw; echo; ls /missing | wc -l; echo $MEMORY $MY_REDIS_PORT_6379_TCP_PORT; hostname; stat -c %a /mixed/secret/pw; cat /dev/shm/word',
  );
  expect(seen).toBe(
    'onebeeone250s3cret\n0\n64 6379\nnamed.my-redis.default.svc.cluster.local\n400\nshared\n',
  );
  expect(await sh('volumes', 'touch /x 2>&1; head -c 3000000 /dev/zero 2>&1 >/memory/f')).toMatch(
    /Read-only file system[^]*No space left/,
  );
  expect(
    await sh('volumes', 'touch /scratch/f && ls /scratch; grep -E "CapEff|NoNewPrivs" /proc/self/status'),
  ).toBe('f\nCapEff:\t0000000000000400\nNoNewPrivs:\t1\n');
  const claims = await sh('volumes', 'cut -d. -f2 /mixed/token | base64 -d 2>/dev/null');
  expect(claims).toContain('"aud":["someone"]');
  await kubectl(['patch', 'configmap', 'settings', '-p', '{"data":{"a.txt":"two"}}']);
  await kubectl(['label', 'pod', 'volumes', 'l=v2', '--overwrite']);
  await until(async () =>
    expect(await sh('volumes', 'cat /settings/sub/a /mixed/a.txt /mixed/labels /one')).toBe(
      'twotwol="v2"one',
    ),
  );
});

test('a pod runs as the user it names, or says that it cannot', async () => {
  await ready('user');
  if (isOrdinaryRun()) {
    expect(await eventsOf('user')).toContainEqual(
      expect.stringContaining('Warning NotHonored container c asks for user 1000'),
    );
    return;
  }
  expect(await sh('user', 'id; touch /d/f; stat -c "%u %g" /d/f')).toBe(
    'uid=1000 gid=3000 groups=3000,2000,4000\n1000 2000\n',
  );
});

test('the end of a pod: hook, main container, sidecars in reverse order', async () => {
  await ready('farewell', 'watcher');
  await sandbox().kubectl(['delete', 'pod', 'farewell', '--timeout=30s']);
  expect(await sh('watcher', 'cat /host/data/farewell/log')).toBe('hook\nmain\ns2\ns1\n');
});

test('a pod that is ending says so when it is ready no more', async () => {
  const { kubectl } = sandbox();
  await ready('draining');
  await kubectl(['delete', 'pod', 'draining', '--wait=false']);
  await until(async () => {
    const { phase, conditions = [] } = await statusOf('draining');
    expect(phase).toBe('Running');
    expect(conditions.find((c) => c.type === 'Ready')?.status).toBe('False');
  });
  await kubectl(['delete', 'pod', 'draining', '--grace-period=0', '--force']);
});

test('probes restart, hold back and explain', async () => {
  await until(async () => {
    const { alive, web, tcp } = await containersOf('probed');
    expect(alive?.restartCount).toBeGreaterThan(0);
    expect(web?.ready).toBe(true);
    expect(tcp?.ready).toBe(false);
    const seen = await eventsOf('probed');
    const expected = [
      /^Warning Unhealthy Liveness probe failed: Get "http:\/\/[\d.]+:9\/": dial tcp [\d.]+:9: connect: connection refused$/,
      /^Normal Killing Container alive failed liveness probe, will be restarted$/,
      /^Warning Unhealthy Readiness probe failed: dial tcp [\d.]+:1234: connect: connection refused$/,
      /^Warning Unhealthy Readiness probe failed: not yet\n$/,
      /^Warning Unhealthy Readiness probe failed: command "sleep 7" timed out$/,
    ];
    for (const pattern of expected) expect(seen).toContainEqual(expect.stringMatching(pattern));
  });
  const { conditions = [] } = await statusOf('probed');
  expect(conditions.find((c) => c.type === 'ContainersReady')?.message).toMatch(
    /^containers with unready status: \[.*tcp exec slow\]$/,
  );
});

test('a debug container joins the processes of its target; a new image restarts one container in place', async () => {
  const { kubectl } = sandbox();
  await ready('shared');
  expect(await sh('shared', 'ps -eo args', 'b')).toContain('sleep 70002');
  await kubectl([
    'debug',
    'volumes',
    '--image=meshctl/tool',
    '--target=other',
    '-c',
    'look',
    '--',
    'sh',
    '-c',
    'ps -o args -p 1; exit 7',
  ]);
  await until(async () => {
    const { ephemeralContainerStatuses = [] } = await statusOf('volumes');
    expect(ephemeralContainerStatuses[0]?.state?.terminated).toMatchObject({ exitCode: 7, reason: 'Error' });
  });
  expect((await kubectl(['logs', 'volumes', '-c', 'look'])).stdout).toBe('COMMAND\nsleep infinity\n');
  await kubectl(['set', 'image', 'pod/shared', 'b=meshctl/tool:v2']);
  await until(async () => {
    const { a, b } = await containersOf('shared');
    expect(b).toMatchObject({ restartCount: 1, ready: true, image: 'docker.io/meshctl/tool:v2' });
    expect(a?.restartCount).toBe(0);
  });
  expect(await eventsOf('shared')).toContain(
    'Normal Killing Container b definition changed, will be restarted',
  );
});

test('files are copied into and out of a container; a debug pod has the node in its hands', async () => {
  const { kubectl } = sandbox();
  await ready('shared', 'watcher');
  expect((await kubectl(['cp', 'package.json', 'shared:/tmp/copy', '-c', 'b'])).exitCode).toBe(0);
  expect(await sh('shared', 'head -c 1 /tmp/copy', 'b')).toBe('{');
  expect(await sh('watcher', 'chroot /host hostname; pgrep -fxc "sleep 70002"')).toBe('node-1\n1\n');
});

test('agents on a node can tell by its cgroup which pod a process belongs to', async () => {
  await ready('shared', 'watcher');
  const { metadata } = await sandbox().client.get<KubeletPod & KubeObject>({
    resource: pods,
    namespace: 'default',
    name: 'shared',
  });
  const ids = Object.values(await containersOf('shared')).map(
    ({ containerID }) => containerID?.split('//')[1],
  );
  const lines = await sh('watcher', `grep -h pod${metadata.uid} /host/proc/[0-9]*/cgroup`);
  expect(lines.trim().split('\n').sort()).toEqual(
    ids.map((id) => `0::/kubepods/besteffort/pod${metadata.uid}/${id}`).sort(),
  );
});

test('whatever of a container is killed, it is restarted and leaves nothing running', async () => {
  await ready('shared', 'watcher');
  const pidsOf = (program: string) => sh('watcher', `pgrep -fx "${program}" | sort -n`);
  const before = await pidsOf('sleep 7000[12]');
  expect(before.trim().split('\n')).toHaveLength(2);
  // bubblewrap is the parent of the container's first process.
  await sh('watcher', 'kill -9 $(awk "{print \\$4}" /proc/$(pgrep -fx "sleep 70002")/stat)');
  await until(async () => {
    expect((await containersOf('shared'))['a']).toMatchObject({ restartCount: 1, ready: true });
    const after = await pidsOf('sleep 7000[12]');
    expect(after.trim().split('\n')).toHaveLength(2);
    for (const pid of before.trim().split('\n')) expect(after.split('\n')).not.toContain(pid);
  });
});

test('pods that come and go leave nothing on their node', async () => {
  const { kubectl } = sandbox();
  await ready('quiet-watcher');
  const look = () =>
    sh(
      'quiet-watcher',
      'cat /host/proc/1/mountinfo | wc -l; ls /host/run/netns /host/run/podns /host/run/kubelet/pods /host/var/lib/kubelet/pods /host/var/lib/containers /host/var/log/pods /host/var/log/containers | wc -l; ip -o link | wc -l; ps -e --no-headers | wc -l',
    );
  const before = await look();
  const pod = (name: string) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: 'come-and-go' } },
    spec: {
      nodeName: 'node-2',
      shareProcessNamespace: true,
      terminationGracePeriodSeconds: 1,
      volumes: [{ name: 'm', emptyDir: { medium: 'Memory' } }],
      containers: [
        {
          name: 'c',
          image: 'meshctl/tool',
          command: ['sleep', 'infinity'],
          volumeMounts: [{ name: 'm', mountPath: '/m' }],
        },
      ],
    },
  });
  const names = Array.from({ length: 10 }, (_, i) => `come-and-go-${i}`);
  const manifests = names.map((name) => JSON.stringify(pod(name))).join('\n');
  const applied = await kubectl(['apply', '-f', '-'], { input: manifests });
  expect(applied.exitCode, applied.stderr).toBe(0);
  await ready(...names);
  expect(await look()).not.toBe(before);
  await kubectl(['delete', 'pod', '-l', 'app=come-and-go', '--timeout=60s']);
  await until(async () => expect(await look()).toBe(before));
});

test('a container restarts while its node reaches no API server', async () => {
  const { kubectl, meshctl, name } = sandbox();
  // It ends when it loses the API server; its second instance can be seen on the machine.
  const script =
    'if [ -e /d/seen ]; then echo "second $A"; exec sleep 70009; fi; while curl -sk -m 2 -o /dev/null https://$KUBERNETES_SERVICE_HOST/livez; do sleep 0.1; done; touch /d/seen';
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'alone' },
    spec: {
      nodeName: 'node-2',
      terminationGracePeriodSeconds: 1,
      volumes: [{ name: 'd', emptyDir: {} }],
      containers: [
        {
          name: 'c',
          image: 'meshctl/tool',
          command: ['sh', '-c', script],
          env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'settings', key: 'b.txt' } } }],
          volumeMounts: [{ name: 'd', mountPath: '/d' }],
        },
      ],
    },
  };
  const applied = await kubectl(['apply', '-f', '-'], { input: JSON.stringify(pod) });
  expect(applied.exitCode, applied.stderr).toBe(0);
  await ready('alone');
  await meshctl(['sandbox', 'node', 'disconnect', 'node-2', '--name', name]);
  try {
    await until(async () => {
      const found = await command('pgrep', ['-fx', 'sleep 70009']);
      expect(found.exitCode).toBe(0);
    });
  } finally {
    await meshctl(['sandbox', 'node', 'connect', 'node-2', '--name', name]);
  }
  await until(async () => {
    expect((await containersOf('alone'))['c']).toMatchObject({ restartCount: 1, ready: true });
    expect((await kubectl(['logs', 'alone'])).stdout).toBe('second bee\n');
  });
});
