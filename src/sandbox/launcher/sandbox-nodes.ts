import { setTimeout as delay } from 'node:timers/promises';
import { MeshError } from '#base/errors/mesh-error.js';
import type { NodeAction, NodesChange, SandboxNodeStatus } from '../supervisor/control/control-protocol.js';
import type { SandboxPaths } from '../supervisor/sandbox-paths.js';
import { actOnNode, addNodes, supervisorStatus } from './control-client.js';
import { runningSandbox } from './sandbox-status.js';

export interface SandboxNodesOptions {
  /** Of the sandbox. */
  readonly sandbox: string;
  readonly signal: AbortSignal;
  /** How long to wait for nodes to become Ready. */
  readonly timeoutMs: number;
}

const pollMs = 50;

/** The nodes of a running sandbox. Throws MESH0803, or MESH0815 when it does not answer. */
export async function sandboxNodes(sandbox: string): Promise<readonly SandboxNodeStatus[]> {
  return statusOf(runningSandbox(sandbox).paths);
}

/** Adds nodes and waits until they are Ready. Throws MESH0800, MESH0803, MESH0813 or MESH0816. */
export async function sandboxAddNodes(
  o: SandboxNodesOptions & { readonly names: readonly string[]; readonly count: number },
): Promise<NodesChange> {
  const { paths } = runningSandbox(o.sandbox);
  const change = await addNodes(paths, { names: o.names, count: o.count }, o.timeoutMs);
  await awaitNodes(paths, change.nodes, o);
  return change;
}

/**
 * Does something to nodes, one after the other; what is so already is left alone. Nodes that start are waited
 * for until they are Ready. Throws MESH0803, MESH0807, MESH0812 or MESH0816.
 */
export async function sandboxActOnNodes(
  o: SandboxNodesOptions & {
    readonly nodes: readonly string[];
    readonly action: NodeAction;
    /** For `remove`: also while pods run on them. */
    readonly force?: boolean;
  },
): Promise<readonly NodesChange[]> {
  const { paths } = runningSandbox(o.sandbox);
  const changes: NodesChange[] = [];
  for (const node of o.nodes) {
    o.signal.throwIfAborted();
    changes.push(await actOnNode(paths, { node, action: o.action, force: o.force === true }, o.timeoutMs));
  }
  if (o.action === 'start' || o.action === 'connect') {
    const nodes = await statusOf(paths);
    // One that stays cut off, or switched off, will not become Ready.
    const expected = o.nodes.filter((name) =>
      nodes.some((node) => node.name === name && node.isConnected && node.power !== 'stopped'),
    );
    await awaitNodes(paths, expected, o);
  }
  return changes;
}

async function awaitNodes(
  paths: SandboxPaths,
  names: readonly string[],
  o: SandboxNodesOptions,
): Promise<void> {
  const deadlineMs = Date.now() + o.timeoutMs;
  for (;;) {
    const nodes = await statusOf(paths);
    const waiting = names.filter((name) => !nodes.some((node) => node.name === name && node.isReady));
    if (waiting.length === 0) return;
    if (Date.now() > deadlineMs)
      throw new MeshError('MESH0816', `${waiting.join(', ')} did not become Ready`, {
        hint: `kubectl --context sandbox-${paths.name} describe node ${waiting[0] ?? ''}`,
      });
    await delay(pollMs, undefined, { signal: o.signal });
  }
}

async function statusOf(paths: SandboxPaths): Promise<readonly SandboxNodeStatus[]> {
  const status = await supervisorStatus(paths);
  if (status === undefined)
    throw new MeshError('MESH0815', `the supervisor of sandbox ${paths.name} does not answer`, {
      hint: `its log: ${paths.log}`,
    });
  return status.nodes;
}
