import { counted } from '#base/collections/counted.js';
import { MeshObserver } from '#mesh/inspect/mesh-observer.js';
import { describeService, type ServiceDescription } from '#mesh/inspect/service/service-report.js';
import { services } from '#base/kube/resource.js';
import { referredByName } from '#mesh/inspect/references.js';
import { splitReference } from '#mesh/inspect/ztunnel-target.js';
import { type CommandDefinition, failOnOption, type TextView } from '../command.js';
import { exitCodeOfFindings } from '../exit-code.js';
import { loadedText, podRows, verdictLine } from '../description-text.js';
import { findingsText } from '../finding-text.js';
import { descriptionPermissions } from '../permissions.js';

/** `meshctl describe service NAME[.NAMESPACE]`. */
export const command: CommandDefinition = {
  description:
    'Shows how a Service is called: the waypoint in effect and why, its ports with their protocols, its endpoints with their health, policies with where they are enforced, routes, callers by name, and what is wrong.',
  args: [{ name: '<name>', description: 'NAME[.NAMESPACE]', completes: 'service' }],
  options: [failOnOption],
  examples: ['meshctl describe service frontend.shop', 'meshctl describe svc frontend -n shop -o json'],
  permissions: descriptionPermissions,
  run: async ({ args, options, kube, meshNamespace, progress }) => {
    const { client, namespace } = await kube();
    const [name, own] = splitReference(args[0] ?? '');
    const at = await referredByName(client, { resource: services, namespace: own ?? namespace, name });
    if (at.note !== undefined) progress.info(at.note);
    const report = await describeService(new MeshObserver(client, meshNamespace), { ...at, now: Date.now() });
    return {
      kind: 'ServiceDescription',
      data: { ...report },
      text: (view) => renderServiceDescription(report, view),
      exitCode: exitCodeOfFindings(
        report.findings.map(({ severity }) => severity),
        options.text('fail-on') ?? 'error',
      ),
    };
  },
};

/** A Service for people: verdict, findings, how it is called. */
export function renderServiceDescription(report: ServiceDescription, view: TextView): string {
  const { style } = view;
  const { waypoint } = report;
  const blocks = [
    verdictLine(`Service ${report.namespace}/${report.name}`, report, view),
    findingsText(report.findings, view),
    view.facts([
      ['Service', `${report.type}, ${report.address}`],
      [
        'Waypoint',
        waypoint === undefined
          ? 'none: calls go to the pods directly'
          : `${waypoint.namespace}/${waypoint.name} by the ${waypoint.because}; ${waypoint.isUsed ? (waypoint.isReady ? 'in use, ready' : `in use, not ready: ${waypoint.why}`) : `NOT USED: ${waypoint.why}`}`,
      ],
      ...report.ports.map(
        (port, index) =>
          [
            index === 0 ? 'Ports' : '',
            `${port.port}${port.name === undefined ? '' : ` ${port.name}`} -> ${port.targetPort}, ${port.transport === 'TCP' ? protocolText(port.protocol) : `${port.transport}, which the mesh does not carry`}`,
          ] as const,
      ),
    ]),
  ];
  if (report.pods.length > 0) blocks.push(`${style.bold('Endpoints')}\n${podRows(report.pods, view)}`);
  if (report.omittedCount > 0) blocks.push(`not looked at: ${counted(report.omittedCount, 'more pod')}`);
  if (report.policies.length > 0) {
    const rows = report.policies.map((p) => [
      p.action,
      `${p.namespace}/${p.name}`,
      p.enforcedBy,
      loadedText(p),
    ]);
    blocks.push(
      `${style.bold('Authorization policies')}\n${view.table({ head: ['ACTION', 'POLICY', 'ENFORCED BY', 'LOADED THERE'], rows, indent: 2 })}`,
    );
  }
  if (report.routes.length > 0) {
    const rows = report.routes.map((r) => [r.kind, r.name, r.isAccepted ? 'yes' : 'NO', r.why]);
    blocks.push(
      `${style.bold('Routes')}\n${view.table({ head: ['KIND', 'NAME', 'ACCEPTED', 'WHY'], rows, indent: 2 })}`,
    );
  }
  if (report.callers.length > 0) {
    const rows = report.callers.map((c) => [
      c.name,
      String(c.connectionCount),
      c.isEncrypted ? 'mTLS' : 'PLAINTEXT',
      c.identity ?? '',
    ]);
    blocks.push(
      `${style.bold('Callers now')}\n${view.table({ head: ['CALLER', 'CONNECTIONS', 'SEEN', 'IDENTITY'], rows, optional: ['IDENTITY'], indent: 2 })}`,
    );
  }
  return blocks.filter((block) => block !== '').join('\n\n');
}

function protocolText(protocol: string): string {
  switch (protocol) {
    case 'HTTP11':
      return 'HTTP';
    case 'UNKNOWN':
      return 'protocol not declared: a waypoint looks at the first bytes';
    default:
      return protocol;
  }
}
