import { pods } from '#base/kube/resource.js';
import type { Pod } from '#base/kube/types.js';
import { MeshObserver } from '#mesh/inspect/mesh-observer.js';
import { type ProbeHop, type ProbeReport, reportProbe } from '#mesh/inspect/probe/probe-report.js';
import { resolveProbeSource } from '#mesh/inspect/probe/probe-source.js';
import { resolveProbeTarget } from '#mesh/inspect/probe/probe-target.js';
import { runProbe } from '#mesh/inspect/probe/run-probe.js';
import type { CommandDefinition, TextView } from '../command.js';
import { findingDocuments } from '../finding-document.js';
import { findingsText } from '../finding-text.js';
import { componentPermissions, gatewayPermissions } from '../permissions.js';

/** HBONE gives up connecting after ten seconds; a probe waits a little longer, to be told so. */
const waitMaxMs = 13_000;

/** `meshctl probe FROM TO[:PORT]`. */
export const command: CommandDefinition = {
  description:
    'Opens a real connection from inside the network namespace of a pod, as its application would, and shows what every proxy in the way saw of it: captured or not, HBONE, who each side proved to be, cipher, waypoint, policy, latency, and where it broke. Ports declared as HTTP get one GET with the user agent meshctl-probe. Needs no tools in the pod and leaves nothing behind. The connection is opened by the CNI agent of the node: whoever may port-forward into the namespace of the mesh may probe from every pod. Exit code 1 when the connection is not made, or is in plaintext between pods of the mesh.',
  args: [
    {
      name: '<from>',
      description:
        'NAME[.NAMESPACE] of a pod, or KIND/NAME of what has pods (deploy/web, svc/web, sa/web): a ready pod of it',
      completes: 'pod',
    },
    {
      name: '<to>',
      description:
        'Service NAME[.NAMESPACE][:PORT], pod/NAME[.NAMESPACE][:PORT], or outside of the mesh IP:PORT or HOST:PORT',
      completes: 'service',
    },
  ],
  options: [
    {
      flags: '--protocol <protocol>',
      description: 'send a GET: auto as the port is declared, http in any case, tcp never',
      choices: ['auto', 'http', 'tcp'],
      defaultValue: 'auto',
    },
    { flags: '--path <path>', description: 'path of the GET', defaultValue: '/' },
  ],
  examples: [
    'meshctl probe deploy/frontend backend:8080 -n shop',
    'meshctl probe frontend-7d9f.shop pod/backend-5c4d.shop:8080 -o json',
    'meshctl probe deploy/frontend example.com:443',
  ],
  permissions: [
    ...componentPermissions,
    ...gatewayPermissions,
    { verbs: ['get', 'list'], resource: 'pods', in: 'namespace', why: 'find the pods of both sides' },
    { verbs: ['get'], resource: 'services', in: 'namespace', why: 'find the target' },
    { verbs: ['get'], resource: 'pods/log', in: 'mesh namespace', why: 'quote why a proxy refused it' },
  ],
  run: async ({ args, options, kube, meshNamespace, progress, timeoutMs }) => {
    const { client, namespace } = await kube();
    const observer = new MeshObserver(client, meshNamespace);
    const [source, target] = await Promise.all([
      resolveProbeSource(client, { reference: args[0] ?? '', namespace }),
      resolveProbeTarget(client, { to: args[1] ?? '', namespace }),
    ]);
    for (const note of [source.note, target.note]) if (note !== undefined) progress.info(note);
    const from = await client.get<Pod>({ resource: pods, namespace: source.namespace, name: source.name });
    const protocol = options.text('protocol');
    const evidence = await runProbe(observer, {
      from,
      target,
      protocol: protocol === 'http' || protocol === 'tcp' ? protocol : 'auto',
      path: options.text('path') ?? '/',
      waitMs: Math.min(timeoutMs, waitMaxMs),
    });
    const report = reportProbe(evidence);
    return {
      kind: 'Probe',
      data: { ...report, findings: findingDocuments(report.findings) },
      text: (view) => render(report, view),
      exitCode: report.findings.length === 0 ? 0 : 1,
    };
  },
};

const marks = { ok: '✔', broken: '✘', unknown: '?' } as const;
const paints = { ok: 'good', broken: 'bad', unknown: 'warn' } as const;

function render(report: ProbeReport, view: TextView): string {
  const { style } = view;
  const [cause] = report.findings;
  const first = view.prose(report.summary);
  const blocks = [
    cause === undefined ? (report.isEncrypted ? style.good(first) : style.warn(first)) : style.bad(first),
    report.hops.map((hop) => hopText(hop, view)).join('\n'),
    ...(report.policy?.isAllowed !== true
      ? []
      : [view.prose(`Policy: ${report.policy.by}: ${report.policy.reason}`)]),
    ...(report.findings.length === 0 ? [] : [findingsText(report.findings, view)]),
  ];
  return blocks.join('\n\n');
}

function hopText(hop: ProbeHop, view: TextView): string {
  const { style } = view;
  const latency = hop.latencyMs === undefined ? '' : ` (${hop.latencyMs} ms)`;
  const mark = marks[hop.state];
  const head = view.prose(`${mark} ${hop.name}: ${hop.detail}${latency}`, { hanging: 2 });
  const facts = [
    ...(hop.tls === undefined ? [] : [`${hop.tls.version}, ${hop.tls.cipher}`]),
    ...(hop.peer === undefined ? [] : [`peer proved ${hop.peer}`]),
  ];
  return [
    head.replace(mark, style[paints[hop.state]](mark)),
    ...facts.map((fact) => style.dim(view.prose(fact, { indent: 2, hanging: 4 }))),
  ].join('\n');
}
