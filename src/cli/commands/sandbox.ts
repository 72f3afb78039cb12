import {
  type SandboxStatusResult,
  sandboxCapture,
  sandboxDown,
  sandboxExec,
  sandboxKubeconfig,
  sandboxList,
  sandboxStatus,
  sandboxUp,
} from '../../sandbox/launcher/index.js';
import { MeshError } from '../../errors/mesh-error.js';
import type { CommandDefinition, OptionSpec, TextView } from '../command.js';

const nameOption: OptionSpec = {
  flags: '--name <name>',
  description: 'name of the sandbox; several can run side by side',
  defaultValue: 'default',
};

/** `meshctl sandbox up`. */
export const upCommand: CommandDefinition = {
  description:
    'Starts a Kubernetes cluster on this machine: every node and pod in network namespaces of its own, as root or as an ordinary user. A sandbox that runs already is left as it is.',
  options: [
    nameOption,
    { flags: '--nodes <count>', description: 'number of nodes (default 2)', type: 'integer' },
    { flags: '--no-kubeconfig', description: 'do not add a context to your kubeconfig' },
  ],
  examples: ['meshctl sandbox up', 'meshctl sandbox up --name ci --nodes 3 --no-kubeconfig'],
  timeoutMs: 120_000,
  run: async ({ options, progress, signal, timeoutMs }) => {
    const name = options.text('name');
    const step = progress.step(`sandbox ${name}`);
    try {
      const result = await sandboxUp({
        name,
        nodes: options.number('nodes'),
        noKubeconfig: !options.flag('kubeconfig'),
        onProgress: (what, detail) => step.update(`${what}: ${detail}`),
        signal,
        timeoutMs,
      });
      step.succeed(result.wasRunning ? 'was running already' : `${result.nodes.length} nodes ready`);
      return {
        kind: 'Sandbox',
        data: { ...result },
        text: () =>
          [
            `server      ${result.server}`,
            `kubeconfig  ${result.kubeconfigPath}`,
            ...(options.flag('kubeconfig') ? [`context     ${result.context} (in your kubeconfig)`] : []),
            `nodes       ${result.nodes.join(', ')}`,
          ].join('\n'),
      };
    } catch (error) {
      step.fail();
      throw error;
    }
  },
};

/** `meshctl sandbox down`: fine also when there is nothing to stop. */
export const downCommand: CommandDefinition = {
  description:
    'Stops a sandbox and removes everything it made: processes, namespaces, files, kubeconfig context.',
  options: [nameOption],
  run: async ({ options }) => {
    const name = options.text('name') ?? 'default';
    const wasThere = await sandboxDown({ name });
    return {
      kind: 'SandboxDown',
      data: { name, wasThere },
      text: () => (wasThere ? `sandbox ${name} is gone` : `there is no sandbox ${name}`),
    };
  },
};

/** `meshctl sandbox list`. */
export const listCommand: CommandDefinition = {
  description: 'Lists the sandboxes of this user.',
  run: () => {
    const items = sandboxList();
    return Promise.resolve({
      kind: 'SandboxList',
      data: { items },
      text: (view: TextView) =>
        items.length === 0
          ? 'no sandboxes'
          : view.table({
              head: ['NAME', 'STATE', 'NODES', 'SERVER', 'CONTEXT', 'STARTED'],
              rows: items.map((s) => [
                s.name,
                s.state,
                String(s.nodeCount),
                s.server,
                s.context,
                s.startedAt,
              ]),
            }),
    });
  },
};

/** `meshctl sandbox status`: exit 1 unless every node is ready. */
export const statusCommand: CommandDefinition = {
  description: 'Shows a sandbox and its nodes. Exit code 1 unless all of it is ready.',
  options: [nameOption],
  run: async ({ options }) => {
    const result = await sandboxStatus({ name: options.text('name') ?? 'default' });
    const nodes = result.supervisor?.nodes ?? [];
    const isReady = result.supervisor?.phase === 'ready' && nodes.every((n) => n.isReady);
    return {
      kind: 'SandboxStatus',
      data: { ...result, isReady },
      text: (view) => renderStatus(result, view),
      exitCode: isReady ? 0 : 1,
    };
  },
};

function renderStatus(result: SandboxStatusResult, view: TextView): string {
  const { supervisor } = result;
  const mebibyte = 1024 * 1024;
  const lines = [
    `${view.style.bold(result.name)}  ${result.state}${supervisor === undefined ? '' : `, ${supervisor.phase} ${supervisor.detail}`.trimEnd()}`,
    `server      ${result.server}`,
    `kubeconfig  ${result.kubeconfigPath}`,
    `log         ${result.logPath}`,
  ];
  if (supervisor === undefined) return lines.join('\n');
  lines.push(`memory      ${Math.round(supervisor.memoryBytes / mebibyte)} MiB`, '');
  lines.push(
    view.table({
      head: ['NODE', 'READY', 'ADDRESS', 'POD CIDR', 'PODS'],
      rows: supervisor.nodes.map((n) => [
        n.name,
        n.isReady ? 'yes' : 'no',
        n.ip,
        n.podCidr,
        String(n.podCount),
      ]),
    }),
  );
  return lines.join('\n');
}

/** `meshctl sandbox kubeconfig`: the file's text on standard output. */
export const kubeconfigCommand: CommandDefinition = {
  description: 'Prints a kubeconfig for the sandbox.',
  options: [nameOption],
  examples: ['meshctl sandbox kubeconfig > sandbox.yaml'],
  run: async ({ options, write }) => {
    write(await sandboxKubeconfig({ name: options.text('name') ?? 'default' }));
    return 0;
  },
};

/** `meshctl sandbox exec NODE -- COMMAND...`: exits with the command's code. */
export const execCommand: CommandDefinition = {
  description: 'Runs a command on a node of the sandbox, in its namespaces: tcpdump, iptables-save, ip.',
  args: [
    { name: '<node>', description: 'node' },
    { name: '<command...>', description: 'command and its arguments, after --' },
  ],
  options: [nameOption],
  passThrough: true,
  examples: [
    'meshctl sandbox exec node-1 -- iptables-save -t nat',
    'meshctl sandbox exec node-1 -- tcpdump -n -i eth0',
  ],
  run: ({ args, options, signal }) => {
    const [node = '', ...rest] = args;
    // Options pass through from the first operand on, and the separator with them.
    const command = rest[0] === '--' ? rest.slice(1) : rest;
    return sandboxExec({ name: options.text('name') ?? 'default', node, command, signal });
  },
};

/** `meshctl sandbox capture NODE > file.pcap`. */
export const captureCommand: CommandDefinition = {
  description:
    "Captures what passes a node's interface, in libpcap format on standard output. The default interface, eth0, carries what goes from node to node. Works without root.",
  args: [{ name: '<node>', description: 'node' }],
  options: [
    nameOption,
    { flags: '--interface <name>', description: 'interface of the node', defaultValue: 'eth0' },
    { flags: '--seconds <count>', description: 'how long (default: until interrupted)', type: 'integer' },
  ],
  examples: [
    'meshctl sandbox capture node-1 --seconds 5 > node-1.pcap',
    'meshctl sandbox capture node-1 | tcpdump -n -r -',
  ],
  run: ({ args, options, io, signal }) => {
    if (io.isStdoutTty) {
      throw new MeshError('MESH0103', 'a capture is binary data', {
        hint: 'Send it to a file or a program: > file.pcap',
      });
    }
    return sandboxCapture({
      name: options.text('name') ?? 'default',
      node: args[0] ?? '',
      interfaceName: options.text('interface'),
      seconds: options.number('seconds'),
      signal,
    });
  },
};
