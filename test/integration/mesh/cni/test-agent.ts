import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PluginAccessSource } from '#mesh/cni/agent/plugin-access.js';
import { runAgent } from '#mesh/cni/agent/run-agent.js';
import type { EnrollmentReport } from '#mesh/cni/agent/enrollment-report.js';
import { type AgentConfig, readConfig } from '#mesh/cni/config.js';
import { createLogger } from '#base/telemetry/log.js';
import { nodeName, type TestCluster } from './test-cluster.js';
import { eventually, type TestNetns } from './test-netns.js';

let nextPort = 20_000 + (process.pid % 2_000) * 10;

/** The folders of a node as the agent has them mounted, and the agent itself, in this process. */
export class TestAgent {
  readonly dir = mkdtempSync(join(tmpdir(), 'cni-node-'));
  readonly zdsPath = join(this.dir, 'ztunnel.sock');
  readonly runDir = join(this.dir, 'run');
  readonly netDir = join(this.dir, 'net.d');
  readonly binDir = join(this.dir, 'bin');
  readonly #cluster: TestCluster;
  readonly #netnsDir = join(this.dir, 'netns');
  readonly #env: Record<string, string>;
  #running: { stop: AbortController; ended: Promise<void> } | undefined;
  #adminPort = 0;
  #healthPort = 0;
  #monitoringPort = 0;

  constructor(cluster: TestCluster, host: TestNetns, bundle: string, env: Record<string, string> = {}) {
    this.#cluster = cluster;
    this.#env = env;
    for (const dir of ['proc/1/ns', 'netns', 'run', 'net.d', 'bin']) {
      mkdirSync(join(this.dir, dir), { recursive: true });
    }
    // The node's procfs: only its first process, whose namespace is the test's "host".
    symlinkSync(host.path, join(this.dir, 'proc/1/ns/net'));
    writeFileSync(join(this.netDir, '10-ptp.conflist'), conflist);
    // Stands in for the interpreter: its size does not matter here.
    writeFileSync(join(this.dir, 'node'), '#!/bin/sh\n', { mode: 0o755 });
    writeFileSync(join(this.dir, 'plugin.cjs'), readFileSync(bundle));
  }

  /** Makes a pod's namespace visible on the node, as a runtime does; returns its path there. */
  mountNetns(netns: TestNetns): string {
    symlinkSync(netns.path, join(this.#netnsDir, netns.name));
    return `/var/run/netns/${netns.name}`;
  }

  async start(): Promise<void> {
    this.#adminPort = nextPort++;
    this.#healthPort = nextPort++;
    this.#monitoringPort = nextPort++;
    const config = this.settings();
    const client = this.#cluster.agentClient();
    const access = new PluginAccessSource({
      client,
      server: this.#cluster.url,
      caFile: this.#cluster.caFile,
      tokenFile: this.#cluster.tokenFile,
      log: createLogger('install'),
    });
    const stop = new AbortController();
    const ended = runAgent({ config, client, kubeconfig: () => access.kubeconfig(), signal: stop.signal });
    ended.catch(() => undefined);
    this.#running = { stop, ended };
    await eventually(async () => {
      await Promise.race([ended.then(() => Promise.reject(new Error('the agent ended'))), this.#nextTick()]);
      return (await this.#get(this.#healthPort, '/readyz')).status === 200;
    });
  }

  /** The settings the agent was last started with. */
  settings(): AgentConfig {
    return readConfig({
      NODE_NAME: nodeName,
      CNI_AGENT_RUN_DIR: this.runDir,
      ZTUNNEL_UDS_ADDRESS: this.zdsPath,
      HOST_PROC_DIR: join(this.dir, 'proc'),
      HOST_NETNS_DIR: this.#netnsDir,
      MOUNTED_CNI_BIN_DIR: this.binDir,
      MOUNTED_CNI_NET_DIR: this.netDir,
      CNI_PLUGIN_BUNDLE: join(this.dir, 'plugin.cjs'),
      CNI_NODE_BINARY: join(this.dir, 'node'),
      EXCLUDE_NAMESPACES: 'kube-system',
      MONITORING_PORT: String(this.#monitoringPort),
      HEALTH_PORT: String(this.#healthPort),
      ADMIN_PORT: String(this.#adminPort),
      DRIFT_CHECK_INTERVAL_MS: '200',
      LEAVE_GRACE_MS: '200',
      ...this.#env,
    });
  }

  /** Ends the agent as SIGTERM does. */
  async stop(): Promise<void> {
    this.#running?.stop.abort();
    await this.#running?.ended;
    this.#running = undefined;
  }

  async ready(): Promise<{ status: number; body: string }> {
    return this.#get(this.#healthPort, '/readyz');
  }

  async enrollment(query = ''): Promise<EnrollmentReport> {
    const answer = await this.#get(this.#adminPort, `/debug/enrollment${query}`);
    return JSON.parse(answer.body) as EnrollmentReport;
  }

  async leftovers(): Promise<readonly string[]> {
    const answer = await this.#get(this.#adminPort, '/debug/leftovers');
    return (JSON.parse(answer.body) as { left: string[] }).left;
  }

  /** What `mesh-cni cleanup` asks of a running agent. */
  async cleanup(): Promise<Record<string, readonly string[]>> {
    const answer = await http({
      socketPath: join(this.runDir, 'istio-cni-control.sock'),
      path: '/cleanup',
      method: 'POST',
    });
    return JSON.parse(answer.body) as Record<string, readonly string[]>;
  }

  config(): { plugins: { type: string }[] } {
    const text = readFileSync(join(this.netDir, '10-ptp.conflist'), 'utf8');
    return JSON.parse(text) as { plugins: { type: string }[] };
  }

  async dispose(): Promise<void> {
    await this.stop();
    rmSync(this.dir, { recursive: true });
  }

  #nextTick(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  async #get(port: number, path: string): Promise<{ status: number; body: string }> {
    return http({ host: '127.0.0.1', port, path, method: 'GET' }).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') return { status: 0, body: '' };
      throw error;
    });
  }
}

export const conflist = JSON.stringify({ cniVersion: '1.0.0', name: 'net', plugins: [{ type: 'ptp' }] });

function http(options: {
  host?: string;
  port?: number;
  socketPath?: string;
  path: string;
  method: string;
}): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const started = request({ ...options, headers: { host: 'agent' }, agent: false }, (response) => {
      let body = '';
      response.on('data', (chunk) => (body += String(chunk)));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      response.on('error', reject);
    });
    started.on('error', reject);
    started.end();
  });
}
