import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '#base/errors/mesh-error.js';
import { KubeClient } from '#base/kube/client.js';
import { type DirectConnectionOptions, directConnection } from '#base/kube/connection.js';
import { untilDoneOrAborted } from '#base/system/until.js';
import { createLogger } from '#base/telemetry/log.js';
import { NodeHost } from '../../node/host/node-host.js';
import type { ImageStore } from '../../node/image/image.js';
import { type KubeletCertificate, startKubeletApi } from '../../node/kubelet-api/kubelet-api.js';
import { Kubelet } from '../../node/kubelet/kubelet.js';
import type { SandboxNodeStatus } from '../control/control-protocol.js';
import { type NetworkPlan, networkPlan } from '../network-plan.js';
import { clusterDomain, type SupervisorConfig } from '../sandbox-config.js';
import { sandboxPaths } from '../sandbox-paths.js';
import { writeCniConfig } from './cni-config.js';
import { clearLastRun } from './node-disk.js';
import type { NodeSpec } from './node-list.js';
import { connectNode, forgetNeighbors, type NetworkedNode, removeCable, setCable } from './node-cables.js';
import { type NetworkDeps, NodeNetwork } from './node-network.js';
import { boundPodUids } from './pods-of-node.js';
import { NodeUplink } from './node-uplink.js';

export interface NodeRunnerOptions {
  readonly spec: NodeSpec;
  readonly config: SupervisorConfig;
  readonly images: readonly ImageStore[];
  /** How the node's agents sign in, as `system:node:<name>`. */
  readonly credentials: DirectConnectionOptions;
  /** For the kubelet's own API. */
  readonly serving: KubeletCertificate;
  /** Slots of the sandbox's other nodes, now. */
  readonly otherSlots: () => readonly number[];
  /** Resolves when the control plane runs; service routing and policies of a node that boots earlier wait. */
  readonly network: Promise<NetworkDeps>;
  readonly signal: AbortSignal;
}

/** One time the machine is on: from its first process to its last. */
interface Run {
  readonly host: NodeHost;
  readonly kubelet: Kubelet;
  readonly uplink: NodeUplink;
  readonly network: NodeNetwork;
  readonly end: AbortController;
}

const rebootMinMs = 200;
const rebootMaxMs = 5_000;

/**
 * One node over all its runs. off -> booting -> running -> off; a node whose machine dies (pid 1 killed)
 * boots again by itself, one that was switched off does not.
 */
export class NodeRunner {
  readonly #o: NodeRunnerOptions;
  readonly #plan: NetworkPlan;
  readonly #logger = createLogger('node');
  #spec: NodeSpec;
  /** While switched on: ends when it is switched off. */
  #power: AbortController | undefined;
  #keeping: Promise<void> = Promise.resolve();
  #run: Run | undefined;

  constructor(options: NodeRunnerOptions) {
    this.#o = options;
    this.#plan = networkPlan(options.config.ipFamilies);
    this.#spec = options.spec;
  }

  get name(): string {
    return this.#spec.name;
  }

  get spec(): NodeSpec {
    return this.#spec;
  }

  /** The kubelet of the current run; undefined while the node is off or cut off: nobody reaches it then. */
  get reachableKubelet(): Kubelet | undefined {
    return this.#spec.isConnected ? this.#run?.kubelet : undefined;
  }

  /** Whether the node has told the API server about its current run. */
  get hasReported(): boolean {
    return this.#run?.kubelet.hasReported === true;
  }

  /** Open fd of the current run's network namespace; undefined while the node is not running. */
  get netns(): number | undefined {
    return this.#run?.host.netns;
  }

  /** Where the node is on the network; undefined while it is not running. */
  get networked(): NetworkedNode | undefined {
    return this.#run === undefined ? undefined : { index: this.#spec.index, pid: this.#run.host.initPid };
  }

  /** Switches the node on; resolves when its kubelet runs. Does nothing when it is on already. */
  async start(): Promise<void> {
    if (this.#power !== undefined) return;
    const power = new AbortController();
    this.#power = power;
    this.#spec = { ...this.#spec, isPoweredOn: true };
    const signal = AbortSignal.any([this.#o.signal, power.signal]);
    try {
      await this.#boot();
    } catch (error) {
      power.abort();
      this.#power = undefined;
      this.#spec = { ...this.#spec, isPoweredOn: false };
      throw error;
    }
    this.#keeping = this.#keep(signal);
  }

  /** Cuts the power: every process is gone at once and says no word. Idempotent. */
  async stop(): Promise<void> {
    this.#spec = { ...this.#spec, isPoweredOn: false };
    this.#power?.abort();
    this.#power = undefined;
    await this.#endRun();
    await this.#keeping;
    await removeCable(this.#spec.index);
    await forgetNeighbors(this.#plan.node(this.#spec.index).ips);
  }

  /** Plugs the node's network cable in or out; kept over its runs. */
  async setConnected(isConnected: boolean): Promise<void> {
    this.#spec = { ...this.#spec, isConnected };
    const run = this.#run;
    if (run === undefined) return;
    await setCable(this.#spec.index, isConnected);
    if (!isConnected) await forgetNeighbors(this.#plan.node(this.#spec.index).ips);
    run.network.setConnected(isConnected);
  }

  status(): Omit<SandboxNodeStatus, 'isReady'> {
    const run = this.#run;
    return {
      name: this.name,
      ...this.#plan.node(this.#spec.index),
      power: !this.#spec.isPoweredOn ? 'stopped' : run === undefined ? 'booting' : 'running',
      isConnected: this.#spec.isConnected,
      podCount: run?.kubelet.podCount ?? 0,
      initPid: run?.host.initPid,
    };
  }

  /** Boots again whenever the machine dies while it should be on. */
  async #keep(signal: AbortSignal): Promise<void> {
    let rebootMs = rebootMinMs;
    while (!signal.aborted) {
      await this.#run?.host.stopped;
      await this.#endRun();
      if (signal.aborted) return;
      this.#logger.warn('node died, booting it again', { node: this.name });
      await delay(rebootMs, undefined, { signal }).catch(() => undefined); // aborted: checked next
      if (signal.aborted) return;
      try {
        await removeCable(this.#spec.index);
        await this.#boot();
        rebootMs = rebootMinMs;
      } catch (error) {
        rebootMs = Math.min(rebootMs * 2, rebootMaxMs);
        this.#logger.error('node did not boot', { node: this.name, error: messageOf(error) });
      }
    }
    await this.#endRun();
  }

  async #boot(): Promise<void> {
    const { config, credentials, images } = this.#o;
    const paths = sandboxPaths(config.name, dirname(config.folder));
    const addresses = this.#plan.node(this.#spec.index);
    const rootfs = join(paths.nodes, this.name);
    await clearLastRun(rootfs, () => this.#boundPods());
    await writeCniConfig(rootfs, addresses.podCidrs, {
      hasPortmap: existsSync(join(config.cniPluginDir, 'portmap')),
    });
    const host = await NodeHost.start({
      name: this.name,
      ips: addresses.ips,
      rootfs,
      cniPluginDir: config.cniPluginDir,
      nameserver: this.#plan.dnsIp,
      packageRoot: paths.packageRoot,
      nodeBinary: config.nodeBinary,
      imagesDir: paths.images,
      loadedImagesDir: paths.loadedImages,
    });
    try {
      await connectNode({ index: this.#spec.index, pid: host.initPid }, this.#plan, {
        otherSlots: this.#o.otherSlots(),
        isConnected: this.#spec.isConnected,
      });
    } catch (error) {
      await host.stop();
      host.close();
      throw error;
    }
    const end = new AbortController();
    const { signal } = end;
    setMaxListeners(0, signal); // every pod of the node listens to it
    const uplink = new NodeUplink(host.netns);
    const network = new NodeNetwork({ node: this.name, isConnected: this.#spec.isConnected });
    const connection = directConnection(credentials);
    const kubelet = new Kubelet({
      host,
      client: new KubeClient({
        ...connection,
        requestOptions: async () => ({ ...(await connection.requestOptions()), agent: uplink }),
      }),
      onUnanswered: () => uplink.reset(),
      identity: {
        name: this.name,
        ...addresses,
        bootId: randomUUID(),
        kubeletVersion: `v1.32.0+meshctl.${config.version}`,
        runtimeVersion: 'bubblewrap://1',
      },
      images,
      dns: { nameserver: this.#plan.dnsIp, domain: clusterDomain },
      podAttached: (pod, ips) => untilDoneOrAborted(network.attached(pod, ips), signal),
    });
    this.#run = { host, kubelet, uplink, network, end };
    startKubeletApi({
      kubelet,
      netns: host.netns,
      host: config.ipFamilies.includes('ipv6') ? '::' : '0.0.0.0',
      serving: this.#o.serving,
      logger: this.#logger,
      signal,
    });
    const networking = this.#o.network.then((deps) => network.run(deps, { netns: host.netns, signal }));
    const agents = [kubelet.run(signal), networking];
    // Only then nobody enters the namespace by this fd any more, whose number will be used again.
    void Promise.allSettled(agents).then(() => host.close());
  }

  /** A node that is cut off has nobody to ask. */
  async #boundPods(): Promise<ReadonlySet<string> | undefined> {
    if (!this.#spec.isConnected) return undefined;
    const client = new KubeClient(this.#o.credentials);
    try {
      return await boundPodUids(client, this.name);
    } finally {
      client.close();
    }
  }

  async #endRun(): Promise<void> {
    const run = this.#run;
    if (run === undefined) return;
    this.#run = undefined;
    run.end.abort();
    run.uplink.close();
    await run.host.stop();
  }
}
