import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
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
import { eventually } from './test-netns.js';

const list = { cniVersion: '1.0.0', name: 'net', plugins: [{ type: 'ptp' }] };

describe('installer', () => {
  let dir: string;
  let netDir: string;
  let binDir: string;
  let runDir: string;
  let kubeconfig: string;
  const problems: (string | undefined)[] = [];

  beforeEach(() => {
    setLogOutput(() => undefined);
    problems.length = 0;
    kubeconfig = 'one';
    dir = mkdtempSync(join(tmpdir(), 'cni-install-'));
    netDir = join(dir, 'net.d');
    binDir = join(dir, 'bin');
    runDir = join(dir, 'run');
    for (const path of [netDir, binDir, runDir]) mkdirSync(path);
    writeFileSync(join(dir, 'node'), '#!/bin/sh\necho "$@"\n', { mode: 0o755 });
    writeFileSync(join(dir, 'plugin.cjs'), 'first');
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  const make = (confName = '', access = () => Promise.resolve(kubeconfig)): Installer =>
    new Installer({
      files: new PluginFiles({
        binDir,
        pluginSource: join(dir, 'plugin.cjs'),
        nodeBinary: join(dir, 'node'),
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
      kubeconfig: access,
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
    const installer = make();
    expect(await installer.ensure()).toBe(true);
    expect(types(path)).toEqual(['ptp', 'istio-cni']);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(join(runDir, 'istio-cni-kubeconfig')).mode & 0o777).toBe(0o600);
    expect(await installer.ensure()).toBe(false);
    expect(readdirSync(netDir)).toEqual(['10-net.conflist']);
  });

  it('makes a launcher that runs the bundle with the interpreter beside it', async () => {
    conf('10-net.conflist', list);
    await make().ensure();
    const output = execFileSync(join(binDir, 'istio-cni'), ['x'], { encoding: 'utf8' });
    expect(output.trim()).toBe(`--no-warnings ${binDir}/.istio-cni/plugin.cjs x`);
  });

  it('chains to the first valid file, or to the one named', async () => {
    writeFileSync(join(netDir, '00-broken.conflist'), '{');
    const first = conf('10-a.conflist', list);
    const second = conf('20-b.conflist', list);
    await make('20-b.conflist').ensure();
    expect([types(first), types(second)]).toEqual([['ptp'], ['ptp', 'istio-cni']]);
    await make().ensure();
    expect(types(first)).toEqual(['ptp', 'istio-cni']);
  });

  it('turns a .conf into a .conflist and finds it again by its old name', async () => {
    conf('10-net.conf', { cniVersion: '0.3.1', type: 'bridge' }, 0o640);
    expect(await make('10-net.conf').ensure()).toBe(true);
    expect(readdirSync(netDir)).toEqual(['10-net.conflist']);
    expect(types(join(netDir, '10-net.conflist'))).toEqual(['bridge', 'istio-cni']);
    expect(statSync(join(netDir, '10-net.conflist')).mode & 0o777).toBe(0o640);
    expect(await make('10-net.conf').ensure()).toBe(false);
  });

  it('repairs each file that somebody changes or removes', async () => {
    const path = conf('10-net.conflist', list);
    const stop = new AbortController();
    const installer = make();
    const ended = installer.run(stop.signal);
    await eventually(() => problems.includes(undefined));
    conf('10-net.conflist', list);
    rmSync(join(binDir, 'istio-cni'));
    rmSync(join(binDir, '.istio-cni', 'node'));
    chmodSync(join(runDir, 'istio-cni-kubeconfig'), 0o644);
    await eventually(
      () =>
        types(path).length === 2 &&
        existsSync(join(binDir, 'istio-cni')) &&
        existsSync(join(binDir, '.istio-cni', 'node')) &&
        (statSync(join(runDir, 'istio-cni-kubeconfig')).mode & 0o777) === 0o600,
    );
    kubeconfig = 'two';
    await eventually(() => readFileSync(join(runDir, 'istio-cni-kubeconfig'), 'utf8') === 'two');
    stop.abort();
    await ended;
  });

  it('replaces the bundle when a new one comes with the agent', async () => {
    conf('10-net.conflist', list);
    await make().ensure();
    writeFileSync(join(dir, 'plugin.cjs'), 'later');
    utimesSync(join(dir, 'plugin.cjs'), new Date(), new Date(Date.now() + 5_000));
    expect(await make().ensure()).toBe(true);
    expect(readFileSync(join(binDir, '.istio-cni', 'plugin.cjs'), 'utf8')).toBe('later');
  });

  it('removes what a pass under way puts there', async () => {
    const path = conf('10-net.conflist', list);
    let answer: (text: string) => void = () => undefined;
    let ask: () => void = () => undefined;
    const asked = new Promise<void>((resolve) => (ask = resolve));
    const installer = make('', () => {
      ask();
      return new Promise<string>((resolve) => (answer = resolve));
    });
    const pass = installer.ensure();
    await asked;
    const removal = installer.uninstall();
    answer('late');
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
    expect(await installer.uninstall()).toHaveLength(4);
    expect(await installer.leftovers()).toEqual([]);
    expect(types(path)).toEqual(['ptp']);
    expect(readdirSync(binDir)).toEqual(['ptp']);
    expect(readdirSync(runDir)).toEqual([]);
    expect(await installer.uninstall()).toEqual([]);
    expect(await installer.ensure()).toBe(false);
  });
});
