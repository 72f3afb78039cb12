import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findCniPlugins } from '#sandbox/launcher/host/programs.js';
import { packageRoot } from '#sandbox/launcher/package-root.js';
import { loadedImagesFolder, NodeHost } from '#sandbox/node/host/node-host.js';
import { writeBuiltinImages } from '#sandbox/node/image/builtin-images.js';
import type { ContainerImage } from '#sandbox/node/image/image.js';
import { imageUser } from '#sandbox/node/image/image-user.js';
import { imageVolumes } from '#sandbox/node/kubelet/container/image-volumes.js';
import { importArchive } from '#sandbox/node/image/import/index.js';
import { LoadedImages } from '#sandbox/node/image/loaded-images.js';
import { runInContainer } from '#sandbox/node/kubelet/container/container-process.js';
import { RunningContainer } from '#sandbox/node/runtime/container.js';
import type { ContainerConfig } from '#sandbox/node/runtime/container-config.js';
import { writeHelperPrograms } from '#sandbox/node/runtime/helper-programs.js';
import { LogFile } from '#sandbox/node/runtime/log-file.js';
import { createRootfs, removeRootfs, type RootfsMethod, rootfsMethod } from '#sandbox/node/runtime/rootfs.js';
import { hostPrograms } from '../../harness/host-image.js';
import { archiveOf, ociLayout, tarOf } from '../../harness/image-archive.js';

// The launcher makes a user namespace for ordinary users; these tests drive the node directly and need root.
const isRoot = process.getuid?.() === 0;
if (!isRoot) process.stderr.write('skipped: loaded images are tested directly on a node only as root\n');

describe.skipIf(!isRoot)('containers of a loaded image', () => {
  let folder = '';
  let host: NodeHost;
  let image: ContainerImage;
  let containerCount = 0;
  const running: RunningContainer[] = [];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'loaded-images-'));
    const store = join(folder, 'loaded');
    const layers = [
      await tarOf([
        ...hostPrograms(['sh', 'cat', 'sleep', 'id', 'rm', 'tty']),
        { name: 'etc/passwd', content: 'root:x:0:0::/root:/bin/sh\nweb:x:1001:1002::/home/web:/bin/sh\n' },
        { name: 'etc/group', content: 'web:x:1002:\nextra:x:1003:other,web\n' },
        { name: 'data/seed', content: 'from the image', uid: 1001, gid: 1002 },
        { name: 'file', content: 'original' },
        // A program that belongs to root and runs as root, whoever starts it.
        ...hostPrograms(['id']).flatMap((entry) =>
          entry.name.endsWith('/id') ? { ...entry, name: 'bin/root-id', mode: 0o4755 } : [],
        ),
      ]),
      await tarOf([{ name: 'replaced/x', content: '1' }]),
    ];
    const archive = join(folder, 'image.tar');
    writeFileSync(
      archive,
      await archiveOf(ociLayout([{ name: 'shop/app:1', layers, config: { User: 'web' } }])),
    );
    await importArchive(archive, store, { signal: AbortSignal.timeout(30_000) });
    await writeBuiltinImages(join(folder, 'images'));
    await writeHelperPrograms(join(folder, 'images/helpers'));
    host = await NodeHost.start({
      name: 'node-t',
      ips: ['172.18.0.9'],
      rootfs: join(folder, 'rootfs'),
      cniPluginDir: findCniPlugins() ?? '/usr/lib/cni',
      packageRoot: packageRoot(),
      nodeBinary: process.execPath,
      imagesDir: join(folder, 'images'),
      nameserver: '10.96.0.10',
      loadedImagesDir: store,
    });
    const found = new LoadedImages({ folder: store, nodeFolder: loadedImagesFolder }).find('shop/app:1');
    if (found === undefined) throw new Error('the image was not loaded');
    image = found;
  });

  afterAll(async () => {
    for (const container of running) container.signal('SIGKILL');
    await host?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function start(
    method: RootfsMethod | undefined,
    command: string[],
    o: Partial<ContainerConfig> = {},
  ): Promise<{ container: RunningContainer; own: string }> {
    const own = `/var/lib/containers/c${containerCount++}`;
    const rootfs = await createRootfs(host, image.rootfs, { folder: own, ...(method && { method }) });
    const log = await LogFile.create(join(host.rootfs, `${own}.log`));
    const config: ContainerConfig = {
      id: basename(own),
      image,
      rootfs,
      command,
      env: { PATH: '/bin' },
      workingDir: '/',
      hasTerminal: false,
      namespaces: {},
      pidNamespace: 'own',
      isRootfsReadOnly: false,
      isPrivileged: false,
      mayGainPrivileges: true,
      hasSeccompFilter: false,
      capabilities: ['CAP_CHOWN', 'CAP_DAC_OVERRIDE'],
      user: undefined,
      mounts: [],
      ...o,
    };
    const container = await RunningContainer.start(host, config, { log, hasStdin: false });
    running.push(container);
    return { container, own };
  }

  test('this kernel has overlays', async () => {
    expect(await rootfsMethod(host)).toBe('overlay');
  });

  describe.each<RootfsMethod>(['overlay', 'copy'])('with an own view by %s', (method) => {
    test('change it without changing the image or each other', async () => {
      const first = await start(method, ['/bin/sleep', '1000']);
      const second = await start(method, ['/bin/sleep', '1000']);
      const script = 'echo changed >/file; rm -r /replaced; echo new >/replaced; cat /file /replaced';
      expect(await runInContainer(first.container, ['sh', '-c', script], 5_000)).toEqual({
        exitCode: 0,
        output: 'changed\nnew\n',
      });
      const look = await runInContainer(second.container, ['sh', '-c', 'cat /file /replaced/x'], 5_000);
      expect(look.output).toBe('original1');
      for (const { container, own } of [first, second]) {
        await container.stop(0);
        await removeRootfs(host, image.rootfs, own);
        await removeRootfs(host, image.rootfs, own);
      }
      expect(() => statSync(join(host.rootfs, first.own))).toThrow('ENOENT');
      expect((await host.run(['cat', '/proc/mounts'])).stdout).not.toContain(first.own);
    });

    test('take on another user with nothing of the host in the image', async () => {
      const user = { uid: 1001, gid: 1002, groups: [1003] };
      const { container } = await start(method, ['/bin/sleep', '1000'], { user, capabilities: [] });
      const { output, exitCode } = await runInContainer(
        container,
        ['sh', '-c', 'id; cat /proc/self/status; echo x >/file'],
        5_000,
      );
      expect(output).toContain('uid=1001(web) gid=1002(web) groups=1002(web),1003(extra)');
      expect(output).toMatch(/^CapBnd:\s0+$/m);
      expect(exitCode).not.toBe(0);
    });
  });

  describe('as a user who may gain privileges', () => {
    const user = { uid: 1001, gid: 1002, groups: [1003] };

    async function output(command: string[], o: Partial<ContainerConfig> = {}): Promise<string> {
      const { container } = await start(undefined, command, { user, ...o });
      const { exitCode } = await container.exited;
      await container.log.ended();
      const text = readFileSync(container.log.path, 'utf8').replaceAll(/^\S+ std\w+ [FP] /gm, '');
      expect([exitCode, text]).toEqual([0, text]);
      return text;
    }

    test('gain them by a setuid program, and otherwise not', async () => {
      expect(await output(['root-id'])).toContain('uid=1001(web) gid=1002(web) euid=0(root)');
      expect(await output(['root-id'], { mayGainPrivileges: false })).not.toContain('euid');
      const { container } = await start(undefined, ['sleep', '1000'], { user });
      expect((await runInContainer(container, ['root-id'], 5_000)).output).toContain('euid=0(root)');
    });

    test('are as any other container: first process, variables, folder, file system, nothing left open', async () => {
      const status = await output(['cat', '/proc/self/status']);
      expect(status).toMatch(/^Pid:\t1$/m);
      expect(status).toMatch(/^CapPrm:\t0+$/m);
      expect(status).toMatch(/^CapBnd:\t0*3$/m);
      const env = { PATH: '/bin', 'odd.name': 'x y', PWD: '/there', LD_BIND_NOW: '1', path: '$(id)' };
      const environ = (await output(['cat', '/proc/self/environ'], { env })).replace(/\n$/, '');
      expect(environ.split('\0').filter(Boolean).sort()).toEqual(
        Object.entries(env)
          .map(([name, value]) => `${name}=${value}`)
          .sort(),
      );
      const script = 'cat /proc/mounts; for fd in 3 4 5; do test -e /proc/$$/fd/$fd && echo open; done; pwd';
      const o = { workingDir: '/data', isRootfsReadOnly: true };
      const seen = (await output(['/bin/sh', '-c', script], o)).trimEnd().split('\n');
      expect(seen[0]?.split(' ')[3]).toMatch(/^ro,nodev/);
      expect(seen).not.toContain('open');
      expect(seen.at(-1)).toBe('/data');
      expect((await host.run(['ls', '/run/kubelet'])).stdout).not.toContain('start-');
    });

    test('have a terminal when they ask for one, and end by the signal they are sent', async () => {
      const { container } = await start(
        undefined,
        ['sh', '-c', 'test -t 0 && test -t 1 && echo is a terminal; sleep 1000'],
        {
          user,
          hasTerminal: true,
        },
      );
      const seen = (): string => readFileSync(container.log.path, 'utf8');
      await expect.poll(seen, { timeout: 10_000 }).toContain('is a terminal');
      container.signal('SIGKILL');
      expect((await container.exited).exitCode).toBe(137);
      expect(seen()).toMatch(/^\S+ stdout F is a terminal\r?\n$/);
    });
  });

  test('a program that is not in the image is reported as container runtimes do', async () => {
    for (const o of [{}, { user: { uid: 5, gid: 5, groups: [] } }, { hasTerminal: true }]) {
      const { container } = await start(undefined, ['missing'], o);
      const exit = await container.exited;
      expect(exit).toMatchObject({
        exitCode: 128,
        startError: 'exec: "missing": executable file not found in $PATH',
      });
    }
  });

  test('a container ends by the signal its image asks for', async () => {
    const script = 'trap "echo got quit; exit 3" QUIT; echo ready; while :; do sleep 0.05; done';
    const own = image;
    image = { ...own, config: { ...own.config, stopSignal: 'SIGQUIT' } };
    try {
      const { container } = await start(undefined, ['/bin/sh', '-c', script]);
      await expect
        .poll(() => readFileSync(container.log.path, 'utf8'), { timeout: 10_000 })
        .toContain('ready');
      expect((await container.stop(10_000)).exitCode).toBe(3);
    } finally {
      image = own;
    }
  });

  test("a volume of the image begins with what the image has there, its owner's", async () => {
    const own = `/var/lib/containers/c${containerCount++}`;
    const rootfs = await createRootfs(host, image.rootfs, { folder: own });
    const options = { folder: own, overridden: new Set(['/other']) };
    const [volume, ...more] = await imageVolumes(host, ['/data', '/other', 'relative'], options);
    expect(more).toEqual([]);
    expect(volume).toMatchObject({ target: '/data', isReadOnly: false });
    const seed = join(host.rootfs, volume?.source ?? '', 'seed');
    expect(readFileSync(seed, 'utf8')).toBe('from the image');
    expect(statSync(seed).uid).toBe(1001);
    await removeRootfs(host, image.rootfs, own);
    expect(rootfs).toContain(own);
  });

  test("users and groups are looked up in the image's own files", async () => {
    const own = `/var/lib/containers/c${containerCount++}`;
    const root = host.path(await createRootfs(host, image.rootfs, { folder: own }));
    const web = { uid: 1001, gid: 1002, groups: [1003], home: '/home/web' };
    expect(await imageUser(root, 'web')).toEqual({ ...web, isNumeric: false });
    expect(await imageUser(root, '1001')).toEqual({ ...web, isNumeric: true });
    expect(await imageUser(root, 'web:extra')).toMatchObject({ gid: 1003, groups: [] });
    expect(await imageUser(root, '7:8')).toEqual({ uid: 7, gid: 8, groups: [], home: '/', isNumeric: true });
    expect(await imageUser(root, '')).toMatchObject({ uid: 0, gid: 0, home: '/root' });
    await expect(imageUser(root, 'nobody-here')).rejects.toThrow('unable to find user nobody-here');
    await expect(imageUser(root, 'web:nogroup')).rejects.toThrow('unable to find group nogroup');
    await removeRootfs(host, image.rootfs, own);
  });
});
