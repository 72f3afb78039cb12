import { untilAborted } from '../../system/until.js';
import { setMaxListeners } from 'node:events';
import { chmod, writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { dirname, join } from 'node:path';
import { messageOf } from '../../errors/mesh-error.js';
import { KubeClient } from '../../kube/client.js';
import { nodes as nodeResource } from '../../kube/resource.js';
import type { KubeObject } from '../../kube/types.js';
import { createLogger } from '../../telemetry/log.js';
import type { ApiServer } from '../control-plane/api-server.js';
import { startApiServer } from '../apiserver/server.js';
import {
  ClusterCaches,
  PolicyModel,
  publishDnsService,
  type ServiceRouting,
  startClusterControllers,
  startDns,
  startServiceRouting,
} from '../cluster/index.js';
import { NodeGateway } from '../node/gateway/node-gateway.js';
import { loadedImagesFolder } from '../node/host/node-host.js';
import { BuiltinImages, writeBuiltinImages } from '../node/image/builtin-images.js';
import { LoadedImages } from '../node/image/loaded-images.js';
import { pruneImages } from '../node/image/store/prune.js';
import { writeHelperPrograms } from '../node/runtime/helper-programs.js';
import { startControlServer } from './control-server.js';
import { clusterDnsAnswers } from './dns-probe.js';
import { createBridge } from './root-network.js';
import {
  apiListenerFd,
  clusterNetwork,
  nodeAddresses,
  type SupervisorConfig,
  type SupervisorStatus,
} from './sandbox-config.js';
import { NodeRunner } from './node-runner.js';
import { sandboxPaths } from './sandbox-paths.js';

const readyPollMs = 20;
const dnsPort = 53;
const closeTimeoutMs = 3_000;

interface NodeObject extends KubeObject {
  status?: { conditions?: { type: string; status: string }[] };
}

/**
 * Everything of one sandbox that is not a container: API server, controllers,
 * service routing, DNS, and the kubelets of its nodes. starting -> ready (or failed)
 * -> closed. Runs as the only program in namespaces made by the launcher.
 */
export class Supervisor {
  readonly #config: SupervisorConfig;
  readonly #abort = new AbortController();
  readonly #logger = createLogger('supervisor');
  readonly #nodes: NodeRunner[] = [];
  readonly #routing: ServiceRouting[] = [];
  #phase: SupervisorStatus['phase'] = 'starting';
  #detail = 'API server';
  #control: Server | undefined;
  #apiServer: ApiServer | undefined;
  #client: KubeClient | undefined;

  constructor(config: SupervisorConfig) {
    this.#config = config;
    setMaxListeners(0, this.#abort.signal); // every part of the cluster listens to it
  }

  /** Starts everything; a failure is kept for the launcher to read, and thrown. */
  async start(): Promise<void> {
    const paths = sandboxPaths(this.#config.name, dirname(this.#config.folder));
    this.#control = await startControlServer(paths.control, {
      status: () => this.#status(),
      shutdown: () => this.#abort.abort(),
    });
    try {
      await createBridge();
      const [apiServer] = await Promise.all([
        this.#startApiServer(),
        writeBuiltinImages(paths.images),
        writeHelperPrograms(join(paths.images, 'helpers')),
        pruneImages(paths.loadedImages),
      ]);
      const kubeconfig = apiServer.adminKubeconfig(this.#server, { name: `sandbox-${this.#config.name}` });
      await writeFile(paths.kubeconfig, kubeconfig, { mode: 0o600 });
      await chmod(paths.kubeconfig, 0o600);
      this.#detail = 'nodes';
      await this.#startCluster(apiServer);
      await this.#awaitReady();
      this.#phase = 'ready';
      this.#detail = '';
      this.#logger.info('sandbox is ready', { nodes: this.#config.nodeCount, server: this.#server });
    } catch (error) {
      this.#phase = 'failed';
      this.#detail = messageOf(error);
      throw error;
    }
  }

  /** Resolves when the sandbox has been asked to end and its state is written. */
  async closed(): Promise<void> {
    await untilAborted(this.#abort.signal);
    const deadline = new Promise<void>((resolve) => {
      setTimeout(resolve, closeTimeoutMs).unref();
    });
    // Containers need no farewell: they end with the namespace when this process does.
    await Promise.race([this.#apiServer?.close(), deadline]);
    this.#control?.close();
  }

  /** Begins the end. Idempotent. */
  close(): void {
    this.#abort.abort();
  }

  get #server(): string {
    return `https://127.0.0.1:${this.#config.apiPort}`;
  }

  async #startApiServer(): Promise<ApiServer> {
    const { controlPlaneIp, apiPort, serviceCidr, domain } = clusterNetwork;
    this.#apiServer = await startApiServer({
      listeners: [
        { kind: 'fd', fd: apiListenerFd },
        { kind: 'address', host: controlPlaneIp, port: apiPort },
      ],
      advertise: { host: controlPlaneIp, port: apiPort },
      serviceCidr,
      clusterDomain: domain,
      kubelet: new NodeGateway(() =>
        this.#nodes.flatMap((n) => (n.kubelet === undefined ? [] : [n.kubelet])),
      ),
      logger: createLogger('apiserver'),
    });
    return this.#apiServer;
  }

  async #startCluster(apiServer: ApiServer): Promise<void> {
    const { signal } = this.#abort;
    const { loadedImages } = sandboxPaths(this.#config.name, dirname(this.#config.folder));
    const images = [
      new BuiltinImages({ hub: this.#config.hub, version: this.#config.version }),
      new LoadedImages({ folder: loadedImages, nodeFolder: loadedImagesFolder }),
    ];
    for (let index = 1; index <= this.#config.nodeCount; index++) {
      const user = `system:node:${nodeAddresses(index).name}`;
      const client = await this.#makeClient(apiServer, user, ['system:nodes']);
      this.#nodes.push(new NodeRunner({ index, config: this.#config, client, images }));
    }
    const starting = this.#nodes.map((node) => node.start(signal));
    const client = await this.#makeClient(apiServer, 'system:kube-controller-manager', ['system:masters']);
    this.#client = client;
    const caches = new ClusterCaches({ client, signal });
    startClusterControllers({ client, signal, caches });
    const dns = await startDns({
      client,
      signal,
      caches,
      listen: { host: clusterNetwork.controlPlaneIp, port: dnsPort },
      clusterDomain: clusterNetwork.domain,
    });
    await publishDnsService({
      client,
      clusterIp: clusterNetwork.dnsIp,
      address: clusterNetwork.controlPlaneIp,
      port: dnsPort,
    });
    const policies = new PolicyModel(caches);
    // The API server calls webhooks by their cluster IPs, so the root namespace routes services too.
    this.#routing.push(
      startServiceRouting({ client, signal, caches, podNetworks: clusterNetwork.podNetworks }),
    );
    await Promise.all(starting);
    for (const node of this.#nodes) node.startNetwork({ client, caches, policies, signal });
    await dns.ready;
  }

  async #makeClient(apiServer: ApiServer, user: string, groups: readonly string[]): Promise<KubeClient> {
    const { certPem, keyPem } = await apiServer.issue(user, groups);
    const { controlPlaneIp, apiPort } = clusterNetwork;
    return new KubeClient({
      server: `https://${controlPlaneIp}:${apiPort}`,
      ca: apiServer.caPem,
      cert: certPem,
      key: keyPem,
    });
  }

  /** Nodes as the API sees them, then a DNS answer as a pod on the first node would get it. */
  async #awaitReady(): Promise<void> {
    const { signal } = this.#abort;
    for (;;) {
      signal.throwIfAborted();
      const waiting = (await this.#readiness()).filter((n) => !n.isReady).map((n) => n.name);
      if (waiting.length === 0) break;
      this.#detail = `node ${waiting.join(', ')} to become Ready`;
      await pause();
    }
    this.#detail = 'cluster DNS to answer';
    for (const node of this.#nodes) {
      while (!(await clusterDnsAnswers(node.netns))) {
        signal.throwIfAborted();
        await pause();
      }
    }
  }

  async #readiness(): Promise<{ name: string; isReady: boolean }[]> {
    const objects = (await this.#client?.list<NodeObject>(nodeResource)) ?? [];
    return this.#nodes.map(({ name }) => {
      const conditions = objects.find((o) => o.metadata.name === name)?.status?.conditions ?? [];
      return { name, isReady: conditions.some((c) => c.type === 'Ready' && c.status === 'True') };
    });
  }

  async #status(): Promise<SupervisorStatus> {
    const readiness = await this.#readiness();
    return {
      name: this.#config.name,
      phase: this.#phase,
      detail: this.#detail,
      server: this.#server,
      nodes: this.#nodes.map((node) => ({
        ...node.status(),
        isReady: readiness.find((r) => r.name === node.name)?.isReady === true,
      })),
      memoryBytes: process.memoryUsage.rss(),
    };
  }
}

async function pause(): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, readyPollMs);
  });
}
