import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { execFileSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { defaultSelectors } from '#mesh/rules/enrollment.js';
import { Installer, pluginEntry } from '#mesh/cni/installer/installer.js';
import { PluginFiles } from '#mesh/cni/installer/plugin-files.js';
import { createLogger, setLogOutput } from '#base/telemetry/log.js';
import { eventually, isRoot } from './test-netns.js';

const list = { cniVersion: '1.0.0', name: 'net', plugins: [{ type: 'ptp' }] };

describe.runIf(isRoot)('installer', () => {
  let dir: string;
  let netDir: string;
  let binDir: string;
  let runDir: string;
  let busybox: string;
  let template: string;
  const problems: (string | undefined)[] = [];

  beforeEach(() => {
    setLogOutput(() => undefined);
    problems.length = 0;
    dir = mkdtempSync(join(tmpdir(), 'cni-install-'));
    netDir = join(dir, 'net.d');
    binDir = join(dir, 'bin');
    runDir = join(dir, 'run');
    for (const path of [netDir, binDir, runDir]) mkdirSync(path);
    busybox = join(dir, 'busybox');
    copyFileSync('/bin/busybox', busybox);
    template = join(dir, 'istio-cni.sh');
    copyFileSync('src/mesh/cni/plugin/istio-cni.sh', template);
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  const versions = (): string =>
    execFileSync('/usr/sbin/chroot', [dir, '/bin/istio-cni'], {
      env: { CNI_COMMAND: 'VERSION' },
      input: '{}',
      encoding: 'utf8',
    });
  const make = ({
    confName = '',
    hostBinDir = '/bin',
  }: {
    confName?: string;
    access?: () => Promise<string>;
    hostBinDir?: string;
  } = {}): Installer =>
    new Installer({
      files: new PluginFiles({
        binDir,
        hostBinDir,
        hostRoot: dir,
        template,
        busyboxes: [join(dir, 'absent'), busybox],
        runDir,
        excludeNamespaces: ['kube-system'],
        agentNamespace: 'istio-system',
      }),
      netDir,
      confName,
      runDir,
      entry: pluginEntry({
        runDir,
        selectors: defaultSelectors,
        excludeNamespaces: ['kube-system'],
        podNamespace: 'istio-system',
        detectionRetry: false,
        logLevel: 'info',
      }),
      log: createLogger('install'),
      onState: (problem) => problems.push(problem),
      onInstall: () => undefined,
    });
  const conf = (name: string, value: unknown, mode = 0o644): string => {
    const path = join(netDir, name);
    writeFileSync(path, JSON.stringify(value));
    chmodSync(path, mode);
    return path;
  };
  const types = (path: string): string[] =>
    (JSON.parse(readFileSync(path, 'utf8')) as { plugins: { type: string }[] }).plugins.map(
      ({ type }) => type,
    );

  it('installs once, keeps the mode of the configuration, and then has nothing to do', async () => {
    const path = conf('10-net.conflist', list, 0o600);
    writeFileSync(join(runDir, 'istio-cni-kubeconfig'), 'of an earlier version');
    const installer = make();
    expect(await installer.ensure()).toBe(true);
    expect(types(path)).toEqual(['ptp', 'istio-cni']);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(await installer.ensure()).toBe(false);
    expect(readdirSync(netDir)).toEqual(['10-net.conflist']);
    expect(readdirSync(runDir)).toEqual([]);
  });

  it('makes a plugin that runs in the root of the node', async () => {
    conf('10-net.conflist', list);
    await make().ensure();
    expect(versions()).toContain('"1.1.0"');
  });

  it.each([
    ['needs libraries that the node lacks', () => copyFileSync('/bin/sh', busybox), /No such file/],
    ['is for another machine', () => writeFileSync(busybox, `\x7fELF${'x'.repeat(99)}`), /exit code/],
    [
      'is for another machine, and a shell of the node takes over',
      () => {
        writeFileSync(busybox, `\x7fELF${'x'.repeat(99)}`);
        copyFileSync('/bin/busybox', join(binDir, 'sh'));
      },
      /exit code/,
    ],
    ['is not there', () => rmSync(busybox), /looked for .*absent/],
  ])('chains nothing when the busybox %s, and says so', async (_, spoil, evidence) => {
    const path = conf('10-net.conflist', list);
    spoil();
    const stop = new AbortController();
    const ended = make().run(stop.signal);
    await eventually(() => problems.length > 0);
    stop.abort();
    await ended;
    expect(problems[0]).toMatch(/^MESH0711: /);
    expect(problems[0]).toMatch(evidence);
    expect(types(path)).toEqual(['ptp']);
    expect(existsSync(join(binDir, 'istio-cni'))).toBe(false);
  });

  it('chains nothing when the node calls the folder otherwise', async () => {
    const path = conf('10-net.conflist', list);
    await expect(make({ hostBinDir: '/opt/other' }).ensure()).rejects.toMatchObject({ code: 'MESH0711' });
    expect(types(path)).toEqual(['ptp']);
  });

  it('leaves a plugin that runs in place when the next one does not', async () => {
    const path = conf('10-net.conflist', list);
    await make().ensure();
    copyFileSync('/bin/sh', busybox);
    await expect(make().ensure()).rejects.toMatchObject({ code: 'MESH0711' });
    expect(types(path)).toEqual(['ptp', 'istio-cni']);
    expect(versions()).toContain('"1.1.0"');
  });

  it('chains to the first valid file, or to the one named', async () => {
    writeFileSync(join(netDir, '00-broken.conflist'), '{');
    const first = conf('10-a.conflist', list);
    const second = conf('20-b.conflist', list);
    await make({ confName: '20-b.conflist' }).ensure();
    expect([types(first), types(second)]).toEqual([['ptp'], ['ptp', 'istio-cni']]);
    await make().ensure();
    expect(types(first)).toEqual(['ptp', 'istio-cni']);
  });

  it('turns a .conf into a .conflist and finds it again by its old name', async () => {
    conf('10-net.conf', { cniVersion: '0.3.1', type: 'bridge' }, 0o640);
    expect(await make({ confName: '10-net.conf' }).ensure()).toBe(true);
    expect(readdirSync(netDir)).toEqual(['10-net.conflist']);
    expect(types(join(netDir, '10-net.conflist'))).toEqual(['bridge', 'istio-cni']);
    expect(statSync(join(netDir, '10-net.conflist')).mode & 0o777).toBe(0o640);
    expect(await make({ confName: '10-net.conf' }).ensure()).toBe(false);
  });

  it('repairs each file that somebody changes or removes', async () => {
    const path = conf('10-net.conflist', list);
    const stop = new AbortController();
    const installer = make();
    const ended = installer.run(stop.signal);
    await eventually(() => problems.includes(undefined));
    conf('10-net.conflist', list);
    rmSync(join(binDir, 'istio-cni'));
    const [program = ''] = readdirSync(join(binDir, '.istio-cni'));
    rmSync(join(binDir, '.istio-cni', program));
    await eventually(
      () =>
        types(path).length === 2 &&
        existsSync(join(binDir, 'istio-cni')) &&
        existsSync(join(binDir, '.istio-cni', program)),
    );
    stop.abort();
    await ended;
  });

  it('replaces the plugin when a new one comes with the agent, and takes the old parts away', async () => {
    conf('10-net.conflist', list);
    mkdirSync(join(binDir, '.istio-cni'));
    writeFileSync(join(binDir, '.istio-cni', 'node'), 'of an earlier version');
    await make().ensure();
    const before = readdirSync(join(binDir, '.istio-cni'));
    expect(before).toEqual([expect.stringMatching(/^busybox-/)]);
    appendFileSync(template, '# later\n');
    appendFileSync(busybox, 'later');
    expect(await make().ensure()).toBe(true);
    expect(readFileSync(join(binDir, 'istio-cni'), 'utf8')).toContain('# later');
    const after = readdirSync(join(binDir, '.istio-cni'));
    expect(after).toHaveLength(1);
    expect(after).not.toEqual(before);
    expect(versions()).toContain('"1.1.0"');
  });

  it('removes what a pass under way puts there', async () => {
    const path = conf('10-net.conflist', list);
    const installer = make();
    const pass = installer.ensure();
    const removal = installer.uninstall();
    await Promise.all([pass, removal]);
    expect(types(path)).toEqual(['ptp']);
    expect(await installer.leftovers()).toEqual([]);
  });

  it('removes all it installed and nothing else', async () => {
    const path = conf('10-net.conflist', list);
    writeFileSync(join(binDir, 'ptp'), '');
    const installer = make();
    await installer.ensure();
    expect(await installer.leftovers()).toHaveLength(3);
    expect(await installer.uninstall()).toHaveLength(3);
    expect(await installer.leftovers()).toEqual([]);
    expect(types(path)).toEqual(['ptp']);
    expect(readdirSync(binDir)).toEqual(['ptp']);
    expect(readdirSync(runDir)).toEqual([]);
    expect(await installer.uninstall()).toEqual([]);
    expect(await installer.ensure()).toBe(false);
  });
});
