import { execFileSync } from 'node:child_process';
import { existsSync, readlinkSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CniRunner } from '#sandbox/node/cni/cni-runner.js';
import { NodeHost } from '#sandbox/node/host/node-host.js';
import {
  createPodNamespaces,
  type PodNamespaces,
  removePodNamespaces,
} from '#sandbox/node/host/pod-namespaces.js';
import { BuiltinImages, writeBuiltinImages } from '#sandbox/node/image/builtin-images.js';
import {
  exitCodeOfChild,
  runInContainer,
  spawnInContainer,
} from '#sandbox/node/kubelet/container/container-process.js';
import { nameCgroup } from '#sandbox/node/runtime/cgroup-name.js';
import { RunningContainer } from '#sandbox/node/runtime/container.js';
import type { ContainerConfig } from '#sandbox/node/runtime/container-config.js';
import { writeHelperPrograms } from '#sandbox/node/runtime/helper-programs.js';
import { LogFile } from '#sandbox/node/runtime/log-file.js';
import { createRootfs } from '#sandbox/node/runtime/rootfs.js';
import { prepareEmptyDir, releaseEmptyDir } from '#sandbox/node/volume/empty-dir.js';
import { writeCniConfig } from '#sandbox/supervisor/nodes/cni-config.js';
import { packageRoot } from '#sandbox/launcher/package-root.js';
import { findCniPlugins } from '#sandbox/launcher/host/programs.js';
import type { CniAttachment } from '#sandbox/node/cni/attachment.js';

// The launcher makes a user namespace for ordinary users; these tests drive the node directly and need root.
const isRoot = process.getuid?.() === 0;
if (!isRoot) process.stderr.write('skipped: the node runtime is tested directly only as root\n');

describe.skipIf(!isRoot)('a node', () => {
  let folder = '';
  let host: NodeHost;
  let containerCount = 0;
  const running: RunningContainer[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'node-runtime-'));
    await writeBuiltinImages(join(folder, 'images'));
    await writeHelperPrograms(join(folder, 'images/helpers'));
    await writeCniConfig(join(folder, 'rootfs'), ['10.244.9.0/24'], { hasPortmap: true });
    host = await NodeHost.start({
      name: 'node-t',
      ips: ['172.18.0.9'],
      rootfs: join(folder, 'rootfs'),
      cniPluginDir: findCniPlugins() ?? '/usr/lib/cni',
      packageRoot: packageRoot(),
      nodeBinary: process.execPath,
      imagesDir: join(folder, 'images'),
      nameserver: '10.96.0.10',
      loadedImagesDir: join(folder, 'loaded'),
    });
  });

  afterAll(async () => {
    for (const container of running) container.signal('SIGKILL');
    await host.stop();
    host.close();
    await rm(folder, { recursive: true, force: true });
  });

  async function start(command: string[], o: Partial<ContainerConfig> = {}): Promise<RunningContainer> {
    const image = new BuiltinImages({ hub: 'meshctl', version: '1' }).find('meshctl/tool');
    if (image === undefined) throw new Error('the tool image is built in');
    const id = `c${containerCount++}`;
    const rootfs = await createRootfs(host, image.rootfs, { folder: `/var/lib/containers/${id}` });
    const log = await LogFile.create(join(folder, `${id}.log`));
    const container = await RunningContainer.start(
      host,
      {
        id,
        image,
        rootfs,
        command,
        env: image.config.env,
        workingDir: '/',
        hasTerminal: false,
        namespaces: {},
        pidNamespace: 'own',
        isRootfsReadOnly: false,
        isPrivileged: false,
        mayGainPrivileges: true,
        hasSeccompFilter: false,
        capabilities: ['CAP_CHOWN', 'CAP_NET_RAW'],
        user: undefined,
        mounts: [],
        ...o,
      },
      { log, hasStdin: false },
    );
    running.push(container);
    return container;
  }

  const namespaces = new Map<string, PodNamespaces>();

  /** Path of the network namespace of new pod namespaces. */
  async function podNetns(): Promise<string> {
    const made = await createPodNamespaces(host, { hostname: 'h', hasOwnIpc: true, sysctls: [] });
    namespaces.set(made.net ?? '', made);
    return made.net ?? '';
  }

  async function release(netns: string): Promise<void> {
    const made = namespaces.get(netns);
    if (made !== undefined) await removePodNamespaces(host, made);
  }

  async function output(container: RunningContainer): Promise<string> {
    await container.exited;
    if (!container.log.hasEnded)
      await new Promise((resolve) => container.log.once('end', () => resolve(undefined)));
    const entries = (await readFile(container.log.path, 'utf8')).split('\n').filter(Boolean);
    return entries.map((e) => e.replace(/^\S+ \S+ F /, '')).join('\n');
  }

  test('has its own pid 1, name and network, and collects orphans', async () => {
    const { stdout } = await host.run([
      'sh',
      '-c',
      'hostname; readlink /proc/1/ns/net; (sleep 0.01 & exec true); sleep 0.1; ps -eo stat | grep -c Z',
    ]);
    const [name, netns, zombies] = stdout.trim().split('\n');
    expect(name).toBe('node-t');
    expect(netns).not.toBe(readlinkSync('/proc/self/ns/net'));
    expect(zombies).toBe('0');
  });

  test.skipIf(!existsSync('/usr/bin/curl'))("curl in the tool image is the machine's own", async () => {
    const version = execFileSync('/usr/bin/curl', ['--version'], { encoding: 'utf8' }).trim().split('\n')[0];
    const refused = ['-sS', '-m', '5', 'http://127.0.0.1:1/'];
    for (const words of [['curl'], ['tool', 'curl'], ['tool-entrypoint', 'curl']])
      expect(
        await output(
          await start([...words, '--version'], { user: { uid: 65_534, gid: 65_534, groups: [] } }),
        ),
      ).toContain(version);
    const container = await start(['curl', ...refused]);
    expect(await output(container)).toMatch(/^curl: \(7\) /);
    expect(await container.exited).toMatchObject({ exitCode: 7 });
  });

  test('curl in the tool image is a stand-in where the machine has none', async () => {
    const mounts = existsSync('/usr/bin/curl')
      ? [{ source: '/dev/null', target: '/usr/bin/curl', isReadOnly: true }]
      : [];
    const container = await start(['curl', '-sS', '-m', '5', 'http://127.0.0.1:1/'], { mounts });
    expect(await output(container)).toMatch(/^curl: \(7\) /);
    expect(await container.exited).toMatchObject({ exitCode: 7 });
    expect(await output(await start(['tool', 'curl', '--version'], { mounts }))).toContain('stand-in');
  });

  test('gives pods memory volumes that are like /tmp, and belong to their group', async () => {
    const path = '/run/kubelet/pods/u/volumes/memory';
    await prepareEmptyDir(host, path, { emptyDir: { medium: 'Memory' }, group: 123 });
    const { stdout } = await host.run(['stat', '-f', '-c', '%T', path]);
    expect(stdout.trim()).toBe('tmpfs');
    const { mode, gid } = await stat(host.path(path));
    expect([mode & 0o7777, gid]).toEqual([0o3777, 123]);
    await releaseEmptyDir(host, path);
  });

  describe('its network plugins', () => {
    const attachment = (netns: string): CniAttachment => ({
      containerId: `pod${containerCount++}`,
      netns,
      podNamespace: 'ns',
      podName: 'p',
      podUid: 'u',
    });

    /** A plugin that writes down its calls, and refuses ADD while a file says so. */
    async function chainPlugin(): Promise<CniRunner> {
      const plugin = host.path('/opt/cni/bin/recorder');
      await writeFile(
        plugin,
        '#!/bin/sh\nin=$(cat)\necho "$CNI_COMMAND $K $CNI_ARGS $in" >> /var/lib/recorder.log\n' +
          'if [ -e /var/lib/refuse ] && [ "$CNI_COMMAND" = ADD ]; then echo \'{"code":7,"msg":"not yet","details":"come back"}\'; exit 1; fi\n' +
          'if [ "$CNI_COMMAND" = ADD ]; then echo "$in" | sed \'s/.*"prevResult"://; s/}$//\'; fi\n',
      );
      await chmod(plugin, 0o755);
      const file = host.path('/etc/cni/net.d/10-sandbox.conflist');
      const config = JSON.parse(await readFile(file, 'utf8')) as { plugins: { type: string }[] };
      if (!config.plugins.some((p) => p.type === 'recorder')) config.plugins.push({ type: 'recorder' });
      await writeFile(file, JSON.stringify(config));
      await rm(host.path('/var/lib/recorder.log'), { force: true });
      return new CniRunner(host);
    }

    test('add gives an address, check agrees, delete takes it back', async () => {
      const cni = new CniRunner(host);
      const netns = await podNetns();
      const pod = attachment(netns);
      const result = await cni.add(pod);
      expect(result.ips?.[0]?.address).toMatch(/^10\.244\.9\.\d+\/24$/);
      await cni.check(pod);
      const inside = await host.run(['ip', '-4', '-o', 'addr', 'show', 'eth0'], { netns });
      expect(inside.stdout).toContain(result.ips?.[0]?.address.split('/')[0]);
      await cni.delete(pod);
      await cni.delete(pod);
      await expect(cni.check(pod)).rejects.toThrow('no attachment');
      await release(netns);
      expect((await host.run(['ls', '/run/netns'])).stdout).not.toContain(netns.split('/').at(-1));
    });

    test('a chained plugin gets the result before it; delete runs backwards', async () => {
      const cni = await chainPlugin();
      const netns = await podNetns();
      const pod = attachment(netns);
      const result = await cni.add(pod);
      await cni.delete(pod);
      const calls = (await readFile(host.path('/var/lib/recorder.log'), 'utf8')).trim().split('\n');
      expect(calls.map((c) => c.split(' ')[0])).toEqual(['ADD', 'DEL']);
      expect(calls[0]).toContain(`"address":"${result.ips?.[0]?.address}"`);
      expect(calls[0]).toContain('K8S_POD_NAMESPACE=ns;K8S_POD_NAME=p');
      expect(calls[1]).toContain('prevResult');
      await release(netns);
    });

    test('a refusal is reported in its own words and leaves no address taken', async () => {
      const cni = await chainPlugin();
      const leases = async () =>
        (await host.run(['ls', '/run/cni-ipam/sandbox'])).stdout.match(/^10\./gm)?.length ?? 0;
      const before = await leases();
      const netns = await podNetns();
      await writeFile(host.path('/var/lib/refuse'), '');
      const pod = attachment(netns);
      await expect(cni.add(pod)).rejects.toThrow('plugin type="recorder" failed (add): not yet; come back');
      expect(await leases()).toBe(before);
      await rm(host.path('/var/lib/refuse'));
      await cni.add(pod);
      expect(await leases()).toBe(before + 1);
      await cni.delete(pod);
      await release(netns);
    });
  });

  describe('its network configuration', () => {
    /** A plugin of its own folder that records what it is called with and answers as told. */
    async function useConfig(o: {
      version: string;
      answer?: string;
      exitCode?: number;
      type?: string;
    }): Promise<void> {
      const plugin = host.path('/opt/cni/bin/notary');
      const log = '/var/lib/notary.log';
      const result = o.answer ?? '{"cniVersion":"1.0.0","ips":[{"address":"10.9.9.9/32"}]}';
      await writeFile(
        plugin,
        `#!/bin/sh\necho "$CNI_COMMAND $CNI_IFNAME $(cat)" >> ${log}\necho '${result}'; exit ${o.exitCode ?? 0}\n`,
      );
      await chmod(plugin, 0o755);
      await rm(host.path(log), { force: true });
      const config = {
        cniVersions: ['0.4.0', o.version, '9.0.0'],
        name: 'notary',
        plugins: [{ type: o.type ?? 'notary', capabilities: { portMappings: true, bandwidth: true } }],
      };
      await writeFile(host.path('/etc/cni/net.d/00-notary.conflist'), JSON.stringify(config));
    }

    const calls = async (): Promise<string[]> =>
      (await readFile(host.path('/var/lib/notary.log'), 'utf8')).trim().split('\n');

    const pod: CniAttachment = {
      containerId: 'notary-1',
      netns: '/run/netns/none',
      podNamespace: 'ns',
      podName: 'p',
      podUid: 'u',
      capabilityArgs: { portMappings: [{ hostPort: 80, containerPort: 8080, protocol: 'tcp' }] },
    };

    afterAll(() => rm(host.path('/etc/cni/net.d/00-notary.conflist'), { force: true }));

    test('a new file is used by the next pod; plugins are told the host ports, also at the end', async () => {
      const cni = new CniRunner(host);
      await cni.status();
      await useConfig({ version: '1.0.0' });
      await cni.status();
      expect((await cni.add(pod)).ips?.[0]?.address).toBe('10.9.9.9/32');
      const { capabilityArgs: _, ...forgetful } = pod;
      await cni.delete(forgetful);
      const [add = '', del = ''] = await calls();
      for (const call of [add, del]) {
        expect(call).toContain(
          '"runtimeConfig":{"portMappings":[{"hostPort":80,"containerPort":8080,"protocol":"tcp"}]}',
        );
        expect(call).toContain('"cniVersion":"1.0.0","');
        expect(call).not.toContain('capabilities');
      }
      expect(del).toMatch(/^DEL eth0 .*"prevResult":\{/);
    });

    test('from version 1.1 on plugins are asked for their status and to clean up', async () => {
      const cni = new CniRunner(host);
      await useConfig({ version: '1.1.0' });
      await cni.status();
      await cni.add(pod);
      await cni.collectGarbage(new Set(['other']));
      expect((await calls()).map((call) => call.split(' ')[0])).toEqual(['STATUS', 'ADD', 'DEL', 'GC']);
      expect((await calls()).at(-1)).toContain(
        '"cni.dev/valid-attachments":[{"containerID":"other","ifname":"eth0"}]',
      );
      await useConfig({ version: '1.1.0', answer: '{"code":50,"msg":"no uplink yet"}', exitCode: 1 });
      await expect(cni.status()).rejects.toThrow('plugin type="notary" failed (status): no uplink yet');
    });

    test('a plugin that is missing, or says nothing sensible, is named', async () => {
      const cni = new CniRunner(host);
      await useConfig({ version: '1.0.0', type: 'nowhere' });
      await expect(cni.add(pod)).rejects.toThrow(
        'plugin type="nowhere" failed (add): failed to find plugin "nowhere" in path [/opt/cni/bin]',
      );
      await useConfig({ version: '1.0.0', answer: 'oops', exitCode: 3 });
      await expect(cni.add(pod)).rejects.toThrow(
        'plugin type="notary" failed (add): netplugin failed: "oops"',
      );
      await useConfig({ version: '1.0.0', answer: 'oops' });
      await expect(cni.add(pod)).rejects.toThrow('its result is not a JSON object: oops');
    });
  });

  describe('its containers', () => {
    test('run as pid 1 of their own namespace, with their root and what they may do', async () => {
      const container = await start([
        'sh',
        '-c',
        'echo $$; grep CapEff /proc/self/status; touch /x && echo writable',
      ]);
      expect(await output(container)).toBe('1\nCapEff:\t0000000000002001\nwritable');
      expect(container.exit?.exitCode).toBe(0);
    });

    test('report their exit code, a program that is not there, and death by signal', async () => {
      const failing = await start(['sh', '-c', 'exit 9']);
      expect((await failing.exited).exitCode).toBe(9);
      const missing = await start(['/no/such/program']);
      expect(await missing.exited).toMatchObject({
        exitCode: 128,
        startError: 'exec: "/no/such/program": executable file not found in $PATH',
      });
      const killed = await start(['sleep', 'infinity']);
      killed.signal('SIGKILL');
      expect((await killed.exited).exitCode).toBe(137);
    });

    test('end on SIGTERM when they listen, by SIGKILL when they do not', async () => {
      const polite = await start(['sh', '-c', 'trap "exit 3" TERM; echo up; while :; do sleep 0.02; done']);
      await expect.poll(() => readFile(polite.log.path, 'utf8')).toContain('up');
      expect((await polite.stop(5_000)).exitCode).toBe(3);
      const deaf = await start(['sleep', 'infinity']);
      expect((await deaf.stop(50)).exitCode).toBe(137);
    });

    test('another user has no capabilities, in the container and in exec', async () => {
      const look = 'id -u; id -G; grep CapPrm /proc/self/status';
      const container = await start(['sh', '-c', `${look}; exec sleep infinity`], {
        user: { uid: 1234, gid: 5, groups: [5, 77] },
      });
      const { output: seen } = await runInContainer(container, ['sh', '-c', look], 5_000);
      expect(seen).toBe('1234\n5 77\nCapPrm:\t0000000000000000\n');
      await expect.poll(() => readFile(container.log.path, 'utf8')).toContain('CapPrm');
      container.signal('SIGKILL');
      expect(await output(container)).toBe(seen.trim());
    });

    test('exec joins the container, with its bounds, and is over when it times out', async () => {
      const container = await start(['sleep', 'infinity']);
      const inside = await runInContainer(
        container,
        ['sh', '-c', 'grep CapEff /proc/self/status; exit 4'],
        5_000,
      );
      expect(inside).toEqual({ exitCode: 4, output: 'CapEff:\t0000000000002001\n' });
      const late = await runInContainer(container, ['sleep', '30'], 100);
      expect(late.exitCode).toBe(124);
      const { output: left } = await runInContainer(container, ['ps', '-eo', 'args'], 5_000);
      expect(left).not.toContain('sleep 30');
      const child = spawnInContainer(container, ['sh', '-c', 'cat; echo done'], ['pipe', 'pipe', 'pipe']);
      let text = '';
      child.stdout?.on('data', (data: Buffer) => {
        text += data.toString();
      });
      child.stdin?.end('x'.repeat(200_000));
      expect(await exitCodeOfChild(child)).toBe(0);
      expect(text).toHaveLength(200_005);
    });

    test('are told apart on the node by the cgroup of their first process', async () => {
      const agent = await start(['sleep', 'infinity'], {
        mounts: [{ source: '/proc', target: '/host/proc', isReadOnly: true }],
      });
      const container = await start(['sleep', 'infinity']);
      const path = '/kubepods/besteffort/pod0a4c3e1e-7d0f-4d43-a8a5-6c1d4a0a4f11/c0ffee';
      await nameCgroup(host, container.initPid ?? 0, { path, file: '/var/lib/cgroup-of-container' });
      const command = ['sh', '-c', 'grep -l c0ffee /host/proc/[0-9]*/cgroup'];
      const found = await runInContainer(agent, command, 5_000);
      expect(found.output).toMatch(/^\/host\/proc\/\d+\/cgroup\n$/);
      const file = found.output.trim();
      expect((await runInContainer(agent, ['cat', file], 5_000)).output).toBe(`0::${path}\n`);
      const netns = await runInContainer(agent, ['readlink', file.replace('cgroup', 'ns/net')], 5_000);
      expect(netns.output.trim()).toBe(readlinkSync(`/proc/${container.initPid}/ns/net`));
      container.signal('SIGKILL');
      await container.exited;
      expect((await runInContainer(agent, command, 5_000)).output).not.toContain(file);
    });

    test.each([true, false])('have a seccomp filter when they are to (terminal: %s)', async (hasTerminal) => {
      const script =
        'grep -w Seccomp: /proc/self/status; unshare --net true 2>/dev/null || echo refused; exec true';
      const o = { hasTerminal, capabilities: ['CAP_CHOWN'] };
      const filtered = await start(['sh', '-c', script], { ...o, hasSeccompFilter: true });
      expect((await output(filtered)).replaceAll(/\s+/g, ' ').trim()).toBe('Seccomp: 2 refused');
      expect((await filtered.exited).exitCode).toBe(0);
      const free = await start(['sh', '-c', script], { hasTerminal, capabilities: 'all' });
      expect((await output(free)).replaceAll(/\s+/g, ' ').trim()).toBe('Seccomp: 0');
    });

    test('see namespaces that appear on the node after they started', async () => {
      const container = await start(['sleep', 'infinity'], {
        mounts: [{ source: '/run/netns', target: '/host-netns', isReadOnly: false }],
        capabilities: 'all',
      });
      const netns = await podNetns();
      const name = netns.split('/').at(-1) ?? '';
      const command = ['nsenter', `--net=/host-netns/${name}`, 'ip', '-o', 'link'];
      const { exitCode, output: links } = await runInContainer(container, command, 5_000);
      expect(exitCode, links).toBe(0);
      expect(links).not.toContain('eth0');
      await release(netns);
    });
  });
});
