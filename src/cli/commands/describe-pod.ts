import { counted } from '#base/collections/counted.js';
import { MeshObserver } from '#mesh/inspect/mesh-observer.js';
import type { EffectiveMtls, ObservedMtls } from '#mesh/inspect/mtls-report.js';
import type { WaypointUse } from '#mesh/inspect/waypoint-bindings.js';
import { describePod, type PodDescription } from '#mesh/inspect/pod/pod-report.js';
import { describeAll } from '#mesh/inspect/pod/pod-group.js';
import { referredPod } from '#mesh/inspect/references.js';
import { MeshError } from '#base/errors/mesh-error.js';
import { pods } from '#base/kube/resource.js';
import type { Pod } from '#base/kube/types.js';
import type { CommandDefinition, CommandResult, TextView } from '../command.js';
import type { CommandContext } from '../context.js';
import { failOnOption } from '../command.js';
import { exitCodeOfFindings } from '../exit-code.js';
import { loadedText } from '../description-text.js';
import { findingsText } from '../finding-text.js';
import { descriptionPermissions } from '../permissions.js';

/** `meshctl describe pod NAME[.NAMESPACE]`. */
export const command: CommandDefinition = {
  description:
    'Shows how a pod stands to the mesh: what labels and policies ask for, what is observed on its node (redirection, listeners, certificate, live connections), and where the two differ.',
  args: [
    {
      name: '[pod]',
      description:
        'NAME[.NAMESPACE], the beginning of a name, or KIND/NAME of what has pods (deploy/web, svc/web)',
    },
  ],
  options: [
    failOnOption,
    { flags: '-l, --selector <labels>', description: 'all pods with these labels instead, such as app=web' },
  ],
  examples: [
    'meshctl describe pod frontend-7d9f.shop',
    'meshctl describe deploy/frontend -n shop',
    'meshctl x describe pod frontend-7d9f -n shop -o json',
  ],
  permissions: descriptionPermissions,
  run: async (context) => {
    const { options, kube, meshNamespace } = context;
    const { client, namespace } = await kube();
    const observer = new MeshObserver(client, meshNamespace);
    const failOn = options.text('fail-on') ?? 'error';
    const selector = options.text('selector');
    const [reference] = context.args;
    if ((selector === undefined) === (reference === undefined)) {
      throw new MeshError('MESH0102', 'name a pod, or give labels with -l');
    }
    if (selector !== undefined) return describeSelected(context, { observer, selector, namespace, failOn });
    const at = await referredPod(client, { reference: reference ?? '', namespace });
    if (at.note !== undefined) context.progress.info(at.note);
    const report = await describePod(observer, { ...at, now: Date.now() });
    return {
      kind: 'PodDescription',
      data: { ...report },
      text: (view) => renderPodDescription(report, view),
      exitCode: exitCodeOfFindings(
        report.findings.map(({ severity }) => severity),
        failOn,
      ),
    };
  },
};

/** All pods of a namespace with labels, one after the other. */
async function describeSelected(
  { progress }: CommandContext,
  of: {
    readonly observer: MeshObserver;
    readonly selector: string;
    readonly namespace: string;
    readonly failOn: string;
  },
): Promise<CommandResult> {
  const { observer, selector, namespace } = of;
  const members = await observer.client.list<Pod>(pods, { namespace, labelSelector: selector });
  if (members.length === 0) {
    throw new MeshError('MESH0204', `no pod of namespace ${namespace} has ${selector}`);
  }
  const group = await describeAll(observer, members, Date.now());
  if (group.omittedCount > 0) progress.warn(`not looked at: ${counted(group.omittedCount, 'more pod')}`);
  return {
    kind: 'PodDescriptionList',
    data: { items: group.pods, omittedCount: group.omittedCount },
    text: (view) => group.pods.map((report) => renderPodDescription(report, view)).join('\n\n'),
    exitCode: exitCodeOfFindings(
      group.pods.flatMap(({ findings }) => findings.map(({ severity }) => severity)),
      of.failOn,
    ),
  };
}

/** A pod for people: verdict, findings, facts, what applies to it and what it talks to. */
export function renderPodDescription(report: PodDescription, view: TextView): string {
  const { pod, observed, certificate, mtls } = report;
  const { style } = view;
  const facts: (readonly [string, string])[] = [
    [
      'Pod',
      `${pod.phase}, ${pod.isReady ? 'ready' : 'not ready'}, on ${pod.node || 'no node'}, ${pod.ips.join(', ') || 'no address'}`,
    ],
    ['Observed', report.observation],
    ['Intent', report.intent.isEnrolled ? `enrolled by ${report.intent.reason}` : report.intent.reason],
    ['Capture', captureText(report)],
    [
      'Proxy',
      observed.ztunnel === undefined
        ? style.bad(`unknown: ${observed.ztunnelUnknown}`)
        : `${observed.ztunnel}, workload ${observed.ztunnelState ?? 'not handed over'}`,
    ],
    ['Identity', report.identity],
    ['Certificate', certificateText(certificate)],
    ['Policy mode', modeText(mtls, observed.mtls)],
  ];
  if (!report.intent.isEnrolled) facts.splice(4, 4);
  if (report.waypoint !== undefined) facts.push(['Waypoint', waypointText(report.waypoint, view)]);
  const lines = [
    view.prose(`Pod ${pod.namespace}/${pod.name}: ${report.summary}`),
    ...(report.findings.length === 0 ? [] : ['', findingsText(report.findings, view)]),
    '',
  ];
  lines[0] = color(report, lines[0] ?? '', view);
  // Of a pod without a network, and of one of the mesh itself, the rest would say nothing.
  if (report.notStarted !== undefined || report.role !== undefined) {
    return [...lines, view.facts(facts.slice(0, 1))].join('\n');
  }
  lines.push(view.facts(facts));
  if (report.services.length > 0) {
    lines.push('', style.bold('Services'));
    for (const s of report.services) {
      const waypoint = s.waypoint === undefined ? 'no waypoint' : waypointText(s.waypoint, view);
      lines.push(`  ${s.name}  ${s.address}:${s.ports.join(',')}  ${waypoint}`);
    }
  }
  if (report.policies.length > 0) {
    lines.push('', style.bold('Authorization policies'));
    const rows = report.policies.map((p) => [
      `  ${p.action}`,
      `${p.namespace}/${p.name}`,
      p.enforcedBy,
      loadedText(p),
    ]);
    lines.push(view.table({ head: ['  ACTION', 'POLICY', 'ENFORCED BY', 'LOADED THERE'], rows }));
  }
  if (report.connections.length > 0) {
    lines.push('', style.bold('Live connections'));
    const rows = report.connections.map((c) => [
      `  ${c.direction}`,
      c.remoteName ?? c.remote,
      c.target,
      c.evidence,
      c.peer ?? '',
    ]);
    lines.push(
      view.table({ head: ['  DIRECTION', 'REMOTE', 'TARGET', 'SEEN ON THE WIRE', 'PEER IDENTITY'], rows }),
    );
  }
  return lines.join('\n');
}

function color(report: PodDescription, text: string, { style }: TextView): string {
  switch (report.verdict) {
    case 'mtls':
    case 'ready':
      return style.good(text);
    case 'plaintext':
    case 'unknown':
      return style.warn(text);
    case 'broken':
      return style.bad(text);
    case 'mesh-component':
      return style.good(text);
    case 'pending':
      return style.warn(text);
    case 'not-in-mesh':
      return style.dim(text);
  }
}

function captureText({ observed }: PodDescription): string {
  const capture = observed.capture;
  const annotation = `annotation ${observed.annotation ?? 'absent'}`;
  if (capture === undefined)
    return `not observed: ${observed.captureUnknown ?? 'the CNI agent does not report this pod'}; ${annotation}`;
  const listening = Object.entries(capture.listeners)
    .filter(([, isOpen]) => isOpen)
    .map(([port]) => port);
  const rules = capture.rules.ok
    ? 'redirection rules in place'
    : `${capture.rules.missing.length} redirection rules missing`;
  const ports = listening.length === 0 ? 'no proxy listener' : `proxy listens on ${listening.join(', ')}`;
  return `${rules}, ${ports} (seen in the pod's network namespace); ${annotation}`;
}

function certificateText(certificate: PodDescription['certificate']): string {
  if (certificate === undefined) return 'unknown: the node proxy could not be asked';
  if (certificate.notAfter === undefined) return certificate.state;
  const hours = (certificate.secondsLeft ?? 0) / 3600;
  const left = hours > 0 ? `${hours.toFixed(1)} h left` : 'EXPIRED';
  return `${certificate.state}, serial ${certificate.serial}, until ${certificate.notAfter} (${left})`;
}

/** What is asked for, and beside it what the node proxy enforces. */
function modeText(asked: EffectiveMtls, enforced: ObservedMtls | undefined): string {
  const meaning =
    asked.mode === 'PERMISSIVE'
      ? 'callers outside the mesh are admitted in plaintext'
      : 'only mTLS is admitted';
  const seen =
    enforced === undefined
      ? 'what is enforced was not observed'
      : `enforced: ${enforced.mode}${portsText(enforced.ports)}`;
  return `${asked.mode} (${asked.source}): ${meaning}${portsText(asked.ports)}; ${seen}`;
}

function waypointText({ namespace, name, isUsed, isReady, why }: WaypointUse, { style }: TextView): string {
  const waypoint = `waypoint ${namespace}/${name}`;
  if (!isUsed) return `${waypoint} ${style.bad(`not used: ${why}`)}`;
  return `${waypoint} ${isReady ? style.good('ready') : style.bad(`not ready: ${why}`)}`;
}

function portsText(ports: Readonly<Record<string, string>>): string {
  const exceptions = Object.entries(ports).map(([port, mode]) => `${port}: ${mode}`);
  return exceptions.length === 0 ? '' : `, by port ${exceptions.join(', ')}`;
}
