import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { eventually } from '../../harness/cluster.js';
import { hostPrograms } from '../../harness/host-image.js';
import { archiveOf, dockerArchive, type ImageParts, ociLayout, tarOf } from '../../harness/image-archive.js';
import { command } from '../../harness/meshctl.js';
import { useSandbox } from '../../harness/sandbox.js';
import { isOrdinaryRun, makeTestFolder } from '../../harness/test-user.js';

const folder = makeTestFolder();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const isOneUser = isOrdinaryRun() || process.getuid?.() !== 0;
const sandbox = useSandbox('images');

async function load(file: string, archive: Buffer, ...flags: string[]) {
  const path = join(folder, file);
  writeFileSync(path, archive, { mode: 0o644 });
  return sandbox().meshctl(['sandbox', 'load', path, '--name', sandbox().name, ...flags]);
}

async function kubectl(...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await sandbox().kubectl(args);
  expect(exitCode, `kubectl ${args.join(' ')}: ${stderr}`).toBe(0);
  return stdout;
}

/** An image with a shell and a few programs, and no trace of this machine otherwise. */
async function shellImage(o: Partial<ImageParts> = {}): Promise<ImageParts> {
  const base = await tarOf([
    ...hostPrograms(['sh', 'cat', 'sleep', 'id', 'ls', 'stty', 'tty']),
    { name: 'etc/passwd', content: 'root:x:0:0::/root:/bin/sh\nweb:x:1001:1002::/home/web:/bin/sh\n' },
    { name: 'etc/group', content: 'web:x:1002:\n' },
    { name: 'etc/resolv.conf', type: 'symlink', linkname: '../run/resolv.conf' },
    { name: 'tmp/', type: 'directory', mode: 0o1777 },
    { name: 'scratch/', type: 'directory', mode: 0o755, uid: 1001, gid: 1002 },
  ]);
  const content = await tarOf([{ name: 'content', content: 'of the image\n' }]);
  return {
    name: 'shop/shell:1',
    layers: [base, content],
    config: {
      Entrypoint: ['/bin/sh', '-c'],
      Cmd: ['echo started in $(pwd) as $(id -u) with $GREETING; exec sleep 1000'],
      Env: ['PATH=/bin', 'GREETING=hello'],
      WorkingDir: '/made/for/it',
    },
    ...o,
  };
}

test('a pod that waits for its image starts once the image is loaded', async () => {
  await kubectl('run', 'waiting', '--image=shop/shell:1');
  await eventually(
    async () => {
      const reason = '{.status.containerStatuses[0].state.waiting.reason}';
      expect(await kubectl('get', 'pod', 'waiting', '-o', `jsonpath=${reason}`)).toMatch(
        /ErrImagePull|ImagePullBackOff/,
      );
    },
    { timeoutMs: 20_000 },
  );
  const loaded = await load('shell.tar', await archiveOf(ociLayout([await shellImage()])));
  expect(loaded.exitCode, loaded.stderr).toBe(0);
  expect(loaded.stdout).toContain('docker.io/shop/shell:1');
  await kubectl('wait', '--for=condition=Ready', 'pod/waiting', '--timeout=60s');
  expect(await kubectl('logs', 'waiting')).toBe('started in /made/for/it as 0 with hello\n');
  const status = await kubectl(
    'get',
    'pod',
    'waiting',
    '-o',
    'jsonpath={.status.containerStatuses[0].imageID}',
  );
  expect(status).toMatch(/^docker\.io\/shop\/shell@sha256:[a-f0-9]{64}$/);
  expect(await kubectl('exec', 'waiting', '--', 'cat', '/content')).toBe('of the image\n');
  expect(await kubectl('exec', 'waiting', '--', 'cat', '/etc/resolv.conf')).toContain('10.96.0.10');
  expect(await kubectl('exec', 'waiting', '--', 'cat', '/etc/hosts')).toContain('waiting');
  await kubectl('run', 'by-digest', `--image=${status}`);
  await kubectl('wait', '--for=condition=Ready', 'pod/by-digest', '--timeout=60s');
});

test('nodes list it', async () => {
  await eventually(
    async () => {
      const images = await kubectl('get', 'node', 'node-1', '-o', 'jsonpath={.status.images[*].names}');
      expect(images).toContain('docker.io/shop/shell:1');
    },
    { timeoutMs: 30_000 },
  );
});

test('command, args, user, volumes and a read-only root are as Kubernetes has them', async () => {
  const config = {
    Entrypoint: ['/bin/echo-not-there'],
    Cmd: ['x'],
    User: 'web',
    Volumes: { '/scratch': {} },
  };
  const parts = { ...(await shellImage()), name: 'shop/user:1', config };
  expect((await load('user.tar', await archiveOf(dockerArchive([parts])))).exitCode).toBe(0);
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'user' },
    spec: {
      restartPolicy: 'Never',
      containers: [
        {
          name: 'main',
          image: 'shop/user:1',
          imagePullPolicy: 'Always',
          command: [
            '/bin/sh',
            '-c',
            'id -u; id -g; echo x >/scratch/y && cat /scratch/y; (echo z >/z) 2>/dev/null || echo refused; echo $1',
            'sh',
          ],
          args: ['last $(WORD)'],
          env: [{ name: 'WORD', value: 'expanded' }],
          securityContext: { readOnlyRootFilesystem: true },
        },
        { name: 'own', image: 'shop/user:1', command: ['/bin/id', '-u'], securityContext: { runAsUser: 7 } },
        {
          name: 'strict',
          image: 'shop/user:1',
          command: ['/bin/id'],
          securityContext: { runAsNonRoot: true },
        },
      ],
    },
  };
  const { exitCode, stderr } = await sandbox().kubectl(['create', '-f', '-'], { input: JSON.stringify(pod) });
  expect(exitCode, stderr).toBe(0);
  await eventually(
    async () => {
      const ids = isOneUser ? '0\n0\n' : '1001\n1002\n';
      expect(await kubectl('logs', 'user', '-c', 'main')).toBe(`${ids}x\nrefused\nlast expanded\n`);
      expect(await kubectl('logs', 'user', '-c', 'own')).toBe(isOneUser ? '0\n' : '7\n');
      const strict = '{.status.containerStatuses[?(@.name=="strict")].state.waiting.message}';
      expect(await kubectl('get', 'pod', 'user', '-o', `jsonpath=${strict}`)).toContain('non-numeric user');
    },
    { timeoutMs: 60_000 },
  );
});

test('an image of one program, without shell, users or folders, runs; exec says what it lacks', async () => {
  const layers = [await tarOf(hostPrograms(['sleep']))];
  const parts = { layers, config: { Entrypoint: ['/bin/sleep'], Cmd: ['1000'], User: '65532' } };
  expect((await load('lone.tar', await archiveOf(ociLayout([parts])), '--tag', 'lone')).exitCode).toBe(0);
  await kubectl('run', 'lone', '--image=lone');
  await kubectl('wait', '--for=condition=Ready', 'pod/lone', '--timeout=60s');
  const shell = await sandbox().kubectl(['exec', 'lone', '--', 'sh']);
  expect(shell.exitCode).toBe(1);
  expect(shell.stderr).toContain('exec: "sh": executable file not found in $PATH');
  expect((await sandbox().kubectl(['exec', 'lone', '--', '/bin/sleep', '0'])).exitCode).toBe(0);
});

test('exec on a terminal needs nothing of the image but the program', async () => {
  const typed = 'tty; stty size; cat /content; exit 4\n';
  const args = ['-qec', 'kubectl exec -it waiting -- sh', '/dev/null'];
  const { stdout, exitCode } = await command('script', args, {
    env: sandbox().env,
    input: typed,
    timeoutMs: 30_000,
  });
  expect(stdout).toContain('/dev/pts/0');
  expect(stdout).toContain('of the image');
  expect(exitCode).toBe(4);
});

test('what is no image, damaged or unsafe is refused and changes nothing', async () => {
  expect(await load('text.tar', Buffer.from('no archive'))).toMatchObject({ exitCode: 2 });
  const escape = await tarOf([{ name: '../../escape', content: 'x' }]);
  const unsafe = await load(
    'unsafe.tar',
    await archiveOf(ociLayout([{ name: 'shop/shell:1', layers: [escape] }])),
  );
  expect(unsafe.exitCode).toBe(1);
  expect(unsafe.stderr).toContain('MESH0841');
  await kubectl('run', 'again', '--image=shop/shell:1');
  await kubectl('wait', '--for=condition=Ready', 'pod/again', '--timeout=60s');
});
