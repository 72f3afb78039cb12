import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findCniPlugins } from '../../../src/sandbox/launcher/host/programs.js';
import { packageRoot } from '../../../src/sandbox/launcher/package-root.js';
import { loadedImagesFolder, NodeHost } from '../../../src/sandbox/node/host/node-host.js';
import { writeBuiltinImages } from '../../../src/sandbox/node/image/builtin-images.js';
import type { ContainerImage } from '../../../src/sandbox/node/image/image.js';
import { imageUser } from '../../../src/sandbox/node/image/image-user.js';
import { imageVolumes } from '../../../src/sandbox/node/image/image-volumes.js';
import { importArchive } from '../../../src/sandbox/node/image/import/index.js';
import { LoadedImages } from '../../../src/sandbox/node/image/loaded-images.js';
import { runInContainer } from '../../../src/sandbox/node/kubelet/container/container-process.js';
import { Container } from '../../../src/sandbox/node/runtime/container.js';
import type { ContainerConfig } from '../../../src/sandbox/node/runtime/container-config.js';
import { writeHelperPrograms } from '../../../src/sandbox/node/runtime/helper-programs.js';
import { LogFile } from '../../../src/sandbox/node/runtime/log-file.js';
import {
  createRootfs,
  removeRootfs,
  type RootfsMethod,
  rootfsMethod,
} from '../../../src/sandbox/node/runtime/rootfs.js';
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
  const running: Container[] = [];

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
  ): Promise<{ container: Container; own: string }> {
    const own = `/var/lib/containers/c${containerCount++}`;
    const rootfs = await createRootfs(host, image.rootfs, { folder: own, ...(method && { method }) });
    const log = await LogFile.create(join(host.rootfs, `${own}.log`));
    const config: ContainerConfig = {
      id: own,
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
    const container = await Container.start(host, config, { log, hasStdin: false });
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
      await new Promise<void>((resolve) => {
        if (readFileSync(container.log.path, 'utf8').includes('ready')) resolve();
        container.on('output', (_, data) => {
          if (data.includes('ready')) resolve();
        });
      });
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
