import { counted } from '#base/collections/counted.js';
import { MeshObserver } from '#mesh/inspect/mesh-observer.js';
import { describeNamespace, type NamespaceDescription } from '#mesh/inspect/namespace/namespace-report.js';
import { splitReference } from '#mesh/inspect/ztunnel-target.js';
import { type CommandDefinition, failOnOption, type TextView } from '../command.js';
import { podRows, verdictLine } from '../description-text.js';
import { exitCodeOfFindings } from '../exit-code.js';
import { findingsText } from '../finding-text.js';
import { descriptionPermissions } from '../permissions.js';

/** Pods listed without `-o wide`. */
const podsShownMax = 20;

/** `meshctl describe namespace NAME`. */
export const command: CommandDefinition = {
  description:
    'Shows whether a namespace is in the mesh, its waypoint and mTLS mode, how its pods stand, and what is wrong in it.',
  args: [{ name: '<name>', description: 'namespace', completes: 'namespace' }],
  options: [failOnOption],
  examples: ['meshctl describe namespace shop', 'meshctl describe ns shop -o json'],
  permissions: descriptionPermissions,
  run: async ({ args, options, kube, meshNamespace }) => {
    const { client } = await kube();
    const at = { name: splitReference(args[0] ?? '')[0], now: Date.now() };
    const report = await describeNamespace(new MeshObserver(client, meshNamespace), at);
    return {
      kind: 'NamespaceDescription',
      data: { ...report },
      text: (view) => renderNamespaceDescription(report, view),
      exitCode: exitCodeOfFindings(
        report.findings.map(({ severity }) => severity),
        options.text('fail-on') ?? 'error',
      ),
    };
  },
};

/** A namespace for people: verdict, findings, its pods. */
export function renderNamespaceDescription(report: NamespaceDescription, view: TextView): string {
  const labels = Object.entries(report.labels).map(([key, value]) => `${key}=${value}`);
  const shown = view.wide ? report.pods : report.pods.slice(0, podsShownMax);
  const more = report.pods.length - shown.length + report.omittedCount;
  const blocks = [
    verdictLine(`Namespace ${report.name}`, report, view),
    findingsText(report.findings, view),
    view.facts([
      ['Labels', labels.join('  ') || 'none of the mesh'],
      ['Waypoint', report.waypoint ?? 'none'],
      ['Policy mode', `${report.mtls.mode} (${report.mtls.source})`],
      ['Services', String(report.serviceCount)],
    ]),
    ...(shown.length === 0 ? ['no pods'] : [podRows(shown, view)]),
    ...(more > 0
      ? [
          `${counted(more, 'more pod')}${report.omittedCount > 0 ? ` (${report.omittedCount} not looked at)` : ': -o wide'}`,
        ]
      : []),
  ];
  return blocks.filter((block) => block !== '').join('\n\n');
}
