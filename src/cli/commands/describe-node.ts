import { MeshObserver } from '#mesh/inspect/mesh-observer.js';
import { describeNode, type NodeDescription, type NodePart } from '#mesh/inspect/node/node-report.js';
import { agoText } from '#mesh/inspect/runtime/node-findings.js';
import { type CommandDefinition, failOnOption, type TextView } from '../command.js';
import { verdictLine } from '../description-text.js';
import { exitCodeOfFindings } from '../exit-code.js';
import { findingsText } from '../finding-text.js';
import { descriptionPermissions } from '../permissions.js';

/** `meshctl describe node NAME`. */
export const command: CommandDefinition = {
  description:
    'Shows what of the mesh runs on a node and whether it works: node proxy, CNI agent, rules for probes, certificates, clock, captured pods.',
  args: [{ name: '<name>', description: 'node', completes: 'node' }],
  options: [failOnOption],
  examples: ['meshctl describe node worker-1'],
  permissions: [
    { verbs: ['get'], resource: 'nodes', in: 'cluster', why: 'find what is named' },
    ...descriptionPermissions,
  ],
  run: async ({ args, options, kube, meshNamespace }) => {
    const { client } = await kube();
    const report = await describeNode(new MeshObserver(client, meshNamespace), {
      name: args[0] ?? '',
      now: Date.now(),
    });
    return {
      kind: 'NodeDescription',
      data: { ...report },
      text: (view) => render(report, view),
      exitCode: exitCodeOfFindings(
        report.findings.map(({ severity }) => severity),
        options.text('fail-on') ?? 'error',
      ),
    };
  },
};

function render(report: NodeDescription, view: TextView): string {
  const { certificates, clockAheadMs, hostRulesOk } = report;
  const blocks = [
    verdictLine(`Node ${report.name}`, report, view),
    findingsText(report.findings, view),
    view.facts([
      ['Ready', report.readiness],
      ['Node proxy', partText(report.ztunnel)],
      ['CNI agent', partText(report.cni)],
      ['Probe rules', hostRulesOk === undefined ? 'unknown' : hostRulesOk ? 'in place' : 'MISSING'],
      [
        'Certificates',
        certificates === undefined
          ? 'unknown: the node proxy could not be asked'
          : `${certificates.validCount} of ${certificates.count} valid${certificates.firstExpiry === undefined ? '' : `, the first ends in ${agoText(Date.parse(certificates.firstExpiry) - Date.now())}`}`,
      ],
      ['Clock', clockAheadMs === undefined ? 'unknown' : clockText(clockAheadMs)],
    ]),
    report.pods.length === 0
      ? 'no pods of the mesh'
      : view.table({
          head: ['NAMESPACE', 'POD', 'OBSERVED'],
          rows: report.pods.map(({ namespace, name, observed }) => [namespace, name, observed]),
        }),
  ];
  return blocks.filter((block) => block !== '').join('\n\n');
}

function partText(part: NodePart | undefined): string {
  if (part === undefined) return 'NONE';
  return `${part.pod}, version ${part.version}, ${part.isReady ? 'ready' : 'NOT READY'}`;
}

/** Answers tell the time in whole seconds. */
function clockText(aheadMs: number): string {
  const seconds = Math.round(Math.abs(aheadMs) / 1000);
  if (seconds <= 1) return "as this machine's";
  return `${seconds} s ${aheadMs > 0 ? 'ahead of' : 'behind'} this machine's`;
}
