import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { runAgent } from '#mesh/cni/agent/run-agent.js';
import type { EnrollmentReport } from '#mesh/cni/agent/enrollment-report.js';
import { type AgentConfig, readAgentConfig } from '#mesh/cni/config.js';
import { nodeName, type TestCluster } from './test-cluster.js';
import { eventually, type TestNetns } from './test-netns.js';
import { type PluginRun, TestNodeRoot } from './test-node-root.js';

let nextPort = 20_000 + (process.pid % 2_000) * 10;

/** The folders of a node as the agent has them mounted, and the agent itself, in this process. */
export class TestAgent {
  readonly node = new TestNodeRoot();
  readonly dir = this.node.dir;
  readonly zdsPath = join(this.dir, 'ztunnel.sock');
  readonly runDir = this.node.runDir;
  readonly netDir = join(this.dir, 'net.d');
  readonly binDir = this.node.binDir;
  readonly #cluster: TestCluster;
  readonly #netnsDir = join(this.dir, 'netns');
  readonly #env: Record<string, string>;
  #running: { stop: AbortController; ended: Promise<void> } | undefined;
  #adminPort = 0;
  #healthPort = 0;
  #monitoringPort = 0;

  constructor(cluster: TestCluster, host: TestNetns, env: Record<string, string> = {}) {
    this.#cluster = cluster;
    this.#env = env;
    for (const dir of ['proc/1/ns', 'netns', 'net.d']) {
      mkdirSync(join(this.dir, dir), { recursive: true });
    }
    // The node's procfs: only its first process, whose namespace is the test's "host", in a root with nothing in it.
    symlinkSync(host.path, join(this.dir, 'proc/1/ns/net'));
    symlinkSync(this.node.root, join(this.dir, 'proc/1/root'));
    writeFileSync(join(this.netDir, '10-ptp.conflist'), conflist);
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
    const stop = new AbortController();
    const ended = runAgent({ config, client, signal: stop.signal });
    ended.catch(() => undefined);
    this.#running = { stop, ended };
    await eventually(async () => {
      await Promise.race([ended.then(() => Promise.reject(new Error('the agent ended'))), this.#nextTick()]);
      return (await this.#get(this.#healthPort, '/readyz')).status === 200;
    });
  }

  /** The settings the agent was last started with. */
  settings(): AgentConfig {
    return readAgentConfig({
      NODE_NAME: nodeName,
      CNI_AGENT_RUN_DIR: this.runDir,
      ZTUNNEL_UDS_ADDRESS: this.zdsPath,
      HOST_PROC_DIR: join(this.dir, 'proc'),
      HOST_NETNS_DIR: this.#netnsDir,
      MOUNTED_CNI_BIN_DIR: this.binDir,
      MOUNTED_CNI_NET_DIR: this.netDir,
      CNI_PLUGIN_TEMPLATE: 'src/mesh/cni/plugin/istio-cni.sh',
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

  /** A request to the admin port. */
  admin(method: 'GET' | 'POST', path: string, body = ''): Promise<{ status: number; body: string }> {
    return http({ host: '127.0.0.1', port: this.#adminPort, path, method }, body);
  }

  /** What upstream's plugin asks. */
  post(path: string, body: string): Promise<{ status: number; body: string }> {
    return http({ socketPath: join(this.runDir, 'pluginevent.sock'), path, method: 'POST' }, body);
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

  /** What a container runtime does before the pod's first container: our plugin in the root of the node. */
  startPod(o: {
    namespace: string;
    name: string;
    netns: string;
    ip: string;
    uid?: string;
  }): Promise<PluginRun> {
    const prevResult = { cniVersion: '1.0.0', ips: [{ address: `${o.ip}/24` }] };
    const entry = this.config().plugins.at(-1);
    const stdin = JSON.stringify({ ...entry, cniVersion: '1.0.0', name: 'net', prevResult });
    const uid = o.uid === undefined ? '' : `;K8S_POD_UID=${o.uid}`;
    return this.node.add(o.namespace, o.name, stdin, {
      CNI_NETNS: o.netns,
      CNI_ARGS: `K8S_POD_NAMESPACE=${o.namespace};K8S_POD_NAME=${o.name}${uid}`,
    });
  }

  config(): { plugins: { type: string }[] } {
    const text = readFileSync(join(this.netDir, '10-ptp.conflist'), 'utf8');
    return JSON.parse(text) as { plugins: { type: string }[] };
  }

  async dispose(): Promise<void> {
    await this.stop();
    this.node.remove();
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

function http(
  options: { host?: string; port?: number; socketPath?: string; path: string; method: string },
  sent = '',
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const started = request({ ...options, headers: { host: 'agent' }, agent: false }, (response) => {
      let body = '';
      response.on('data', (chunk) => (body += String(chunk)));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      response.on('error', reject);
    });
    started.on('error', reject);
    started.end(sent);
  });
}
