import { readFileSync } from 'node:fs';
import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import { type DumpFilter, type DumpSection, dumpSections, dumpTable } from '#mesh/inspect/dump-rows.js';
import { parseZtunnelDump, type ZtunnelDump } from '#mesh/inspect/ztunnel-dump.js';
import { chooseZtunnels, fetchZtunnelDump } from '#mesh/inspect/ztunnel-target.js';
import type { CommandDefinition, CommandResult, OptionSpec, TextView } from '../command.js';
import type { CommandContext } from '../context.js';
import { nodeProxyPermissions } from '../permissions.js';

const targetOptions: readonly OptionSpec[] = [
  { flags: '--node <name>', description: 'the ztunnel on this node' },
  { flags: '--file <file>', description: 'a saved dump instead of a cluster; - for standard input' },
];

const filterOptions: Readonly<Record<DumpSection, readonly OptionSpec[]>> = {
  workload: [
    { flags: '--address <ip>', description: 'only the workload with this address' },
    { flags: '--workload-namespace <name>', description: 'only workloads of this namespace' },
    { flags: '--workload-node <name>', description: 'only workloads on this node' },
  ],
  service: [{ flags: '--service-namespace <name>', description: 'only services of this namespace' }],
  policy: [{ flags: '--policy-namespace <name>', description: 'only policies of this namespace' }],
  certificate: [{ flags: '--workload-namespace <name>', description: 'only identities of this namespace' }],
  connections: [
    { flags: '--workload-namespace <name>', description: 'only connections of workloads of this namespace' },
    {
      flags: '--direction <direction>',
      description: 'only this direction',
      choices: ['inbound', 'outbound'],
    },
    { flags: '--raw', description: 'addresses instead of names' },
  ],
};

/** One dump and the node proxy it came from. */
interface Source {
  readonly name: string;
  readonly node: string;
  readonly dump: ZtunnelDump;
}

/** `meshctl ztunnel-config SECTION [POD]`: one part of what a node proxy is configured with. */
export function sectionCommand(section: DumpSection): CommandDefinition {
  return {
    description: `Shows the ${section} part of a node proxy's configuration, read from the running proxy. POD is a ztunnel pod, or an application pod (then the ztunnel of its node, and only what belongs to the pod).`,
    args: [
      {
        name: '[pod]',
        description: 'NAME[.NAMESPACE] of a ztunnel or application pod',
        completes: ['pod', 'ztunnel'],
      },
    ],
    options: [...targetOptions, ...filterOptions[section]],
    examples: [`meshctl ztunnel-config ${section}`, `meshctl zc ${section} --node node-1 -o wide`],
    permissions: nodeProxyPermissions,
    run: (context) => show(context, [section]),
  };
}

/** `meshctl ztunnel-config all [POD]`: every section. */
export const allCommand: CommandDefinition = {
  description:
    "Shows a node proxy's whole configuration: workloads, services, policies, certificates, connections.",
  args: [
    {
      name: '[pod]',
      description: 'NAME[.NAMESPACE] of a ztunnel or application pod',
      completes: ['pod', 'ztunnel'],
    },
  ],
  options: targetOptions,
  examples: ['meshctl ztunnel-config all --node node-1', 'meshctl zc all -o json > dump.json'],
  permissions: nodeProxyPermissions,
  run: (context) => show(context, dumpSections),
};

async function show(context: CommandContext, sections: readonly DumpSection[]): Promise<CommandResult> {
  const { sources, only } = await gather(context);
  const filter: DumpFilter = {
    namespace:
      context.options.text('workload-namespace') ??
      context.options.text('service-namespace') ??
      context.options.text('policy-namespace'),
    node: context.options.text('workload-node'),
    address: context.options.text('address'),
    direction: context.options.text('direction'),
    isRaw: context.options.flag('raw'),
    pod: only,
  };
  const now = Date.now();
  // Workloads, services and policies are the same in every synced proxy: without a choice, one shows them.
  const isPerNode = sections.some((s) => s === 'certificate' || s === 'connections');
  const first = sources[0];
  const shown = isPerNode || first === undefined ? sources : [first];
  return {
    kind: 'ZtunnelConfig',
    data: {
      sections,
      ztunnels: shown.map((s) => ({
        name: s.name,
        node: s.node,
        config: sections.length > 1 ? s.dump.raw : rawSection(s.dump, sections[0]),
      })),
    },
    text: (view) => render({ view, shown, sections, filter, now }),
  };
}

function render(o: {
  view: TextView;
  shown: readonly Source[];
  sections: readonly DumpSection[];
  filter: DumpFilter;
  now: number;
}): string {
  const blocks = o.shown.flatMap((source) => {
    const title = o.shown.length > 1 ? [o.view.style.bold(`${source.name} on ${source.node}`)] : [];
    return [
      ...title,
      ...o.sections.map((section) => {
        const table = o.view.table(dumpTable(section, source.dump, o.filter, o.now));
        return o.sections.length > 1 ? `${o.view.style.bold(section.toUpperCase())}\n${table}\n` : table;
      }),
    ];
  });
  return blocks.join('\n');
}

async function gather(
  context: CommandContext,
): Promise<{ sources: readonly Source[]; only?: DumpFilter['pod'] }> {
  const file = context.options.text('file');
  if (file !== undefined) {
    if (context.args[0] !== undefined || context.options.text('node') !== undefined) {
      throw new MeshError('MESH0103', '--file excludes a pod and --node');
    }
    return { sources: [{ name: file, node: '', dump: readDump(file) }] };
  }
  const { client, namespace } = await context.kube();
  const chosen = await chooseZtunnels(client, {
    pod: context.args[0],
    node: context.options.text('node'),
    namespace,
    meshNamespace: context.meshNamespace,
  });
  const sources = await Promise.all(
    chosen.pods.map(async (p) => ({
      name: p.metadata.name,
      node: p.spec.nodeName ?? '',
      dump: await fetchZtunnelDump(client, p),
    })),
  );
  if (chosen.only === undefined) return { sources };
  return {
    sources,
    only: {
      namespace: chosen.only.metadata.namespace ?? '',
      name: chosen.only.metadata.name,
      uid: chosen.only.metadata.uid ?? '',
      serviceAccount: chosen.only.spec.serviceAccountName ?? 'default',
    },
  };
}

function readDump(file: string): ZtunnelDump {
  try {
    const text = readFileSync(file === '-' ? 0 : file, 'utf8');
    const parsed: unknown = JSON.parse(text);
    // Our own `-o json` wraps the dump; a document saved from the admin port does not.
    const wrapped = (parsed as { ztunnels?: { config?: unknown }[] } | null)?.ztunnels?.[0]?.config;
    return parseZtunnelDump(wrapped === undefined ? text : JSON.stringify(wrapped));
  } catch (error) {
    throw new MeshError('MESH0903', `${file} is not a readable ztunnel dump`, {
      evidence: messageOf(error),
      cause: error,
    });
  }
}

function rawSection(dump: ZtunnelDump, section: DumpSection | undefined): unknown {
  const keys: Readonly<Record<DumpSection, string>> = {
    workload: 'workloads',
    service: 'services',
    policy: 'policies',
    certificate: 'certificates',
    connections: 'workloadState',
  };
  const key = section === undefined ? undefined : keys[section];
  return key === undefined ? dump.raw : { [key]: dump.raw[key] };
}
