import { expect, test } from 'vitest';
import { secrets } from '#base/kube/resource.js';
import type { Pod, Secret } from '#base/kube/types.js';
import { bank, deployBank, enrollNamespace, installMesh, onePod } from '../../../harness/bank.js';
import { eventually } from '../../../harness/cluster.js';
import { type CommandOutcome } from '../../../harness/meshctl.js';
import { useSandbox } from '../../../harness/sandbox.js';

const sandbox = useSandbox('broken-mesh', async (s) => {
  await Promise.all([installMesh(s), deployBank(s.client)]);
  await enrollNamespace(s, bank);
});

interface Findings {
  readonly findings: readonly {
    readonly code: string;
    readonly severity: string;
    readonly message: string;
    readonly fix?: string;
    readonly consequences?: readonly { readonly code: string }[];
  }[];
}

/** Runs a command that looks, and returns the findings of its document. */
async function findingsOf(args: readonly string[]): Promise<Findings['findings'] & { exitCode?: number }> {
  const outcome = await sandbox().meshctl([...args, '-o', 'json']);
  expect(outcome.stdout, outcome.stderr).not.toBe('');
  const { findings } = JSON.parse(outcome.stdout) as Findings;
  return Object.assign([...findings], { exitCode: outcome.exitCode });
}

/** Asserts that the command names the cause, first, as the only error, and exits with 1. */
async function expectCause(
  args: readonly string[],
  cause: { readonly code: string; readonly message: RegExp; readonly fix: RegExp },
): Promise<void> {
  const found = await findingsOf(args);
  const errors = found.filter(({ severity }) => severity === 'error');
  expect(errors.map(({ code, message }) => `${code} ${message}`)).toEqual([
    expect.stringMatching(new RegExp(`^${cause.code} .*${cause.message.source}`)),
  ]);
  expect(errors[0]?.fix).toMatch(cause.fix);
  expect(found.exitCode).toBe(1);
}

/** Waits until the command finds nothing wrong any more. */
async function expectSilence(args: readonly string[]): Promise<void> {
  await eventually(
    async () => {
      const found = await findingsOf(args);
      expect(found.filter(({ severity }) => severity === 'error')).toEqual([]);
      expect(found.exitCode).toBe(0);
    },
    { timeoutMs: 40_000 },
  );
}

/** Looks at what was broken, and puts it right again whatever came of it. */
async function whileBroken(look: () => Promise<void>, repair: () => Promise<unknown>): Promise<void> {
  try {
    await look();
  } finally {
    await repair();
  }
}

async function expectDone(outcome: Promise<CommandOutcome>): Promise<void> {
  const { exitCode, stdout, stderr } = await outcome;
  expect(exitCode, `${stdout}${stderr}`).toBe(0);
}

test('a healthy mesh: nothing to say', async () => {
  for (const args of [['status'], ['verify-install'], ['describe', 'ns', bank], ['proxy-status']]) {
    await expectSilence(args);
  }
});

test('no mesh in the namespace that was named', async () => {
  const pod = await onePod(sandbox().client, bank, 'app=sleep');
  await expectCause(['describe', 'pod', `${pod.metadata.name}.${bank}`, '-i', 'nowhere'], {
    code: 'MESH0956',
    message: /no mesh is installed in namespace nowhere/,
    fix: /--istio-namespace istio-system/,
  });
  await expectCause(['status', '-i', 'nowhere'], {
    code: 'MESH0956',
    message: /no mesh is installed in namespace nowhere/,
    fix: /--istio-namespace istio-system/,
  });
});

test('a stopped node is one finding, and everything on it follows', async () => {
  const { meshctl, name, client } = sandbox();
  const far = await onePod(client, bank, 'app=frontend,at=far');
  await expectDone(meshctl(['sandbox', 'node', 'stop', 'node-2', '--name', name]));
  const cause = { code: 'MESH0957', message: /Node node-2 /, fix: /kubectl describe node node-2/ };
  await whileBroken(
    async () => {
      await expectCause(['status'], cause);
      await expectCause(['verify-install'], cause);
      await expectCause(['describe', 'node', 'node-2'], cause);
      await expectCause(['describe', 'pod', `${far.metadata.name}.${bank}`], cause);
      const [stopped] = await findingsOf(['verify-install']);
      expect(stopped?.consequences?.length).toBeGreaterThan(2);
    },
    () => expectDone(meshctl(['sandbox', 'node', 'start', 'node-2', '--name', name])),
  );
  await expectSilence(['status']);
  await expectSilence(['verify-install']);
});

test('a damaged authority is named by Secret and key', async () => {
  const { client, kubectl } = sandbox();
  const at = { resource: secrets, namespace: 'istio-system', name: 'istio-ca-secret' };
  const sound = await client.get<Secret>(at);
  const put = (data: Record<string, string | undefined> | undefined) => client.patch(at, { data });
  await put({ 'ca-key.pem': Buffer.from('garbage').toString('base64') });
  const restart = () =>
    expectDone(kubectl(['rollout', 'restart', 'deployment/istiod', '-n', 'istio-system']));
  await restart();
  await whileBroken(
    () =>
      eventually(
        () =>
          expectCause(['verify-install'], {
            code: 'MESH0960',
            message: /Secret istio-system\/istio-ca-secret.*ca-key\.pem cannot be read as a private key/,
            fix: /[Rr]estore/,
          }),
        { timeoutMs: 20_000 },
      ),
    async () => {
      await put({ 'ca-key.pem': sound.data?.['ca-key.pem'] });
      await restart();
    },
  );
  await expectSilence(['verify-install']);
});

test('a component whose pods are refused: the refusal is quoted', async () => {
  const { kubectl } = sandbox();
  await expectDone(kubectl(['create', 'quota', 'none', '-n', 'istio-system', '--hard=count/pods=0']));
  const ztunnel = await onePod(sandbox().client, 'istio-system', 'app=ztunnel');
  await expectDone(kubectl(['delete', 'pod', ztunnel.metadata.name, '-n', 'istio-system', '--now']));
  await whileBroken(
    () =>
      eventually(
        () =>
          expectCause(['status'], {
            code: 'MESH0958',
            message: /DaemonSet istio-system\/ztunnel lacks 1 of 2 pods: .*exceeded quota/,
            fix: /kubectl edit resourcequota none -n istio-system/,
          }),
        { timeoutMs: 20_000 },
      ),
    () => expectDone(kubectl(['delete', 'quota', 'none', '-n', 'istio-system'])),
  );
  await expectSilence(['status']);
});

test('a controller that is scaled to 0 is one finding, and what is served is not called broken', async () => {
  const { kubectl, meshctl } = sandbox();
  const scale = (replicas: number) =>
    expectDone(kubectl(['scale', 'deployment', 'istiod', '-n', 'istio-system', `--replicas=${replicas}`]));
  await scale(0);
  await whileBroken(
    async () => {
      for (const args of [['status'], ['verify-install']]) {
        await expectCause(args, {
          code: 'MESH0966',
          message: /the controller is stopped: Deployment istio-system\/istiod is scaled to 0/,
          fix: /kubectl scale deployment istiod -n istio-system --replicas=1/,
        });
      }
      const described = await meshctl(['describe', 'service', 'frontend', '-n', bank]);
      expect(described.exitCode).toBe(0);
      expect(described.stdout).toContain('warning MESH0966 the controller is stopped');
    },
    () => scale(1),
  );
  await expectSilence(['verify-install']);
});

test('a pod that cannot be scheduled is pending, and its node is not blamed', async () => {
  const { kubectl } = sandbox();
  const overrides = JSON.stringify({ spec: { nodeSelector: { no: 'where' } } });
  await expectDone(kubectl(['run', 'stuck', '-n', bank, '--image=meshctl/tool', `--overrides=${overrides}`]));
  await whileBroken(
    () =>
      eventually(
        () =>
          expectCause(['describe', 'pod', `stuck.${bank}`], {
            code: 'MESH0937',
            message: /Pod bank-of-ambient\/stuck has not started: not scheduled: 0\/2 nodes are available/,
            fix: /kubectl describe pod stuck/,
          }),
        { timeoutMs: 10_000 },
      ),
    () => expectDone(kubectl(['delete', 'pod', 'stuck', '-n', bank, '--now'])),
  );
  await expectSilence(['describe', 'ns', bank]);
});

test('a waypoint that is gone: its users are refused, and the label is to blame', async () => {
  const { kubectl, client } = sandbox();
  const label = (value: string) =>
    expectDone(kubectl(['label', 'namespace', bank, `istio.io/use-waypoint${value}`]));
  await label('=gone');
  const cause = {
    code: 'MESH1110',
    message:
      /Namespace bank-of-ambient uses waypoint bank-of-ambient\/gone, which does not exist: calls to .* are refused/,
    fix: /meshctl waypoint apply gone -n bank-of-ambient/,
  };
  const pod = await onePod(client, bank, 'app=frontend,at=near');
  await whileBroken(
    async () => {
      await expectCause(['describe', 'pod', `${pod.metadata.name}.${bank}`], cause);
      await expectCause(['describe', 'service', `frontend.${bank}`], cause);
      await expectCause(['status'], cause);
    },
    () => label('-'),
  );
  await expectSilence(['describe', 'service', `frontend.${bank}`]);
});

/** Runs a command of iptables in the network namespace of a pod, as somebody with NET_ADMIN there could. */
async function inPod(pod: Pod, ...iptables: string[]): Promise<string> {
  const { name, meshctl } = sandbox();
  const find = 'for n in /var/run/netns/*; do nsenter --net=$n ip -o addr | grep -qF " $ip/" && break; done';
  const script = `ip=$1; shift; ${find}; exec nsenter --net=$n "$@"`;
  const command = ['sh', '-c', script, 'sh', pod.status?.podIP ?? '', ...iptables];
  const node = pod.spec.nodeName ?? '';
  const outcome = await meshctl(['sandbox', 'exec', '--name', name, node, '--', ...command]);
  expect(outcome.exitCode, outcome.stderr).toBe(0);
  return outcome.stdout;
}

test('a rule in a pod that defeats the redirection is named', async () => {
  const pod = await onePod(sandbox().client, bank, 'app=frontend,at=near');
  const rule = ['OUTPUT', '-p', 'tcp', '--dport', '9', '-j', 'CT', '--notrack'];
  await inPod(pod, 'iptables', '-t', 'raw', '-A', ...rule);
  await whileBroken(
    async () => {
      await expectCause(['describe', 'pod', `${pod.metadata.name}.${bank}`], {
        code: 'MESH0938',
        message:
          /a rule in the pod overrides its redirection: iptables -t raw -A OUTPUT .*--dport 9 .*(NOTRACK|--notrack)/,
        fix: /iptables -t raw -D OUTPUT /,
      });
      await expectCause(['status'], {
        code: 'MESH0920',
        message: /overridden by rules of others: v4: -t raw -A OUTPUT /,
        fix: /meshctl describe pod/,
      });
    },
    () => inPod(pod, 'iptables', '-t', 'raw', '-D', ...rule),
  );
  await expectSilence(['describe', 'pod', `${pod.metadata.name}.${bank}`]);
  await expectSilence(['status']);
});

test('a rule before the redirection loses its place, and the pod has an event of it', async () => {
  const { kubectl, client } = sandbox();
  const pod = await onePod(client, bank, 'app=frontend,at=near');
  const rule = ['OUTPUT', '-p', 'tcp', '-j', 'ACCEPT'];
  await inPod(pod, 'iptables', '-t', 'nat', '-I', ...rule);
  await whileBroken(
    () =>
      eventually(
        async () => {
          const chain = await inPod(pod, 'iptables', '-t', 'nat', '-S', 'OUTPUT');
          expect(chain).toMatch(/-A OUTPUT -j ISTIO_OUTPUT\n-A OUTPUT -p tcp -j ACCEPT/);
          const { stdout } = await kubectl(['describe', 'pod', pod.metadata.name, '-n', bank]);
          expect(stdout).toMatch(/Warning +MeshRedirectionOverridden .*-t nat -A OUTPUT -p tcp -j ACCEPT/);
        },
        { timeoutMs: 20_000 },
      ),
    () => inPod(pod, 'iptables', '-t', 'nat', '-D', ...rule),
  );
  await expectSilence(['describe', 'pod', `${pod.metadata.name}.${bank}`]);
});

test('pods of the mesh are described as what they are', async () => {
  const { client, meshctl } = sandbox();
  for (const [selector, what] of [
    ['app=istiod', 'the controller of the mesh, ready'],
    ['app=ztunnel', 'the node proxy of node-'],
    ['k8s-app=istio-cni-node', 'the CNI agent of node-'],
  ] as const) {
    const pod = await onePod(client, 'istio-system', selector);
    const outcome = await meshctl(['describe', 'pod', `${pod.metadata.name}.istio-system`]);
    expect(outcome.stdout.split('\n')[0]).toContain(what);
    expect(outcome.exitCode, outcome.stdout).toBe(0);
  }
});
