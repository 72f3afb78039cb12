import { counted } from '#base/collections/counted.js';
import { gateways } from '#base/kube/resource.js';
import { describeGateway, type GatewayDescription } from '#mesh/inspect/gateway/gateway-report.js';
import { MeshObserver } from '#mesh/inspect/mesh-observer.js';
import { referredByName } from '#mesh/inspect/references.js';
import { splitReference } from '#mesh/inspect/ztunnel-target.js';
import { type CommandDefinition, failOnOption, type TextView } from '../command.js';
import { verdictLine } from '../description-text.js';
import { exitCodeOfFindings } from '../exit-code.js';
import { findingsText } from '../finding-text.js';
import { descriptionPermissions } from '../permissions.js';

/** `meshctl describe gateway|waypoint NAME[.NAMESPACE]`. */
export function gatewayCommand(word: 'gateway' | 'waypoint'): CommandDefinition {
  return {
    description: `Shows whether a ${word} works: conditions, addresses, listeners, instances, who uses it, the policies it enforces, and what is wrong.`,
    args: [{ name: '<name>', description: 'NAME[.NAMESPACE]', completes: word }],
    options: [failOnOption],
    examples: [`meshctl describe ${word} ${word}.shop`, `meshctl describe ${word} ${word} -n shop -o json`],
    permissions: descriptionPermissions,
    run: async ({ args, options, kube, meshNamespace, progress }) => {
      const { client, namespace } = await kube();
      const [name, own] = splitReference(args[0] ?? '');
      const at = await referredByName(client, { resource: gateways, namespace: own ?? namespace, name });
      if (at.note !== undefined) progress.info(at.note);
      const report = await describeGateway(new MeshObserver(client, meshNamespace), {
        ...at,
        now: Date.now(),
      });
      return {
        kind: 'GatewayDescription',
        data: { ...report },
        text: (view) => render(report, view),
        exitCode: exitCodeOfFindings(
          report.findings.map(({ severity }) => severity),
          options.text('fail-on') ?? 'error',
        ),
      };
    },
  };
}

function render(report: GatewayDescription, view: TextView): string {
  const { style } = view;
  const { users, policies } = report;
  const blocks = [
    verdictLine(`Gateway ${report.namespace}/${report.name}`, report, view),
    findingsText(report.findings, view),
    view.facts([
      ['Class', `${report.className}, for ${report.trafficType} traffic`],
      ['Addresses', report.addresses.join(', ') || 'none'],
      ['Used by', users === undefined ? 'unknown: not all of it may be seen' : users.join(', ') || 'nobody'],
      [
        'Policies',
        policies === undefined
          ? 'unknown: no ready instance could be asked'
          : policies.map((p) => `${p.action} ${p.namespace}/${p.name}`).join(', ') || 'none',
      ],
      ...report.listeners.map(
        (listener, index) =>
          [
            index === 0 ? 'Listeners' : '',
            `${listener.name}: ${listener.protocol} ${listener.port}${listener.attachedRoutes === 0 ? '' : `, ${counted(listener.attachedRoutes, 'route')}`}`,
          ] as const,
      ),
      ...report.conditions.map(
        (condition, index) =>
          [
            index === 0 ? 'Conditions' : '',
            `${condition.type} ${condition.status}${condition.reason === undefined ? '' : ` (${condition.reason})`}`,
          ] as const,
      ),
    ]),
    report.instances.length === 0
      ? 'no instances'
      : `${style.bold('Instances')}\n${view.table({
          head: ['POD', 'NODE', 'READY', 'WHY'],
          rows: report.instances.map((i) => [i.pod, i.node, i.isReady ? 'yes' : 'NO', i.trouble[0] ?? '']),
          indent: 2,
        })}`,
  ];
  return blocks.filter((block) => block !== '').join('\n\n');
}
