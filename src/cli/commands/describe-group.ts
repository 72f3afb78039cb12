import { describeNamespace, describeService, type GroupReport } from '#mesh/inspect/pod/group-report.js';
import { MeshObserver } from '#mesh/inspect/mesh-observer.js';
import { splitReference } from '#mesh/inspect/ztunnel-target.js';
import type { CommandDefinition, CommandResult, TextView } from '../command.js';
import { failOnOption } from '../command.js';
import { exitCodeOfFindings } from '../exit-code.js';

/** `meshctl describe service NAME[.NAMESPACE]`. */
export const serviceCommand: CommandDefinition = {
  description: 'Shows how the pods behind a Service stand to the mesh; one line a pod, then what is wrong.',
  args: [{ name: '<name>', description: 'NAME[.NAMESPACE]' }],
  options: [failOnOption],
  examples: ['meshctl describe service frontend.shop'],
  run: async ({ args, options, kube, meshNamespace }) => {
    const { client, namespace } = await kube();
    const [name, ownNamespace] = splitReference(args[0] ?? '');
    const at = { name, namespace: ownNamespace ?? namespace, now: Date.now() };
    return result(
      await describeService(new MeshObserver(client, meshNamespace), at),
      options.text('fail-on') ?? 'error',
    );
  },
};

/** `meshctl describe namespace NAME`. */
export const namespaceCommand: CommandDefinition = {
  description: 'Shows how the pods of a namespace stand to the mesh; one line a pod, then what is wrong.',
  args: [{ name: '<name>', description: 'namespace' }],
  options: [failOnOption],
  examples: ['meshctl describe namespace shop'],
  run: async ({ args, options, kube, meshNamespace }) => {
    const { client } = await kube();
    const at = { name: splitReference(args[0] ?? '')[0], now: Date.now() };
    return result(
      await describeNamespace(new MeshObserver(client, meshNamespace), at),
      options.text('fail-on') ?? 'error',
    );
  },
};

function result(report: GroupReport, failOn: string): CommandResult {
  return {
    kind: `${report.objectKind}Description`,
    data: { ...report },
    text: (view) => render(report, view),
    exitCode: exitCodeOfFindings(
      report.pods.flatMap((p) => p.findings.map((f) => f.severity)),
      failOn,
    ),
  };
}

function render(report: GroupReport, view: TextView): string {
  const name = report.objectKind === 'Namespace' ? report.name : `${report.namespace}/${report.name}`;
  const address = report.address === undefined ? '' : `  ${report.address} ${report.ports?.join(', ')}`;
  const lines = [`${view.style.bold(report.objectKind)} ${name}${address}`];
  const labels = Object.entries(report.labels).map(([k, v]) => `${k}=${v}`);
  lines.push(labels.length === 0 ? 'no mesh labels' : labels.join('  '), '');
  if (report.pods.length === 0) return [...lines, 'no pods'].join('\n');
  lines.push(
    view.table({
      head: ['POD', 'NODE', 'VERDICT', 'MODE', 'CONNECTIONS', 'SUMMARY'],
      rows: report.pods.map((p) => [
        p.pod.name,
        p.pod.node,
        p.verdict,
        p.intent.isEnrolled ? p.mtls.mode : '',
        String(p.connections.length),
        p.summary,
      ]),
    }),
  );
  if (report.omittedCount > 0) lines.push(`${report.omittedCount} more pods were not looked at`);
  const findings = report.pods.flatMap((p) => p.findings.map((f) => ({ pod: p.pod.name, ...f })));
  if (findings.length > 0) {
    lines.push('', view.style.bold('Findings'));
    for (const f of findings) lines.push(`  ${f.severity} ${f.code}: ${f.pod}: ${f.message}`);
  }
  return lines.join('\n');
}
