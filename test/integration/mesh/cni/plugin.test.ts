import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { defaultSelectors } from '#mesh/rules/enrollment.js';
import { formatKubeconfig } from '#mesh/cni/installer/kubeconfig.js';
import { pluginEntry } from '#mesh/cni/installer/installer.js';

interface PluginRun {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly json: Record<string, unknown>;
}

const buildDir = mkdtempSync(join(tmpdir(), 'cni-plugin-'));
const bundle = join(buildDir, 'istio-cni.cjs');

const prevResult = {
  cniVersion: '1.0.0',
  interfaces: [{ name: 'eth0', sandbox: '/var/run/netns/cni-1' }],
  ips: [{ interface: 0, address: '10.0.0.5/24', gateway: '10.0.0.1' }],
  dns: {},
};

describe('CNI plugin', () => {
  let runDir: string;
  let api: Server;
  let agent: Server | undefined;
  let objects: Record<string, unknown>;
  let apiPaths: string[];
  let received: { path: string | undefined; type: string | undefined; body: string }[];

  beforeAll(async () => {
    await build({
      entryPoints: ['src/mesh/cni/plugin/main.ts'],
      outfile: bundle,
      bundle: true,
      format: 'cjs',
      platform: 'node',
      target: 'node20',
    });
  });
  afterAll(() => rmSync(buildDir, { recursive: true }));

  beforeEach(async () => {
    runDir = mkdtempSync(join(tmpdir(), 'cni-run-'));
    objects = {
      '/api/v1/namespaces/mesh': {
        metadata: { name: 'mesh', labels: { 'istio.io/dataplane-mode': 'ambient' } },
      },
      '/api/v1/namespaces/plain': { metadata: { name: 'plain' } },
      '/api/v1/namespaces/mesh/pods/p': { metadata: { name: 'p', namespace: 'mesh' } },
      '/api/v1/namespaces/plain/pods/p': { metadata: { name: 'p', namespace: 'plain' } },
      '/api/v1/namespaces/mesh/pods/out': {
        metadata: { name: 'out', namespace: 'mesh', labels: { 'istio.io/dataplane-mode': 'none' } },
      },
    };
    apiPaths = [];
    received = [];
    api = createServer((request, response) => {
      apiPaths.push(request.url ?? '');
      const object = objects[request.url ?? ''];
      const isAllowed = request.headers.authorization === 'Bearer secret';
      response
        .writeHead(isAllowed ? (object === undefined ? 404 : 200) : 401)
        .end(JSON.stringify(object ?? {}));
    });
    await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve));
    const { port } = api.address() as AddressInfo;
    writeFileSync(
      join(runDir, 'istio-cni-kubeconfig'),
      formatKubeconfig({ server: `http://127.0.0.1:${port}`, ca: undefined, token: 'secret' }),
    );
  });
  afterEach(async () => {
    api.closeAllConnections();
    await new Promise((resolve) => api.close(resolve));
    if (agent !== undefined) await new Promise((resolve) => agent?.close(resolve));
    agent = undefined;
    rmSync(runDir, { recursive: true });
  });

  const startAgent = async (answer: { status: number; body?: string }): Promise<void> => {
    agent = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk) => (body += String(chunk)));
      request.on('end', () => {
        received.push({ path: request.url, type: request.headers['content-type'], body });
        response.writeHead(answer.status).end(answer.body);
      });
    });
    await new Promise<void>((resolve) => agent?.listen(join(runDir, 'pluginevent.sock'), resolve));
  };
  const conf = (overrides: Record<string, unknown> = {}): string =>
    JSON.stringify({
      cniVersion: '1.0.0',
      ...pluginEntry({
        runDir,
        selectors: defaultSelectors,
        excludeNamespaces: ['kube-system'],
        podNamespace: 'istio-system',
        detectionRetry: false,
        logLevel: 'info',
      }),
      prevResult,
      ...overrides,
    });
  const add = (namespace: string, name = 'p', stdin = conf()): Promise<PluginRun> =>
    runPlugin(stdin, {
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: 'c1',
      CNI_NETNS: '/var/run/netns/cni-1',
      CNI_IFNAME: 'eth0',
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${name}`,
    });

  it('reports a mesh pod in the words of the agent and passes the result on unchanged', async () => {
    await startAgent({ status: 200 });
    const run = await add('mesh');
    expect(run).toMatchObject({ exitCode: 0, json: prevResult });
    expect(received).toHaveLength(1);
    expect(received[0]).toMatchObject({ path: '/cmdadd', type: 'application/json' });
    expect(JSON.parse(received[0]?.body ?? '')).toEqual({
      Netns: '/var/run/netns/cni-1',
      PodName: 'p',
      PodNamespace: 'mesh',
      IPs: [{ Interface: 0, Address: { IP: '10.0.0.5', Mask: '////AA==' }, Gateway: '10.0.0.1' }],
    });
  });

  it('sends null addresses and an empty result without a previous plugin', async () => {
    await startAgent({ status: 200 });
    const run = await add('mesh', 'p', conf({ prevResult: undefined }));
    expect(run.json).toEqual({ cniVersion: '1.0.0' });
    expect(JSON.parse(received[0]?.body ?? '')).toMatchObject({ IPs: null });
  });

  it('fails a mesh pod while the agent is away, and says which', async () => {
    const run = await add('mesh');
    expect(run.exitCode).toBe(1);
    expect(run.json).toMatchObject({ cniVersion: '1.0.0', code: 11 });
    expect(run.json['msg']).toContain('Pod mesh/p');
    expect(run.json['details']).toContain('pluginevent.sock');
    expect(readFileSync(join(runDir, 'istio-cni.log'), 'utf8')).toContain('Pod mesh/p');
  });

  it('fails a mesh pod with the reason when the agent refuses', async () => {
    await startAgent({ status: 500, body: 'no ztunnel is connected\n' });
    const run = await add('mesh');
    expect(run.exitCode).toBe(1);
    expect(run.json).toMatchObject({
      code: 100,
      details: 'the CNI agent answered 500: no ztunnel is connected',
    });
  });

  it.each([
    ['a pod of another namespace', 'plain', 'p'],
    ['a pod that opted out', 'mesh', 'out'],
    ['a pod of an excluded namespace', 'kube-system', 'coredns'],
    ['its own agent', 'istio-system', 'istio-cni-node-x7k2p'],
  ])('lets %s start while the agent is away', async (_, namespace, name) => {
    const run = await add(namespace, name);
    expect(run).toMatchObject({ exitCode: 0, json: prevResult });
  });

  it('does not ask the API server about excluded namespaces', async () => {
    await add('kube-system');
    expect(apiPaths).toEqual([]);
  });

  it('holds a pod back when it cannot find out whether it is in the mesh', async () => {
    await startAgent({ status: 200 });
    objects = {};
    const run = await add('mesh');
    expect(run).toMatchObject({ exitCode: 1, json: { code: 11 } });
    expect(run.json['details']).toContain('404');
    expect(apiPaths).toHaveLength(4);
    expect(received).toEqual([]);
  });

  it('answers VERSION, and DEL, CHECK, GC and STATUS with nothing', async () => {
    const version = await runPlugin('{"cniVersion":"0.4.0"}', { CNI_COMMAND: 'VERSION' });
    expect(version.json).toMatchObject({ cniVersion: '0.4.0' });
    expect(version.json['supportedVersions']).toContain('1.1.0');
    for (const command of ['DEL', 'CHECK', 'GC', 'STATUS']) {
      expect(await runPlugin(conf(), { CNI_COMMAND: command })).toMatchObject({ exitCode: 0, stdout: '' });
    }
  });

  it.each([
    ['broken JSON', '{', 6],
    ['a JSON list', '[]', 6],
    ['an unknown CNI version', '{"cniVersion":"9.0.0"}', 1],
    ['a wrong type', '{"cniVersion":"1.0.0","exclude_namespaces":"kube-system"}', 7],
    ['too much input', `"${'x'.repeat(1024 * 1024)}"`, 6],
  ])('answers %s with a CNI error', async (_, stdin, code) => {
    const run = await add('mesh', 'p', stdin);
    expect(run.exitCode).toBe(1);
    expect(run.json['code']).toBe(code);
  });

  it('is one file that needs only Node modules', () => {
    const required = [...readFileSync(bundle, 'utf8').matchAll(/require\("([^"]+)"\)/g)].map(
      (m) => m[1] ?? '',
    );
    expect(required.length).toBeGreaterThan(0);
    expect(required.filter((name) => !name.startsWith('node:'))).toEqual([]);
    expect(existsSync(bundle)).toBe(true);
  });
});

function runPlugin(stdin: string, env: Record<string, string>): Promise<PluginRun> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [bundle], { env, stdio: ['pipe', 'pipe', 'inherit'] });
    let stdout = '';
    child.stdout.on('data', (chunk) => (stdout += String(chunk)));
    child.stdin.on('error', () => undefined);
    child.on('error', reject);
    child.on('close', (exitCode) => {
      const json = stdout === '' ? {} : (JSON.parse(stdout) as Record<string, unknown>);
      resolve({ exitCode, stdout, json });
    });
    child.stdin.end(stdin);
  });
}
