import {
  type NodeAction,
  type SandboxNodeStatus,
  sandboxActOnNodes,
  sandboxAddNodes,
  sandboxNodes,
} from '#sandbox/launcher/index.js';
import { MeshError } from '#base/errors/mesh-error.js';
import type { ArgumentSpec, CommandDefinition, Style, TextView } from '../command.js';
import { sandboxNameOption, sandboxNameOf } from './sandbox-options.js';

const nodeArguments: readonly ArgumentSpec[] = [{ name: '<node...>', description: 'names of nodes' }];
const waitTimeoutMs = 120_000;

/** `meshctl sandbox node add`. */
export const nodeAddCommand: CommandDefinition = {
  description:
    'Adds nodes to a running sandbox and waits until they are Ready. Without a name or --count it adds one.',
  args: [{ name: '[name...]', description: 'names of the new nodes; default node-3, node-4, ...' }],
  options: [
    sandboxNameOption,
    { flags: '--count <count>', description: 'how many, with names of their own', type: 'integer' },
  ],
  examples: [
    'meshctl sandbox node add',
    'meshctl sandbox node add edge-1 edge-2',
    'meshctl sandbox node add --count 3',
  ],
  timeoutMs: waitTimeoutMs,
  permissions: [],
  run: async ({ args, options, signal, timeoutMs, progress }) => {
    const sandbox = sandboxNameOf(options);
    const count = options.number('count') ?? (args.length === 0 ? 1 : 0);
    const step = progress.step('nodes');
    try {
      const { nodes } = await sandboxAddNodes({ sandbox, names: args, count, signal, timeoutMs });
      step.succeed(`${nodes.join(', ')} ready`);
      return {
        kind: 'SandboxNodesAdded',
        data: { sandbox, nodes },
        text: () => nodes.map((node) => `node ${node} added`).join('\n'),
      };
    } catch (error) {
      step.fail();
      throw error;
    }
  },
};

/** `meshctl sandbox node remove`. */
export const nodeRemoveCommand: CommandDefinition = {
  ...actionCommand('remove', {
    description:
      'Removes nodes for good: their processes, files, routes and Node objects. It drains nothing, and refuses while pods of anything but a DaemonSet run there; kubectl drain moves them.',
    done: 'removed',
  }),
  options: [sandboxNameOption, { flags: '--force', description: 'also while pods run there; they are lost' }],
  examples: ['meshctl sandbox node remove node-3', 'meshctl sandbox node remove node-2 --force'],
};

/** `meshctl sandbox node stop`. */
export const nodeStopCommand = actionCommand('stop', {
  description:
    'Cuts the power of nodes: every process there is gone at once, and the cluster finds out when the kubelet stays silent (40 s). The disk stays.',
  done: 'stopped',
});

/** `meshctl sandbox node start`. */
export const nodeStartCommand = actionCommand('start', {
  description:
    'Switches nodes on again and waits until they are Ready. Their pods start again, with the same volumes on disk.',
  done: 'started',
});

/** `meshctl sandbox node disconnect`. */
export const nodeDisconnectCommand = actionCommand('disconnect', {
  description:
    'Pulls the network cable of nodes: everything there runs on, but reaches neither the API server nor other nodes, and nobody reaches it.',
  done: 'disconnected',
});

/** `meshctl sandbox node connect`. */
export const nodeConnectCommand = actionCommand('connect', {
  description: 'Plugs the network cable of nodes in again and waits until they are Ready.',
  done: 'connected',
});

/** `meshctl sandbox node list`. */
export const nodeListCommand: CommandDefinition = {
  description: 'Lists the nodes of a running sandbox.',
  options: [sandboxNameOption],
  examples: ['meshctl sandbox node list'],
  permissions: [],
  run: async ({ options }) => {
    const sandbox = sandboxNameOf(options);
    const nodes = await sandboxNodes(sandbox);
    const items = nodes.map((node) => ({ ...node, state: nodeState(node) }));
    return { kind: 'SandboxNodeList', data: { sandbox, items }, text: (view) => renderNodes(nodes, view) };
  },
};

/** One word for what a node is: that it is off or cut off says more than what the API server thinks of it. */
export function nodeState(
  node: SandboxNodeStatus,
): 'Ready' | 'NotReady' | 'Booting' | 'Stopped' | 'Disconnected' {
  if (node.power === 'stopped') return 'Stopped';
  if (!node.isConnected) return 'Disconnected';
  if (node.power === 'booting') return 'Booting';
  return node.isReady ? 'Ready' : 'NotReady';
}

/** The nodes as a table. */
export function renderNodes(nodes: readonly SandboxNodeStatus[], view: TextView): string {
  if (nodes.length === 0) return 'no nodes';
  return view.table({
    head: ['NODE', 'STATE', 'ADDRESS', 'POD CIDR', 'PODS'],
    rows: nodes.map((node) => [
      node.name,
      colored(node, view.style),
      node.ips.join(','),
      node.podCidrs.join(','),
      String(node.podCount),
    ]),
    optional: ['POD CIDR', 'ADDRESS'],
  });
}

function colored(node: SandboxNodeStatus, style: Style): string {
  const state = nodeState(node);
  if (state === 'Ready') return style.good(state);
  return state === 'NotReady' ? style.bad(state) : style.warn(state);
}

function actionCommand(action: NodeAction, o: { description: string; done: string }): CommandDefinition {
  return {
    description: o.description,
    args: nodeArguments,
    options: [sandboxNameOption],
    examples: [`meshctl sandbox node ${action} node-2`],
    timeoutMs: waitTimeoutMs,
    permissions: [],
    run: async ({ args, options, signal, timeoutMs }) => {
      const sandbox = sandboxNameOf(options);
      const force = action === 'remove' && options.flag('force');
      if (new Set(args).size < args.length) throw new MeshError('MESH0102', 'a node is named twice');
      const changes = await sandboxActOnNodes({ sandbox, nodes: args, action, force, signal, timeoutMs });
      const nodes = changes.flatMap((change) =>
        change.nodes.map((name) => ({ name, isChanged: change.isChanged })),
      );
      return {
        kind: 'SandboxNodesChanged',
        data: { sandbox, action, nodes },
        text: () =>
          nodes.map((n) => `node ${n.name} ${n.isChanged ? o.done : `was ${o.done} already`}`).join('\n'),
      };
    },
  };
}
