import { setMaxListeners } from 'node:events';
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../../errors/mesh-error.js';
import type { KubeClient } from '../../kube/client.js';
import { createLogger } from '../../telemetry/log.js';
import { NodeHost } from '../node/host/node-host.js';
import type { ImageStore } from '../node/image/image.js';
import { Kubelet } from '../node/kubelet/kubelet.js';
import { writeCniConfig } from './cni-config.js';
import { type NetworkDeps, NodeNetwork } from './node-network.js';
import { connectNode } from './root-network.js';
import { clusterNetwork, nodeAddresses, type NodeStatus, type SupervisorConfig } from './sandbox-config.js';
import { sandboxPaths } from './sandbox-paths.js';

export interface NodeRunnerOptions {
  readonly index: number;
  readonly config: SupervisorConfig;
  /** Acts as the node. */
  readonly client: KubeClient;
  readonly images: readonly ImageStore[];
}

const restartDelayMs = 200;
/** What a node leaves on its disk that means nothing to its next run. */
const perRunFolders = ['var/lib/containers', 'var/lib/kubelet', 'var/lib/cni', 'var/log/pods'];

/** One node over all its runs: when its machine dies (pid 1 killed), it boots again. */
export class NodeRunner {
  readonly name: string;
  kubelet: Kubelet | undefined;
  #host: NodeHost | undefined;
  #networkDeps: NetworkDeps | undefined;
  #network: NodeNetwork;
  #run = new AbortController();
  readonly #o: NodeRunnerOptions;
  readonly #logger = createLogger('node');

  constructor(options: NodeRunnerOptions) {
    this.#o = options;
    this.name = nodeAddresses(options.index).name;
    this.#network = new NodeNetwork(this.name);
  }

  /** The network namespace of the current run. Throws before the first {@link start}. */
  get netns(): number {
    if (this.#host === undefined) throw new Error(`node ${this.name} is not running`);
    return this.#host.netns;
  }

  /** Boots the node; resolves when its kubelet runs, which then goes on until the signal aborts. */
  async start(signal: AbortSignal): Promise<void> {
    await this.#boot(signal);
    void this.#keep(signal);
  }

  /** Makes service addresses and network policies work on the node, in this and every later run. */
  startNetwork(deps: NetworkDeps): void {
    this.#networkDeps = deps;
    this.#connect();
  }

  status(): Omit<NodeStatus, 'isReady'> {
    const { name, ip, podCidr } = nodeAddresses(this.#o.index);
    return {
      name,
      ip,
      podCidr,
      podCount: this.kubelet?.podCount ?? 0,
      initPid: this.#host?.initPid,
    };
  }

  async #keep(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#host?.stopped;
      this.#run.abort();
      await this.#host?.stop();
      if (signal.aborted) return;
      this.#logger.warn('node died, booting it again', { node: this.name });
      await delay(restartDelayMs, undefined, { signal }).catch(() => undefined); // aborted: checked above
      await this.#boot(signal).then(
        () => this.#connect(),
        (error: unknown) =>
          this.#logger.error('node did not boot', { node: this.name, error: messageOf(error) }),
      );
    }
  }

  async #boot(signal: AbortSignal): Promise<void> {
    const { index, config, client, images } = this.#o;
    const paths = sandboxPaths(config.name, dirname(config.folder));
    const { podCidr } = nodeAddresses(index);
    const rootfs = join(paths.nodes, this.name);
    for (const folder of perRunFolders) await rm(join(rootfs, folder), { recursive: true, force: true });
    await writeCniConfig(rootfs, podCidr);
    const host = await NodeHost.start({
      name: this.name,
      rootfs,
      cniPluginDir: config.cniPluginDir,
      packageRoot: paths.packageRoot,
      nodeBinary: config.nodeBinary,
      imagesDir: paths.images,
      loadedImagesDir: paths.loadedImages,
    });
    this.#host = host;
    await connectNode(index, { netnsPid: host.initPid, nodeCount: config.nodeCount });
    this.#run = new AbortController();
    const network = new NodeNetwork(this.name);
    this.#network = network;
    const kubelet = new Kubelet({
      host,
      client,
      identity: {
        ...nodeAddresses(index),
        kubeletVersion: `v1.32.0+meshctl.${config.version}`,
        runtimeVersion: 'bubblewrap://1',
      },
      images,
      dns: { nameserver: clusterNetwork.dnsIp, domain: clusterNetwork.domain },
      podAttached: (pod, ips) => network.attached(pod, ips),
    });
    this.kubelet = kubelet;
    void kubelet.run(this.#runSignal(signal));
  }

  /** Ends with the sandbox or with this run of the node. */
  #runSignal(signal: AbortSignal): AbortSignal {
    const both = AbortSignal.any([signal, this.#run.signal]);
    setMaxListeners(0, both); // every pod of the node listens to it
    return both;
  }

  #connect(): void {
    const deps = this.#networkDeps;
    if (deps === undefined || this.#host === undefined) return;
    this.#network.start({ ...deps, signal: this.#runSignal(deps.signal) }, this.#host.netns);
  }
}
