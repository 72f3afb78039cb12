import { counted } from '#base/collections/counted.js';
import {
  type IpFamilyName,
  parseIpFamilies,
  sandboxCapture,
  sandboxDown,
  sandboxExec,
  sandboxKubeconfig,
  sandboxList,
  sandboxUp,
  type SandboxUpResult,
} from '#sandbox/launcher/index.js';
import { MeshError } from '#base/errors/mesh-error.js';
import type { CommandDefinition, TextView } from '../command.js';
import { meshImages, meshKernelTrials, meshPrograms } from '../mesh-in-sandbox.js';
import { sandboxNameOf, sandboxNameOption } from './sandbox-options.js';

/** `meshctl sandbox up`. */
export const upCommand: CommandDefinition = {
  description:
    'Starts a Kubernetes cluster on this machine: every node and pod in network namespaces of its own, as root or as an ordinary user. A sandbox that runs already is left as it is; one that was started with --persist and stopped goes on where it was.',
  options: [
    sandboxNameOption,
    {
      flags: '--nodes <count>',
      description: 'number of nodes (default 2, or what it had when it was stopped)',
      type: 'integer',
    },
    { flags: '--persist', description: 'keep objects, keys and the disks of nodes over down and up' },
    {
      flags: '--ip-families <families>',
      description: 'ipv4, ipv6 or both, the primary one first: ipv4,ipv6 (default ipv4)',
    },
    { flags: '--no-kubeconfig', description: 'do not add a context to your kubeconfig' },
  ],
  examples: [
    'meshctl sandbox up',
    'meshctl sandbox up --persist',
    'meshctl sandbox up --ip-families ipv4,ipv6',
    'meshctl sandbox up --name ci --nodes 3 --no-kubeconfig',
  ],
  timeoutMs: 120_000,
  permissions: [],
  run: async ({ options, progress, signal, timeoutMs }) => {
    const name = sandboxNameOf(options);
    const step = progress.step(`sandbox ${name}`);
    try {
      const result = await sandboxUp({
        name,
        nodes: options.number('nodes'),
        persist: options.flag('persist'),
        ipFamilies: ipFamiliesOf(options.text('ip-families')),
        noKubeconfig: !options.flag('kubeconfig'),
        images: meshImages,
        kernelTrials: meshKernelTrials,
        programs: meshPrograms,
        onProgress: (what, detail) => step.update(`${what}: ${detail}`),
        signal,
        timeoutMs,
      });
      step.succeed(upText(result));
      return {
        kind: 'Sandbox',
        data: { ...result },
        text: (view) => renderUp(result, options.flag('kubeconfig'), view),
      };
    } catch (error) {
      step.fail();
      throw error;
    }
  },
};

function ipFamiliesOf(text: string | undefined): readonly IpFamilyName[] | undefined {
  if (text === undefined) return undefined;
  const families = parseIpFamilies(text);
  if (families !== undefined) return families;
  throw new MeshError(
    'MESH0800',
    `"${text}" is no list of IP families: ipv4, ipv6, or both with a comma between`,
  );
}

function upText(result: SandboxUpResult): string {
  if (result.wasRunning) return 'was running already';
  return `${counted(result.nodes.length, 'node')} ready${result.isContinued ? ', with what it kept' : ''}`;
}

function renderUp(result: SandboxUpResult, isMerged: boolean, { facts }: TextView): string {
  return facts([
    ['server', result.server],
    ['kubeconfig', result.kubeconfigPath],
    ...(isMerged ? [['context', `${result.context} (in your kubeconfig)`] as const] : []),
    ['nodes', result.nodes.join(', ')],
    ...(result.isPersistent ? [['state', 'kept over down and up'] as const] : []),
    ...(result.hasNewPort
      ? [
          [
            'note',
            'another program has its earlier port: kubeconfigs handed out before do not reach it',
          ] as const,
        ]
      : []),
  ]);
}

/** `meshctl sandbox down`: fine also when there is nothing to stop. */
export const downCommand: CommandDefinition = {
  description:
    'Stops a sandbox and removes everything it made: processes, namespaces, files, kubeconfig context. What one that was started with --persist keeps stays, unless --purge is given.',
  options: [
    sandboxNameOption,
    { flags: '--purge', description: 'remove what a persistent sandbox keeps as well' },
  ],
  examples: ['meshctl sandbox down', 'meshctl sandbox down --name ci --purge'],
  permissions: [],
  run: async ({ options }) => {
    const name = sandboxNameOf(options);
    const result = await sandboxDown({ name, purge: options.flag('purge') });
    const texts = {
      absent: `there is no sandbox ${name}`,
      removed: `sandbox ${name} is gone`,
      stopped: `sandbox ${name} is stopped; \`meshctl sandbox up --name ${name}\` goes on where it was, \`down --purge\` removes it`,
    };
    return {
      kind: 'SandboxDown',
      data: { name, result, wasThere: result !== 'absent' },
      text: ({ prose }) => prose(texts[result]),
    };
  },
};

/** `meshctl sandbox list`. */
export const sandboxListCommand: CommandDefinition = {
  description: 'Lists the sandboxes of this user.',
  examples: ['meshctl sandbox list'],
  permissions: [],
  run: () => {
    const items = sandboxList();
    return Promise.resolve({
      kind: 'SandboxList',
      data: { items },
      text: (view: TextView) =>
        items.length === 0
          ? 'no sandboxes'
          : view.table({
              head: ['NAME', 'STATE', 'NODES', 'PERSISTENT', 'SERVER', 'CONTEXT', 'STARTED'],
              rows: items.map((s) => [
                s.name,
                s.state,
                String(s.nodeCount),
                s.isPersistent ? 'yes' : 'no',
                s.server,
                s.context,
                s.startedAt,
              ]),
              optional: ['STARTED', 'SERVER', 'PERSISTENT'],
            }),
    });
  },
};

/** `meshctl sandbox kubeconfig`: the file's text on standard output. */
export const kubeconfigCommand: CommandDefinition = {
  description: 'Prints a kubeconfig for the sandbox.',
  options: [sandboxNameOption],
  examples: ['meshctl sandbox kubeconfig > sandbox.yaml'],
  permissions: [],
  run: async ({ options, write }) => {
    write(await sandboxKubeconfig({ name: sandboxNameOf(options) }));
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
  options: [sandboxNameOption],
  passThroughAfter: 1,
  examples: [
    'meshctl sandbox exec node-1 -- iptables-save -t nat',
    'meshctl sandbox exec node-1 --name ci -- tcpdump -n -i eth0',
  ],
  permissions: [],
  run: ({ args, options, io }) => {
    const [node = '', ...command] = args;
    return sandboxExec({ name: sandboxNameOf(options), node, command, signals: io.signals });
  },
};

/** `meshctl sandbox capture NODE > file.pcap`. */
export const captureCommand: CommandDefinition = {
  description:
    "Captures what passes a node's interface, in libpcap format on standard output. The default interface, eth0, carries what goes from node to node. Works without root.",
  args: [{ name: '<node>', description: 'node' }],
  options: [
    sandboxNameOption,
    { flags: '--interface <name>', description: 'interface of the node', defaultValue: 'eth0' },
    { flags: '--seconds <count>', description: 'how long (default: until interrupted)', type: 'integer' },
  ],
  examples: [
    'meshctl sandbox capture node-1 --seconds 5 > node-1.pcap',
    'meshctl sandbox capture node-1 | tcpdump -n -r -',
  ],
  permissions: [],
  run: ({ args, options, io, signal }) => {
    if (io.isStdoutTty) {
      throw new MeshError('MESH0103', 'a capture is binary data', {
        hint: 'Send it to a file or a program: > file.pcap',
      });
    }
    return sandboxCapture({
      name: sandboxNameOf(options),
      node: args[0] ?? '',
      interfaceName: options.text('interface'),
      seconds: options.number('seconds'),
      signal,
    });
  },
};
