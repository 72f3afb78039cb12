import { type ChildProcess, fork } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { build } from 'esbuild';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createLogger, setLogOutput } from '#base/telemetry/log.js';
import { PluginFiles } from '#mesh/cni/installer/plugin-files.js';
import { answerCni, type StartingPod } from '#mesh/cni/requests/cni-answers.js';
import { RequestFolder } from '#mesh/cni/requests/request-folder.js';
import { eventually, isRoot, sh } from './test-netns.js';
import { type PluginRun, TestNodeRoot } from './test-node-root.js';

const buildDir = mkdtempSync(join(tmpdir(), 'cni-plugin-'));
const server = join(buildDir, 'request-server.mjs');
const hastyAgent = join(buildDir, 'hasty-agent.mjs');

const prevResult = {
  cniVersion: '1.0.0',
  interfaces: [{ name: 'eth0', sandbox: '/var/run/netns/cni-1' }],
  ips: [{ interface: 0, address: '10.0.0.5/24', gateway: '10.0.0.1' }],
  dns: {},
};
const conf = (overrides: Record<string, unknown> = {}): string =>
  JSON.stringify({ cniVersion: '1.0.0', name: 'net', type: 'istio-cni', prevResult, ...overrides });

describe.runIf(isRoot)('CNI plugin on a node with nothing but a kernel', () => {
  let node: TestNodeRoot;
  let pluginDir: string;
  let stop: AbortController;
  let ended: Promise<void>[];
  let children: ChildProcess[];
  let admitted: StartingPod[];

  beforeAll(async () => {
    await build({
      entryPoints: ['request-server', 'hasty-agent'].map((name) => `test/integration/mesh/cni/${name}.ts`),
      outdir: buildDir,
      outExtension: { '.js': '.mjs' },
      bundle: true,
      format: 'esm',
      platform: 'node',
    });
  });
  afterAll(() => rmSync(buildDir, { recursive: true }));

  beforeEach(async () => {
    setLogOutput(() => undefined);
    node = new TestNodeRoot();
    pluginDir = join(node.runDir, 'plugin');
    stop = new AbortController();
    ended = [];
    children = [];
    admitted = [];
    await new PluginFiles({
      binDir: node.binDir,
      hostBinDir: node.hostBinDir,
      hostRoot: node.root,
      template: 'src/mesh/cni/plugin/istio-cni.sh',
      busyboxes: ['/bin/busybox'],
      runDir: node.runDir,
      excludeNamespaces: ['kube-system', 'kube-public'],
      agentNamespace: 'istio-system',
    }).install();
  });
  afterEach(async () => {
    stop.abort();
    await Promise.all(ended);
    for (const child of children) child.kill('SIGKILL');
    node.remove();
  });

  /** An agent in this process. */
  const startAgent = async (admit: (pod: StartingPod) => Promise<void> = async () => undefined) => {
    const log = createLogger('test');
    const folder = new RequestFolder({
      dir: pluginDir,
      answer: (text) =>
        answerCni(text, {
          admit: async (pod) => {
            admitted.push(pod);
            await admit(pod);
          },
          check: async ({ name }) => (name === 'broken' ? ['v4: ISTIO_OUTPUT'] : []),
          log,
        }),
      log,
    });
    ended.push(folder.serve(stop.signal));
    await eventually(() => existsSync(join(pluginDir, 'lease')));
  };
  /** An agent in a process of its own. */
  const forkAgent = async (takesMs: number, program = server) => {
    const child = fork(program, [pluginDir, String(takesMs)], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    children.push(child);
    const said: unknown[] = [];
    child.on('message', (message) => said.push(message));
    await eventually(() => said.includes('started') && existsSync(join(pluginDir, 'lease')));
    return { child, isAsked: () => said.includes('asked') };
  };
  const record = (text: string): void => {
    mkdirSync(pluginDir, { recursive: true });
    writeFileSync(join(pluginDir, 'record'), text);
  };
  const expectPassed = (run: PluginRun): void => {
    expect(run).toMatchObject({ exitCode: 0, json: prevResult });
  };
  const requests = (): string[] => readdirSync(join(pluginDir, 'requests'));

  it('is small, brings all it needs, and answers in milliseconds', async () => {
    const files = readdirSync(join(node.binDir, '.istio-cni'));
    expect(files).toEqual([expect.stringMatching(/^busybox-[0-9a-f]{12}$/)]);
    expect(statSync(join(node.binDir, '.istio-cni', files[0] ?? '')).size).toBeLessThan(4_000_000);
    await startAgent();
    const runs: number[] = [];
    for (let i = 0; i < 10; i++) runs.push((await node.add('mesh', 'p', conf())).tookMs);
    expect(Math.min(...runs)).toBeLessThan(50);
  });

  it('asks the agent in the words of the runtime and passes the result on unchanged', async () => {
    await startAgent();
    const uid = '0a1b2c3d-1111-2222-3333-444455556666';
    const args = `IgnoreUnknown=1;K8S_POD_NAMESPACE=mesh;K8S_POD_NAME=p;K8S_POD_UID=${uid}`;
    expectPassed(await node.add('mesh', 'p', conf(), { CNI_ARGS: args }));
    expect(admitted).toEqual([
      { namespace: 'mesh', name: 'p', uid, netns: '/var/run/netns/cni-1', ips: ['10.0.0.5'] },
    ]);
    await eventually(() => requests().length === 0);
  });

  it('hands on an empty result without a plugin before it', async () => {
    await startAgent();
    const run = await node.add('mesh', 'p', conf({ prevResult: undefined }));
    expect(run).toMatchObject({ exitCode: 0, json: { cniVersion: '1.0.0' } });
    expect(admitted).toMatchObject([{ ips: [], uid: undefined }]);
  });

  it('hands on a result of any size', async () => {
    await startAgent();
    const large = { ...prevResult, dns: { search: ['é'.repeat(200_000)] } };
    const run = await node.add('mesh', 'p', conf({ prevResult: large }));
    expect(run.json).toEqual(large);
  });

  it('fails a pod with the reason when the agent refuses', async () => {
    await startAgent(() => Promise.reject(new Error('no ztunnel is "connected"\n')));
    const run = await node.add('mesh', 'p', conf());
    expect(run).toMatchObject({
      exitCode: 1,
      json: { cniVersion: '1.0.0', code: 100, msg: 'Pod mesh/p could not be added to the mesh' },
    });
    expect(run.json['details']).toContain('no ztunnel is "connected"');
  });

  it('does not ask about pods that nothing of the mesh may hold up', async () => {
    await startAgent(() => Promise.reject(new Error('asked')));
    expectPassed(await node.add('kube-system', 'coredns', conf()));
    expectPassed(await node.add('kube-public', 'x', conf()));
    expectPassed(await node.add('istio-system', 'istio-cni-node-x7k2p', conf()));
    expectPassed(await node.add('', '', conf(), { CNI_ARGS: '' }));
    expect(admitted).toEqual([]);
  });

  it('lets all of a burst of pods wait for an agent that takes its time', async () => {
    await startAgent(() => delay(7_000));
    const runs = await Promise.all(Array.from({ length: 50 }, (_, i) => node.add('mesh', `p-${i}`, conf())));
    expect(runs.filter(({ exitCode }) => exitCode !== 0)).toEqual([]);
    expect(new Set(admitted.map(({ name }) => name)).size).toBe(50);
    await eventually(() => requests().length === 0);
  });

  it('finds a request again after the agent was killed over it', async () => {
    const first = await forkAgent(60_000);
    const run = node.add('mesh', 'p', conf());
    await eventually(first.isAsked);
    first.child.kill('SIGKILL');
    await delay(500);
    await forkAgent(0);
    expectPassed(await run);
  });

  it('leaves the requests of an agent that ends to the next one', async () => {
    const first = await forkAgent(60_000);
    const run = node.add('mesh', 'p', conf());
    await eventually(first.isAsked);
    first.child.kill('SIGTERM');
    await eventually(() => !existsSync(join(pluginDir, 'lease')));
    await forkAgent(0);
    expectPassed(await run);
  });

  describe('while the agent is away', () => {
    it('lets pods of namespaces outside start at once, and holds the others back saying why', async () => {
      await startAgent();
      record('outside plain\noutside other\n');
      stop.abort();
      await Promise.all(ended);
      const outside = await node.add('plain', 'p', conf());
      expectPassed(outside);
      expect(outside.tookMs).toBeLessThan(2_000);
      for (const namespace of ['mesh', 'plai', 'plain.', 'outside', 'other-x']) {
        const run = await node.add(namespace, 'p', conf());
        expect(run).toMatchObject({ exitCode: 1, json: { cniVersion: '1.0.0', code: 11 } });
        expect(run.json['msg']).toContain(
          `MESH0709: Pod ${namespace}/p waits for the mesh: the CNI agent of this node does not run`,
        );
        expect(run.json['details']).toContain('kubectl -n istio-system get pods');
      }
      expect(readFileSync(join(node.runDir, 'istio-cni.log'), 'utf8')).toContain('"pod":"mesh/p"');
      expect(requests()).toEqual([]);
    });

    it('lets what must start do so on a node that has just booted', async () => {
      rmSync(node.runDirInside, { recursive: true });
      expectPassed(await node.add('kube-system', 'coredns', conf()));
      expectPassed(await node.add('istio-system', 'istio-cni-node-abcde', conf()));
      const run = await node.add('plain', 'p', conf());
      expect(run).toMatchObject({ exitCode: 1, json: { code: 11 } });
      expect(run.json['msg']).toContain('has not run since this node started');
    });

    it('says so when the agent left the node for good', async () => {
      record('left the DaemonSet no longer selects this node\noutside plain\n');
      mkdirSync(join(pluginDir, 'requests'));
      expectPassed(await node.add('plain', 'p', conf()));
      const run = await node.add('mesh', 'p', conf());
      expect(run.json['msg']).toContain('MESH0710');
      expect(run.json['details']).toContain('the DaemonSet no longer selects this node. Run the pod on');
    });

    it('answers what needs no agent: VERSION, DEL, GC, STATUS, and CHECK of what it cannot know', async () => {
      const version = await node.run({ CNI_COMMAND: 'VERSION' }, '{"cniVersion":"0.4.0"}');
      expect(version.json).toMatchObject({ cniVersion: '0.4.0' });
      expect(version.json['supportedVersions']).toContain('1.1.0');
      for (const command of ['DEL', 'GC', 'STATUS', 'CHECK']) {
        const run = await node.run({ CNI_COMMAND: command, CNI_ARGS: 'K8S_POD_NAMESPACE=mesh' }, conf());
        expect(run).toMatchObject({ exitCode: 0, stdout: '' });
      }
    });
  });

  it('does not wait for an agent that has stopped moving longer than it has to', async () => {
    const { child } = await forkAgent(0);
    expectPassed(await node.add('mesh', 'p', conf()));
    record('outside plain\n');
    child.kill('SIGSTOP');
    const [mesh, plain] = await Promise.all([node.add('mesh', 'q', conf()), node.add('plain', 'q', conf())]);
    expectPassed(plain);
    expect(mesh).toMatchObject({ exitCode: 1, json: { code: 11 } });
    expect(mesh.json['msg']).toMatch(/has not answered for 10 seconds|does not run/);
    expect(Math.max(mesh.tookMs, plain.tookMs)).toBeLessThan(20_000);
    child.kill('SIGCONT');
    expectPassed(await node.add('mesh', 'q', conf()));
  });

  it('holds back only pods of the mesh when the disk is full', async () => {
    sh('mount', '-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', node.runDirInside);
    try {
      await startAgent();
      record('outside plain\n');
      expectPassed(await node.add('mesh', 'p', conf()));
      try {
        writeFileSync(join(node.runDir, 'fill'), Buffer.alloc(128 * 1024));
      } catch {
        // It takes what there is room for.
      }
      expectPassed(await node.add('plain', 'p', conf()));
      expectPassed(await node.add('kube-system', 'p', conf()));
      const run = await node.add('mesh', 'p', conf());
      expect(run).toMatchObject({ exitCode: 1, json: { code: 11 } });
      expect(run.json['msg']).toContain('the disk is full');
      expect(requests()).toEqual([]);
      rmSync(join(node.runDir, 'fill'));
      expectPassed(await node.add('mesh', 'p', conf()));
    } finally {
      stop.abort();
      await Promise.all(ended);
      sh('umount', node.runDirInside);
    }
  });

  it('checks what the agent can see, and reports what is missing', async () => {
    await startAgent();
    const check = (name: string) =>
      node.run({ CNI_COMMAND: 'CHECK', CNI_ARGS: `K8S_POD_NAMESPACE=mesh;K8S_POD_NAME=${name}` }, conf());
    expect(await check('fine')).toMatchObject({ exitCode: 0, stdout: '' });
    expect(await check('broken')).toMatchObject({
      exitCode: 1,
      json: { code: 100, details: 'v4: ISTIO_OUTPUT' },
    });
  });

  it('hears an agent out, however fast it answers', async () => {
    mkdirSync(join(pluginDir, 'requests'), { recursive: true });
    await forkAgent(0, hastyAgent);
    record('outside plain\n');
    const env = { CNI_COMMAND: 'CHECK', CNI_ARGS: 'K8S_POD_NAMESPACE=mesh;K8S_POD_NAME=p' };
    for (let i = 0; i < 100; i++) {
      expect(await node.run(env, conf())).toMatchObject({ exitCode: 1, json: { code: 100 } });
      expect(await node.add('plain', 'p', conf())).toMatchObject({ exitCode: 1, json: { code: 100 } });
    }
  });

  describe('with input that nobody should send', () => {
    it.each([
      ['broken JSON', '{', 6],
      ['a JSON list', '[]', 6],
      ['nothing', '', 6],
      ['JSON and more', '{} {}', 6],
      ['an unknown CNI version', '{"cniVersion":"9.0.0"}', 1],
      ['a previous result that is none', '{"cniVersion":"1.0.0","prevResult":3}', 7],
      ['too much', `"${'x'.repeat(1024 * 1024)}"`, 6],
    ])('answers %s with a CNI error', async (_, stdin, code) => {
      await startAgent();
      const run = await node.add('mesh', 'p', stdin);
      expect(run.exitCode).toBe(1);
      expect(run.json['code']).toBe(code);
    });

    it.each([
      ['commands', '$(touch ran)'],
      ['more commands', '`touch ran`'],
      ['a pattern', '*'],
      ['a quote', '"; touch ran; "'],
      ['a path', '../../etc'],
      ['a line break', 'p\nCNI_NETNS=/proc/1/ns/net'],
    ])('takes %s in a name for no more than a name', async (_, name) => {
      await startAgent();
      const run = await node.add('mesh', name, conf());
      expect(run).toMatchObject({ exitCode: 1, json: { code: 4 } });
      expect(admitted).toEqual([]);
      expect(existsSync(join(node.root, 'ran'))).toBe(false);
    });

    it('finds the previous result in any configuration, whatever is in it', async () => {
      const keys = fc.oneof(fc.constantFrom('prevResult', 'cniVersion', 'a"b', '}', '\\'), fc.string());
      const tangled = fc.dictionary(keys, fc.jsonValue({ maxDepth: 3 }));
      const layout = fc.constantFrom(undefined, 1, '\t');
      await fc.assert(
        fc.asyncProperty(tangled, tangled, layout, async (around, result, indent) => {
          const stdin = JSON.stringify({ ...around, prevResult: result, z: around }, undefined, indent);
          const run = await node.add('kube-system', 'p', stdin);
          expect(run.exitCode).toBe(0);
          expect(run.json).toEqual(JSON.parse(JSON.stringify(result)));
        }),
        { numRuns: 60 },
      );
    });
  });
});
