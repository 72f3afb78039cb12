import { counted } from '#base/collections/counted.js';
import { MeshObserver } from '#mesh/inspect/mesh-observer.js';
import { readInterruption } from '#mesh/install/verify/interruption.js';
import { type MeshStatus, meshStatus, type NodeComponent } from '#mesh/inspect/status/mesh-status.js';
import type { RefusedCalls } from '#mesh/inspect/status/refused-calls.js';
import { agoText } from '#mesh/inspect/runtime/node-findings.js';
import { flattenFindings } from '#mesh/inspect/findings/fold.js';
import { waypointShortfall } from '#mesh/inspect/waypoint-report.js';
import { pause } from '#base/system/until.js';
import { type CommandContext, type KubeConnection } from '../context.js';
import { type CommandDefinition, type CommandResult, failOnOption, type TextView } from '../command.js';
import { exitCodeOfFindings } from '../exit-code.js';
import { findingDocuments } from '../finding-document.js';
import { findingsText } from '../finding-text.js';
import { renderResult } from '../output.js';
import { meshPermissions } from '../permissions.js';

/** Between two looks of `--watch`, in milliseconds. */
const watchIntervalMs = 2_000;

/** Findings shown below the tables; `meshctl verify-install` shows all. */
const findingsMax = 10;

/** Pairs of callers and called that are shown of refused connections. */
const refusedCallsMax = 5;

/** `meshctl status`: exit 1 when something is broken. */
export const command: CommandDefinition = {
  description:
    'The whole mesh on one screen: components and pods of each node, waypoints, certificates and roots, connections refused in the last five minutes, and what is wrong. Exit code 1 when something is.',
  options: [
    failOnOption,
    { flags: '-w, --watch', description: 'look again every two seconds, until interrupted' },
  ],
  examples: ['meshctl status', 'meshctl status --watch', 'meshctl status -o json | jq .findings'],
  permissions: meshPermissions,
  run: async (context) => {
    const connection = await context.kube();
    if (!context.options.flag('watch')) return look(context, connection);
    return watch(context, connection);
  },
};

async function look(context: CommandContext, { client }: KubeConnection): Promise<CommandResult> {
  // What was seen a moment ago is not asked again within a look, and is with the next.
  const { meshNamespace } = context;
  const interruption = await readInterruption(client, meshNamespace);
  const status = await meshStatus(new MeshObserver(client, meshNamespace), { now: Date.now(), interruption });
  return {
    kind: 'MeshStatus',
    data: { ...status, findings: findingDocuments(status.findings) },
    text: (view) => renderMeshStatus(status, view),
    exitCode: exitCodeOfFindings(
      status.findings.map(({ severity }) => severity),
      context.options.text('fail-on') ?? 'error',
    ),
  };
}

/** Draws over the last look on a terminal; elsewhere one look follows the other. Ends with the signal, and with the exit code of the last look. */
async function watch(context: CommandContext, connection: KubeConnection): Promise<number> {
  let exitCode = 0;
  const { io, signal } = context;
  while (!signal.aborted) {
    const result = await look(context, connection);
    exitCode = result.exitCode ?? 0;
    const text = await renderResult(io, result, {
      format: context.output,
      isColorAllowed: context.options.flag('color'),
    });
    context.write(io.isStdoutTty ? `\u001b[H\u001b[2J${text}` : text);
    await pause(watchIntervalMs, signal);
  }
  return exitCode;
}

/** The mesh on one screen. */
export function renderMeshStatus(status: MeshStatus, view: TextView): string {
  const { style } = view;
  const lines = [verdict(status, view), ''];
  if (status.nodes.length > 0) {
    lines.push(
      view.table({
        head: ['NODE', 'READY', 'ZTUNNEL', 'CNI', 'PODS IN MESH', 'CAPTURED'],
        optional: ['READY'],
        rows: status.nodes.map(({ name, isReady, ztunnel, cni, pods }) => [
          name,
          isReady ? 'yes' : 'NO',
          componentText(ztunnel),
          componentText(cni),
          String(pods.enrolled),
          `${pods.captured}${pods.starting === 0 ? '' : ` (${pods.starting} starting)`}`,
        ]),
      }),
      '',
    );
  }
  if (status.waypoints.length > 0) {
    lines.push(
      view.table({
        head: ['WAYPOINT', 'FOR', 'STATE', 'PODS', 'USED BY'],
        optional: ['FOR', 'PODS'],
        rows: status.waypoints.map((w) => [
          `${w.namespace}/${w.name}`,
          w.trafficType,
          waypointShortfall(w) === undefined ? 'ready' : 'NOT READY',
          `${w.pods.ready}/${w.pods.total}`,
          w.users.join(', ') || 'nobody',
        ]),
      }),
      '',
    );
  }
  lines.push(certificateLines(status, view));
  if (status.refusedCalls.length > 0) lines.push('', refusedCallsText(status.refusedCalls, view));
  const shown = status.findings.slice(0, findingsMax);
  if (shown.length > 0) lines.push('', findingsText(shown, view));
  const more = status.findings.length - shown.length;
  if (more > 0) lines.push(style.dim(`${counted(more, 'more finding')}: meshctl verify-install`));
  return lines.join('\n');
}

function verdict({ controllers, namespace, findings, nodes }: MeshStatus, view: TextView): string {
  const { style } = view;
  const [first] = controllers;
  const version = first === undefined ? 'no controller' : `controller ${first.version}`;
  const enrolled = nodes.reduce((sum, { pods }) => sum + pods.enrolled, 0);
  const captured = nodes.reduce((sum, { pods }) => sum + pods.captured, 0);
  const where = `mesh in ${namespace}: ${version}, ${captured} of ${counted(enrolled, 'pod')} captured on ${counted(nodes.length, 'node')}`;
  const errors = findings.filter(({ severity }) => severity === 'error').length;
  const warnings = findings.filter(({ severity }) => severity === 'warning').length;
  if (errors > 0) {
    const follow = flattenFindings(findings).length - findings.length;
    const folded =
      follow === 0
        ? ''
        : ` (${follow} more ${follow === 1 ? 'follows' : 'follow'} from ${errors === 1 ? 'it' : 'them'})`;
    return style.bad(view.prose(`NOT FINE: ${counted(errors, 'error')}${folded}; ${where}`));
  }
  if (warnings > 0) return style.warn(view.prose(`FINE, with ${counted(warnings, 'warning')}; ${where}`));
  return style.good(view.prose(`FINE; ${where}`));
}

function componentText(component: NodeComponent | undefined): string {
  if (component === undefined) return 'MISSING';
  return component.isReady ? component.version : `${component.version} NOT READY`;
}

/** Who was refused of late, where and why. */
function refusedCallsText(calls: readonly RefusedCalls[], view: TextView): string {
  const total = calls.reduce((sum, { count }) => sum + count, 0);
  const more = calls.length - refusedCallsMax;
  return [
    `${counted(total, 'connection')} refused or failed lately:`,
    ...calls.slice(0, refusedCallsMax).map(({ from, to, count, last, reason }) => {
      const often = `${counted(count, 'time')}, the last ${agoText(Date.now() - Date.parse(last))} ago`;
      return view.prose(`${from} -> ${to}: ${reason} (${often})`, { indent: 2, hanging: 4 });
    }),
    ...(more > 0 ? [view.style.dim(`${counted(more, 'more pair')}: meshctl status -o json`)] : []),
  ].join('\n');
}

function certificateLines({ certificates }: MeshStatus, view: TextView): string {
  const { count, validCount, firstExpiry, roots } = certificates;
  const expiry =
    firstExpiry === undefined ? '' : `, the first ends in ${agoText(Date.parse(firstExpiry) - Date.now())}`;
  return view.facts([
    ['certificates', `${validCount} of ${count} valid${expiry}`],
    ...roots.map(
      ({ subject, fingerprint, notAfter, proxyCount }) =>
        [
          'root',
          `${subject} (${fingerprint.slice(0, 16)}) until ${notAfter.slice(0, 10)}, trusted by ${counted(proxyCount, 'proxy')}`,
        ] as const,
    ),
  ]);
}
