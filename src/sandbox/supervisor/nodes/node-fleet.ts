import { dirname, join } from 'node:path';
import { MeshError } from '#base/errors/mesh-error.js';
import { nearMiss } from '#base/errors/near-miss.js';
import type { DirectConnectionOptions } from '#base/kube/connection.js';
import { nodes as nodeResource, pods as podResource } from '#base/kube/resource.js';
import type { Pod } from '#base/kube/types.js';
import type { ObjectCache } from '../../cluster/cache/object-cache.js';
import type { ImageStore } from '../../node/image/image.js';
import type { KubeletCertificate } from '../../node/kubelet-api/kubelet-api.js';
import type { Kubelet } from '../../node/kubelet/kubelet.js';
import type {
  AddNodesRequest,
  NodeAction,
  NodeActionRequest,
  NodesChange,
} from '../control/control-protocol.js';
import type { SupervisorConfig } from '../sandbox-config.js';
import { type NetworkPlan, networkPlan } from '../network-plan.js';
import { sandboxPaths } from '../sandbox-paths.js';
import { removeFolder, removeOtherFolders } from './node-disk.js';
import { type NodeSpec, planNodes, readNodeList, writeNodeList } from './node-list.js';
import { announceNodes, forgetNodes, type NetworkedNode } from './node-cables.js';
import type { NetworkDeps } from './node-network.js';
import { NodeRunner } from './node-runner.js';
import { podsThatHold } from './pods-of-node.js';

const bootsMax = 8;

export interface NodeFleetOptions {
  readonly config: SupervisorConfig;
  readonly images: readonly ImageStore[];
  /** How a node signs in. */
  readonly credentials: (nodeName: string) => Promise<DirectConnectionOptions>;
  /** What a kubelet serves with under these names and addresses. */
  readonly serving: (names: readonly string[]) => Promise<KubeletCertificate>;
  readonly signal: AbortSignal;
}

/**
 * The nodes of a sandbox: which there are (kept in a file, over restarts), and what is done to them. Operations
 * take turns; each ends with the file saying what is the case.
 */
export class NodeFleet {
  readonly #o: NodeFleetOptions;
  readonly #plan: NetworkPlan;
  readonly #listPath: string;
  readonly #nodesFolder: string;
  readonly #deps: Promise<NetworkDeps>;
  #setDeps: (deps: NetworkDeps) => void = () => undefined;
  #runners: NodeRunner[] = [];
  #pods: ObjectCache<Pod> | undefined;
  #open: () => void = () => undefined;
  /** Ends when the operation before is over; the first waits for all nodes to have booted. */
  #turn: Promise<unknown> = new Promise<void>((resolve) => {
    this.#open = resolve;
  });

  constructor(options: NodeFleetOptions) {
    this.#o = options;
    const { config } = options;
    const paths = sandboxPaths(config.name, dirname(config.folder));
    this.#plan = networkPlan(config.ipFamilies);
    this.#listPath = paths.nodeList;
    this.#nodesFolder = paths.nodes;
    this.#deps = new Promise((resolve) => {
      this.#setDeps = resolve;
    });
  }

  get runners(): readonly NodeRunner[] {
    return this.#runners;
  }

  /** The kubelets that can be reached: of nodes that run and are on the network. */
  get kubelets(): readonly Kubelet[] {
    return this.#runners.flatMap((runner) => runner.reachableKubelet ?? []);
  }

  /** Address of the node that a pod is bound to, if that is switched off or cut off now. */
  unreachableNodeOf(podUid: string): string | undefined {
    const pod = this.#pods?.list().find((each) => each.metadata.uid === podUid);
    const runner = this.#runners.find((each) => each.name === pod?.spec.nodeName);
    return runner === undefined || runner.reachableKubelet !== undefined ? undefined : runner.status().ips[0];
  }

  /** Boots every node that should be on. Throws MESH0802 when one does not boot. */
  async bootAll(): Promise<void> {
    const specs = readNodeList(this.#listPath);
    await removeOtherFolders(this.#nodesFolder, specs);
    this.#runners = await Promise.all(specs.map((spec) => this.#makeRunner(spec)));
    await boot(this.#runners.filter((runner) => runner.spec.isPoweredOn));
    this.#open();
  }

  /** From now on services are routed and policies enforced on the nodes, and nodes can be removed. */
  useControlPlane(deps: NetworkDeps): void {
    this.#pods = deps.caches.of<Pod>(podResource);
    this.#setDeps(deps);
  }

  /** Adds nodes and boots them; those that do not boot are gone again. Throws MESH0800, MESH0802 or MESH0813. */
  add(request: AddNodesRequest): Promise<NodesChange> {
    return this.#inTurn(async () => {
      const specs = planNodes(this.#specs(), request);
      const runners = await Promise.all(specs.map((spec) => this.#makeRunner(spec)));
      this.#runners.push(...runners);
      try {
        // First the file: what a crash interrupts is finished by the next start.
        await this.#save();
        const slots = specs.map((spec) => spec.index);
        await announceNodes(slots, this.#plan, this.#running());
        await boot(runners);
      } catch (error) {
        // All or none. What cannot be cleared away now is by the next start.
        await this.#discard(runners).catch(() => undefined);
        throw error;
      }
      return { nodes: specs.map((spec) => spec.name), isChanged: true };
    });
  }

  /** Does something to a node. Throws MESH0807 (no such node) or MESH0812 (pods run on it). */
  act(name: string, action: NodeAction, request: NodeActionRequest): Promise<NodesChange> {
    return this.#inTurn(async () => {
      const runner = this.#find(name);
      const before = runner.spec;
      if (action === 'stop') await runner.stop();
      else if (action === 'start') await runner.start();
      else if (action === 'remove') await this.#remove(runner, request.force === true);
      else await runner.setConnected(action === 'connect');
      await this.#save();
      return { nodes: [name], isChanged: action === 'remove' || !isSame(before, runner.spec) };
    });
  }

  async #remove(runner: NodeRunner, isForced: boolean): Promise<void> {
    const { client } = await this.#deps;
    const { name } = runner;
    const holding = isForced ? [] : await podsThatHold(client, name);
    if (holding.length > 0) {
      throw new MeshError('MESH0812', `${name} still has pods: ${holding.length}`, {
        evidence: holding.join('\n'),
        hint: `kubectl drain ${name} --ignore-daemonsets --delete-emptydir-data   # or --force: the pods are lost`,
      });
    }
    await runner.stop();
    await client.delete({ resource: nodeResource, name });
    await this.#discard([runner]);
  }

  /** Makes nodes as if they had never been. */
  async #discard(runners: readonly NodeRunner[]): Promise<void> {
    await Promise.all(runners.map((runner) => runner.stop()));
    this.#runners = this.#runners.filter((each) => !runners.includes(each));
    const slots = runners.map((runner) => runner.spec.index);
    await forgetNodes(slots, this.#plan, this.#running());
    for (const runner of runners) await removeFolder(join(this.#nodesFolder, runner.name));
    await this.#save();
  }

  async #makeRunner(spec: NodeSpec): Promise<NodeRunner> {
    const { config, images, signal } = this.#o;
    return new NodeRunner({
      spec,
      config,
      images,
      signal,
      credentials: await this.#o.credentials(spec.name),
      serving: await this.#o.serving([spec.name, ...this.#plan.node(spec.index).ips]),
      otherSlots: () =>
        this.#specs()
          .map((each) => each.index)
          .filter((index) => index !== spec.index),
      network: this.#deps,
    });
  }

  #find(name: string): NodeRunner {
    const runner = this.#runners.find((each) => each.name === name);
    if (runner !== undefined) return runner;
    const names = this.#runners.map((each) => each.name);
    const near = nearMiss(name, names);
    throw new MeshError('MESH0807', `sandbox ${this.#o.config.name} has no node ${name}`, {
      evidence: `nodes: ${names.join(', ')}`,
      hint: near === undefined ? undefined : `Did you mean ${near}?`,
    });
  }

  #specs(): NodeSpec[] {
    return this.#runners.map((runner) => runner.spec);
  }

  #running(): NetworkedNode[] {
    return this.#runners.flatMap((runner) => runner.networked ?? []);
  }

  async #save(): Promise<void> {
    await writeNodeList(this.#listPath, this.#specs());
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined); // the caller has it
    return result;
  }
}

/** Switches nodes on, some at a time: each that boots has a deadline. */
async function boot(runners: readonly NodeRunner[]): Promise<void> {
  for (let first = 0; first < runners.length; first += bootsMax) {
    const some = runners.slice(first, first + bootsMax);
    const outcomes = await Promise.allSettled(some.map((runner) => runner.start()));
    const failure = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failure !== undefined) throw failure.reason;
  }
}

function isSame(a: NodeSpec, b: NodeSpec): boolean {
  return a.isPoweredOn === b.isPoweredOn && a.isConnected === b.isConnected;
}
