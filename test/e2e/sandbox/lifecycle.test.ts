import { spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, describe, expect, onTestFinished, test } from 'vitest';
import { KubeClient } from '#base/kube/client.js';
import { pods } from '#base/kube/resource.js';
import type { Pod } from '#base/kube/types.js';
import { assetsFolder } from '#sandbox/control-plane/external/assets.js';
import { eventually } from '../../harness/cluster.js';
import {
  machineFacts,
  processesNaming,
  processTree,
  type SeenProcess,
  survivors,
} from '../../harness/machine.js';
import { command, meshctl } from '../../harness/meshctl.js';
import { isOrdinaryRun, makeTestFolder, meshctlCommand } from '../../harness/test-user.js';

const dir = makeTestFolder();
const state = join(dir, 'state');
const env = { HOME: dir, XDG_STATE_HOME: state, KUBECONFIG: join(dir, 'config') };
const sandboxes = join(state, 'meshctl/sandbox');
const name = 'e2e-lifecycle';
/** With kube-apiserver and etcd, which lays out files of 64 MB. */
const isExternal = assetsFolder() !== undefined;
/** Killing is sudden, but not faster than the kernel: it takes namespaces apart one by one. */
const goneWithinMs = 10_000;

afterEach(async () => {
  await run('down', '--purge');
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** `sandbox VERB` on the sandbox of this file. */
function run(verb: string, ...args: readonly string[]) {
  return meshctl(['sandbox', verb, '--name', name, ...args], { env });
}

async function up(...args: readonly string[]) {
  const outcome = await run('up', '-o', 'json', ...args);
  expect(outcome.exitCode, outcome.stderr).toBe(0);
  return JSON.parse(outcome.stdout) as { server: string; wasRunning: boolean; isContinued: boolean };
}

async function status() {
  const outcome = await run('status', '-o', 'json');
  return {
    exitCode: outcome.exitCode,
    ...(JSON.parse(outcome.stdout) as {
      state?: string;
      pid?: number;
      supervisor?: { phase: string; nodes: { name: string; initPid: number; isReady: boolean }[] };
    }),
  };
}

/** Every process of the sandbox, first the one that unshare runs in. */
async function processes(): Promise<readonly SeenProcess[]> {
  const { pid } = await status();
  return processTree(pid ?? 0);
}

async function expectGone(all: readonly SeenProcess[]): Promise<void> {
  await eventually(() => Promise.resolve(expect(survivors(all)).toEqual([])), { timeoutMs: goneWithinMs });
}

/** Starts `sandbox up` and leaves it running. */
function beginUp(...args: readonly string[]) {
  const [program, ...first] = meshctlCommand();
  const child = spawn(program, [...first, 'sandbox', 'up', '--name', name, ...args], {
    env: { ...process.env, ...env },
    stdio: 'ignore',
  });
  const ended = new Promise<number | null>((resolve) => {
    child.once('exit', (code) => resolve(code));
  });
  return { child, ended };
}

function leftovers(): readonly string[] {
  return existsSync(sandboxes) ? readdirSync(sandboxes) : [];
}

describe('down', () => {
  test('leaves nothing: no process, mount, interface, rule, namespace, socket, file or context', async () => {
    const before = await machineFacts(dir);
    await up();
    expect(readFileSync(env.KUBECONFIG, 'utf8')).toContain(`sandbox-${name}`);
    const all = await processes();
    expect(all.length).toBeGreaterThan(5);
    // While it runs nothing of it shows outside but processes, its folder and its socket.
    const { sockets: _socket, ...during } = await machineFacts(dir);
    expect(before).toMatchObject(during);
    const [first] = all;
    expect(readFileSync(`/proc/${first?.pid}/cgroup`, 'utf8')).toBe(
      readFileSync('/proc/self/cgroup', 'utf8'),
    );
    const down = await run('down');
    expect(down.exitCode, down.stderr).toBe(0);
    expect(survivors(all)).toEqual([]);
    expect(await machineFacts(dir)).toEqual(before);
    expect(leftovers()).toEqual([]);
    expect(readFileSync(env.KUBECONFIG, 'utf8')).not.toContain(`sandbox-${name}`);
  });

  test('of what is not there is fine', async () => {
    const down = await meshctl(['sandbox', 'down', '--name', 'e2e-never-was'], { env });
    expect(down.exitCode, down.stderr).toBe(0);
  });

  test('in the middle of up ends both', async () => {
    const { ended } = beginUp();
    await eventually(() => Promise.resolve(expect(leftovers()).toContain(name)), { timeoutMs: 10_000 });
    const down = await run('down');
    expect(down.exitCode, down.stderr).toBe(0);
    await ended;
    // Whoever came last has cleaned up.
    await run('down');
    expect(leftovers()).toEqual([]);
    await eventually(() => Promise.resolve(expect(processesNaming(sandboxes)).toEqual([])), {
      timeoutMs: goneWithinMs,
    });
  });
});

describe('up', () => {
  test('twice at once starts one sandbox', async () => {
    const both = await Promise.all([up(), up()]);
    expect(both.filter((each) => each.wasRunning)).toHaveLength(1);
    expect(new Set(both.map((each) => each.server)).size).toBe(1);
  });

  test('that is interrupted leaves nothing', async () => {
    const { child, ended } = beginUp();
    await eventually(
      () => Promise.resolve(expect(existsSync(join(sandboxes, name, 'sandbox.json'))).toBe(true)),
      { timeoutMs: 10_000 },
    );
    child.kill('SIGINT');
    expect(await ended).not.toBe(0);
    expect(leftovers()).toEqual([]);
    expect(processesNaming(sandboxes)).toEqual([]);
  });

  test.each([30, 150, 250, 400, 700])(
    'that is killed after %i ms leaves nothing that down or up mind',
    async (ms) => {
      const { child, ended } = beginUp();
      await delay(ms); // not a wait for something: the moment of the blow
      child.kill('SIGKILL');
      await ended;
      const down = await run('down');
      expect(down.exitCode, down.stderr).toBe(0);
      await eventually(() => Promise.resolve(expect(processesNaming(sandboxes)).toEqual([])), {
        timeoutMs: goneWithinMs,
      });
      await run('down');
      expect(leftovers()).toEqual([]);
    },
  );

  test('that failed says why, and the next one starts afresh', async () => {
    // The supervisor has a /run of its own, unless something in it is needed.
    const assets = mkdtempSync(process.getuid?.() === 0 ? '/run/meshctl-e2e-' : join(dir, 'assets-'));
    onTestFinished(() => rmSync(assets, { recursive: true }));
    chmodSync(assets, 0o755);
    const program = (file: string, version: string, body: string) =>
      writeFileSync(
        join(assets, file),
        `#!/bin/sh\n[ "$1" = --version ] && { echo "${version}"; exit; }\n${body}\n`,
        { mode: 0o755 },
      );
    program('kube-apiserver', 'Kubernetes v1.32.0', 'exec sleep 60');
    const fatal = '{"level":"fatal","msg":"cannot begin","error":"no luck"}';
    program('etcd', 'etcd Version: 3.5.0', `echo '${fatal}'; exit 1`);
    const failed = await meshctl(['sandbox', 'up', '--name', name], {
      env: { ...env, KUBEBUILDER_ASSETS: assets },
    });
    expect(failed.exitCode).toBe(1);
    expect(failed.stderr).toContain('MESH0810: etcd ended while it was starting: cannot begin: no luck');
    expect(await status()).toMatchObject({ exitCode: 1, supervisor: { phase: 'failed' } });
    const all = await processes();
    expect(await up()).toMatchObject({ wasRunning: false });
    expect(survivors(all)).toEqual([]);
  });

  test('after a kill in the middle goes on', async () => {
    const { child, ended } = beginUp();
    await eventually(() => Promise.resolve(expect(leftovers()).toContain(name)), { timeoutMs: 10_000 });
    child.kill('SIGKILL');
    await ended;
    await up();
    expect((await status()).exitCode).toBe(0);
  });
});

describe('without room on the disk', () => {
  const place = join(dir, 'small');
  // An ordinary user mounts in a user namespace of his own, where the sandbox is nested in it. Within a mount
  // namespace of root's it makes no difference who runs meshctl.
  const user = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
  const program = isOrdinaryRun()
    ? meshctlCommand().slice(meshctlCommand().indexOf('--') + 1)
    : meshctlCommand();

  /** Runs a script in which $place is a small file system for sandboxes, and `meshctl VERB` a verb of sandbox. */
  function onSmallDisk(mountOptions: string, ...script: readonly string[]) {
    const text = [
      `place=${place}; export XDG_STATE_HOME=$place`,
      `mkdir -p $place && mount -t tmpfs -o ${mountOptions} tmpfs $place || exit 99`,
      `meshctl() { ${program.join(' ')} sandbox "$@" --name ${name}; }`,
      ...script,
    ].join('\n');
    return command('unshare', [...user, '--mount', 'sh', '-c', text], { env });
  }

  test.each([
    ['is full', 'size=2m', 'true', 'the disk is full'],
    ['may not be written', 'size=9m', 'mount -o remount,ro $place', 'the file system is read-only'],
  ])('up says that it %s and leaves nothing', async (_what, size, prepare, text) => {
    const up = 'meshctl up --no-kubeconfig; code=$?; find $place -mindepth 3; exit $code';
    const outcome = await onSmallDisk(size, prepare, up);
    expect(outcome.stderr).toContain('MESH0814');
    expect(outcome.stderr).toContain(text);
    expect(outcome).toMatchObject({ exitCode: 1, stdout: '' });
  });

  test('a running sandbox refuses what needs room, and does it when there is some', async () => {
    const outcome = await onSmallDisk(
      isExternal ? 'size=220m' : 'size=120m',
      'meshctl up --no-kubeconfig >&2 || exit 1',
      'dd if=/dev/zero of=$place/filler bs=1M 2>/dev/null',
      'meshctl node add extra && exit 2',
      'meshctl node list',
      'rm $place/filler',
      'meshctl node add extra || exit 3',
      'meshctl down || exit 4',
      'find $place -mindepth 3',
    );
    expect(outcome.exitCode, outcome.stderr).toBe(0);
    expect(outcome.stderr).toContain('MESH0814');
    const words = outcome.stdout.split(/\s+/).filter((word) => /^(node-\d|extra|Ready|Booting)$/.test(word));
    const expected = ['node-1', 'Ready', 'node-2', 'Ready', 'extra'];
    // etcd ends when it cannot write, and nodes are not known to be Ready until it is back.
    const isThere = (word: string): boolean => !isExternal || /^(node-\d|extra)$/.test(word);
    expect(words.filter(isThere)).toEqual(expected.filter(isThere));
    expect(outcome.stdout).toContain(`sandbox ${name} is gone\n`);
    expect(outcome.stdout.endsWith('is gone\n')).toBe(true);
  });
});

describe('after kill -9', () => {
  test.each(['unshare', 'the first shell', 'the supervisor'])(
    'of %s nothing goes on running, status says so, and up starts afresh',
    async (which) => {
      const { server } = await up();
      const all = await processes();
      const victims = { unshare: all[0], 'the first shell': all[1], 'the supervisor': all[2] };
      const victim = victims[which as keyof typeof victims];
      process.kill(victim?.pid ?? 0, 'SIGKILL');
      await expectGone(all);
      expect(await status()).toMatchObject({ state: 'crashed', exitCode: 1 });
      expect(await up()).toMatchObject({ server, wasRunning: false, isContinued: false });
    },
  );

  test('of any other process the sandbox goes on', async () => {
    await up();
    const client = await KubeClient.fromKubeconfig({ kubeconfig: env.KUBECONFIG });
    const pod = { resource: pods, namespace: 'default', name: 'victim' };
    await client.create(
      pods,
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'victim' },
        spec: {
          nodeName: 'node-2',
          terminationGracePeriodSeconds: 0,
          containers: [{ name: 'c', image: 'meshctl/tool', command: ['sleep', 'infinity'] }],
        },
      },
      { namespace: 'default' },
    );
    const isReady = async () => {
      const { status: now } = await client.get<Pod>(pod);
      expect(now?.conditions?.find((c) => c.type === 'Ready')?.status).toBe('True');
    };
    await eventually(isReady, { timeoutMs: 20_000 });
    // Node inits, their helpers, the container and what stands around it: each in its turn.
    const [, , , ...others] = await processes();
    expect(others.length).toBeGreaterThan(6);
    for (const victim of others) {
      if (survivors([victim]).length === 0) continue; // went with an earlier one
      process.kill(victim.pid, 'SIGKILL');
      await eventually(async () => expect((await status()).exitCode).toBe(0), { timeoutMs: 30_000 });
    }
    await eventually(isReady, { timeoutMs: 60_000 });
    client.close();
    const all = await processes();
    await run('down');
    expect(survivors(all)).toEqual([]);
    expect(leftovers()).toEqual([]);
  });
});

describe('with --persist', () => {
  test('a sandbox goes on where it was: objects, keys, nodes, port; also after kill -9; until it is purged', async () => {
    const { server } = await up('--persist', '--nodes', '1');
    expect((await run('node', 'add', 'extra')).exitCode).toBe(2); // `node` takes a verb first
    const added = await meshctl(['sandbox', 'node', 'add', 'extra', '--name', name], { env });
    expect(added.exitCode, added.stderr).toBe(0);
    const handedOut = join(dir, 'handed-out');
    rmSync(handedOut, { force: true });
    await command('cp', [env.KUBECONFIG, handedOut]);
    const client = await KubeClient.fromKubeconfig({ kubeconfig: handedOut });
    const create = (configMap: string) =>
      client.request({
        method: 'POST',
        path: '/api/v1/namespaces/default/configmaps',
        body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: configMap } },
      });
    const isThere = async (configMap: string) =>
      client.request({ method: 'GET', path: `/api/v1/namespaces/default/configmaps/${configMap}` });
    await create('before-down');

    const down = await run('down');
    expect(down.stdout).toContain('is stopped');
    const { pid: _none, ...stopped } = await status();
    expect(stopped).toMatchObject({ state: 'stopped', exitCode: 1, isPersistent: true, nodeCount: 2 });
    expect((await meshctl(['sandbox', 'list'], { env })).stdout).toMatch(new RegExp(`${name}\\s+stopped`));
    expect(existsSync(join(sandboxes, name, 'control.sock'))).toBe(false);

    expect(await up()).toMatchObject({ server, isContinued: true, nodes: ['node-1', 'extra'] });
    await isThere('before-down');
    await create('before-kill');
    const all = await processes();
    process.kill(all[2]?.pid ?? 0, 'SIGKILL');
    await expectGone(all);
    expect(await status()).toMatchObject({ state: 'crashed' });
    expect(await up()).toMatchObject({ server, isContinued: true });
    await isThere('before-down');
    await isThere('before-kill');
    client.close();

    // In the middle of adding a node: afterwards it is there, or it is not.
    const adding = meshctl(['sandbox', 'node', 'add', 'late', '--name', name], { env });
    await eventually(
      () =>
        Promise.resolve(expect(readFileSync(join(sandboxes, name, 'nodes.json'), 'utf8')).toContain('late')),
      { timeoutMs: 10_000 },
    );
    const busy = await processes();
    process.kill(busy[2]?.pid ?? 0, 'SIGKILL');
    await expectGone(busy);
    await adding;
    expect(await up()).toMatchObject({ server, isContinued: true, nodes: ['node-1', 'extra', 'late'] });
    expect((await status()).exitCode).toBe(0);

    const other = await run('up', '--nodes', '5');
    expect(other.exitCode).toBe(1);
    expect(other.stderr).toContain('MESH0804');
    const purge = await run('down', '--purge');
    expect(purge.exitCode, purge.stderr).toBe(0);
    expect(leftovers()).toEqual([]);
    expect(await up()).toMatchObject({ isContinued: false });
  });
});
