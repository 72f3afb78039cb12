import { setMaxListeners } from 'node:events';
import { chmod, writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { formatHostPort } from '#base/net/authority.js';
import { messageOf } from '#base/errors/mesh-error.js';
import { KubeClient } from '#base/kube/client.js';
import type { DirectConnectionOptions } from '#base/kube/connection.js';
import { untilAborted } from '#base/system/until.js';
import { createLogger } from '#base/telemetry/log.js';
import type { ApiServer } from '../base/api-server.js';
import { startSandboxApiServer } from '../control-plane/start-api-server.js';
import {
  ClusterCaches,
  ensureDefaultStorageClass,
  PolicyModel,
  publishDnsService,
  startApiControllers,
  startClusterControllers,
  startDns,
  startServiceRouting,
} from '../cluster/index.js';
import type { KubeletCertificate } from '../node/kubelet-api/kubelet-api.js';
import { NodeGateway } from '../node/gateway/node-gateway.js';
import { loadedImagesFolder } from '../node/host/node-host.js';
import { BuiltinImages, writeBuiltinImages } from '../node/image/builtin-images.js';
import { LoadedImages } from '../node/image/loaded-images.js';
import { pruneImages } from '../node/image/store/prune.js';
import { writeHelperPrograms } from '../node/runtime/helper-programs.js';
import { controlProtocol, type SupervisorStatus } from './control/control-protocol.js';
import { startControlServer } from './control/control-server.js';
import { type ErrorDocument, controlErrorDocument } from './control/control-error.js';
import { sandboxMemory } from './control/process-memory.js';
import { clusterDnsAnswers } from './dns-probe.js';
import { NodeFleet } from './nodes/node-fleet.js';
import { removeNodeFolder } from './nodes/node-folders.js';
import { createBridge } from './nodes/node-cables.js';
import { readyNodes } from './nodes/ready-nodes.js';
import { type NetworkPlan, networkPlan } from './network-plan.js';
import { apiListenerFd, apiPort, clusterDomain, type SupervisorConfig } from './sandbox-config.js';
import { type SandboxPaths, sandboxPaths } from './sandbox-paths.js';

const readyPollMs = 20;
const dnsPort = 53;
const closeTimeoutMs = 3_000;

/**
 * Everything of one sandbox that is not a container: API server, controllers,
 * service routing, DNS, and the kubelets of its nodes. starting -> ready (or failed)
 * -> closed. Runs as the only program in namespaces made by the launcher.
 */
export class Supervisor {
  readonly #config: SupervisorConfig;
  readonly #paths: SandboxPaths;
  readonly #plan: NetworkPlan;
  readonly #abort = new AbortController();
  readonly #logger = createLogger('supervisor');
  readonly #startedAt = new Date();
  #phase: SupervisorStatus['phase'] = 'starting';
  #detail = 'API server';
  #failure: ErrorDocument['error'] | undefined;
  #control: Server | undefined;
  #apiServer: ApiServer | undefined;
  #client: KubeClient | undefined;
  readonly #fleet: NodeFleet;

  constructor(config: SupervisorConfig) {
    this.#config = config;
    this.#paths = sandboxPaths(config.name, dirname(config.folder));
    this.#plan = networkPlan(config.ipFamilies);
    setMaxListeners(0, this.#abort.signal); // every part of the cluster listens to it
    this.#fleet = new NodeFleet({
      config,
      images: [
        new BuiltinImages(config),
        new LoadedImages({ folder: this.#paths.loadedImages, nodeFolder: loadedImagesFolder }),
      ],
      credentials: (name) => this.#credentials(`system:node:${name}`, ['system:nodes']),
      serving: (names) => this.#serving(names),
      signal: this.#abort.signal,
    });
  }

  /** Starts everything; a failure is kept for the launcher to read, and thrown. */
  async start(): Promise<void> {
    this.#control = await startControlServer(this.#paths.control, {
      status: () => this.#status(),
      memory: sandboxMemory,
      shutdown: () => this.#abort.abort(),
      addNodes: (request) => this.#fleet.add(request),
      act: (node, action, request) => this.#fleet.act(node, action, request),
    });
    try {
      await createBridge(this.#plan);
      const [apiServer] = await Promise.all([
        this.#startApiServer(),
        writeBuiltinImages(this.#paths.images, this.#config.images),
        writeHelperPrograms(join(this.#paths.images, 'helpers')),
        pruneImages(this.#paths.loadedImages),
      ]);
      const kubeconfig = apiServer.adminKubeconfig(this.#server, { name: `sandbox-${this.#config.name}` });
      await writeFile(this.#paths.kubeconfig, kubeconfig, { mode: 0o600 });
      await chmod(this.#paths.kubeconfig, 0o600);
      this.#detail = 'nodes';
      await this.#startCluster(apiServer);
      await this.#awaitReady();
      this.#phase = 'ready';
      this.#detail = '';
      this.#logger.info('sandbox is ready', { nodes: this.#fleet.runners.length, server: this.#server });
    } catch (error) {
      this.#phase = 'failed';
      this.#detail = messageOf(error);
      this.#failure = controlErrorDocument(error).error;
      throw error;
    }
  }

  /** Whether the launcher can ask it something. */
  get isReachable(): boolean {
    return this.#control?.listening === true;
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
    const { controlPlaneIp, controlPlaneIps, serviceCidr } = this.#plan;
    this.#apiServer = await startSandboxApiServer({
      assetsFolder: this.#config.assetsFolder,
      dataFolder: this.#paths.data,
      isPersistent: this.#config.isPersistent,
      listeners: [
        { kind: 'fd', fd: apiListenerFd },
        ...controlPlaneIps.map((host) => ({ kind: 'address' as const, host, port: apiPort })),
      ],
      extraNames: controlPlaneIps,
      advertise: { host: controlPlaneIp, port: apiPort },
      serviceCidr,
      clusterDomain,
      kubelet: new NodeGateway(
        () => this.#fleet.kubelets,
        (uid) => this.#fleet.unreachableNodeOf(uid),
      ),
      logger: createLogger('apiserver'),
    });
    return this.#apiServer;
  }

  async #startCluster(apiServer: ApiServer): Promise<void> {
    const { signal } = this.#abort;
    const { controlPlaneIp, dnsIp } = this.#plan;
    const booting = this.#fleet.bootAll();
    booting.catch(() => undefined); // awaited below, when the control plane runs
    const connection = await apiServer.connect('system:kube-controller-manager', ['system:masters']);
    const client = new KubeClient(connection, { socketsMax: Number.POSITIVE_INFINITY });
    this.#client = client;
    const caches = new ClusterCaches({ client, signal });
    await startApiControllers({ signal, caches, api: apiServer });
    startClusterControllers({
      client,
      scheduler: new KubeClient(await apiServer.connect('system:kube-scheduler', [])),
      signal,
      caches,
      removeNodeFolder: (node, path) => removeNodeFolder(this.#paths.nodes, { node, path }),
    });
    const dns = await startDns({
      client,
      signal,
      caches,
      listen: { host: controlPlaneIp, port: dnsPort },
      clusterDomain,
    });
    await ensureDefaultStorageClass(client);
    await publishDnsService({
      client,
      clusterIp: dnsIp,
      address: controlPlaneIp,
      port: dnsPort,
    });
    const policies = new PolicyModel(caches);
    // The API server calls webhooks by their cluster IPs, so the root namespace routes services too.
    startServiceRouting({ client, signal, caches, podNetworks: this.#plan.podNetworks });
    this.#fleet.useControlPlane({ client, caches, policies, plan: this.#plan });
    await booting;
    await dns.ready;
  }

  async #serving(names: readonly string[]): Promise<KubeletCertificate> {
    const apiServer = this.#apiServer;
    if (apiServer === undefined) throw new Error('the API server does not run yet');
    return { ...(await apiServer.issueServing(names)), caPem: apiServer.caPem };
  }

  async #credentials(user: string, groups: readonly string[]): Promise<DirectConnectionOptions> {
    const apiServer = this.#apiServer;
    if (apiServer === undefined) throw new Error('the API server does not run yet');
    const { certPem, keyPem } = await apiServer.issue(user, groups);
    const { controlPlaneIp } = this.#plan;
    return {
      server: `https://${formatHostPort({ host: controlPlaneIp, port: apiPort })}`,
      ca: apiServer.caPem,
      cert: certPem,
      key: keyPem,
    };
  }

  /** The nodes that are on and on the network, as the API sees them; then DNS as their pods would ask it. */
  async #awaitReady(): Promise<void> {
    const { signal } = this.#abort;
    const nodes = this.#fleet.runners.filter((node) => node.spec.isPoweredOn && node.spec.isConnected);
    for (;;) {
      const ready = await this.#readyNodes();
      const waiting = nodes
        .filter((node) => !node.hasReported || ready?.has(node.name) !== true)
        .map((node) => node.name);
      if (waiting.length === 0) break;
      this.#detail = `node ${waiting.join(', ')} to become Ready`;
      await delay(readyPollMs, undefined, { signal });
    }
    this.#detail = 'cluster DNS to answer';
    for (const node of nodes) {
      while (node.netns === undefined || !(await clusterDnsAnswers(node.netns, this.#plan)))
        await delay(readyPollMs, undefined, { signal });
    }
  }

  /** Undefined while there is no API server to ask, or it does not answer. */
  async #readyNodes(): Promise<ReadonlySet<string> | undefined> {
    return this.#client === undefined ? undefined : readyNodes(this.#client);
  }

  async #status(): Promise<SupervisorStatus> {
    const ready = await this.#readyNodes();
    const isSilent = this.#client !== undefined && ready === undefined;
    const apiServer = this.#apiServer;
    const { name, version, isPersistent } = this.#config;
    return {
      name,
      phase: this.#phase,
      detail: this.#detail,
      server: this.#server,
      version,
      protocol: controlProtocol,
      apiServer: apiServer?.identity,
      apiServerTrouble: apiServer?.trouble() ?? (isSilent ? 'it does not answer' : undefined),
      failure: this.#failure,
      isPersistent,
      isStateKept: apiServer?.isStateKept() ?? true,
      startedAt: this.#startedAt.toISOString(),
      nodes: this.#fleet.runners.map((node) => {
        const status = node.status();
        return { ...status, isReady: node.hasReported && ready?.has(node.name) === true };
      }),
      memoryBytes: process.memoryUsage.rss(),
    };
  }
}
