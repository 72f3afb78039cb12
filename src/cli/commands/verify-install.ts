import { counted } from '#base/collections/counted.js';
import type { Check } from '#mesh/install/verify/check.js';
import { type Verification, verifyInstallation } from '#mesh/install/verify/verify.js';
import type { Finding } from '#mesh/inspect/findings/finding.js';
import { foldFindings } from '#mesh/inspect/findings/fold.js';
import { MeshObserver } from '#mesh/inspect/mesh-observer.js';
import { probeMesh } from '#mesh/inspect/probe/probe-mesh.js';
import { type CommandDefinition, failOnOption, type Style, type TextView } from '../command.js';
import { exitCodeOfFindings } from '../exit-code.js';
import { findingDocuments } from '../finding-document.js';
import { findingsText } from '../finding-text.js';
import { junitReport } from '../junit.js';
import type { Progress } from '../progress.js';
import { comparisonPermissions, meshPermissions } from '../permissions.js';

/** `meshctl verify-install`: exit 1 when a check fails. */
export const command: CommandDefinition = {
  description:
    'Compares the cluster with what was installed: every object, every component, every node with its pods and certificates, every waypoint. Changes nothing. With --probe it also makes real connections, between enrolled pods that are there, through every waypoint and to the controller; no request is sent to applications. Exit code 1 when a check fails.',
  options: [
    {
      flags: '--probe',
      description:
        'make one real mTLS connection per pair of nodes (with more than five: a ring, and all to one) and waypoint, and TLS to the controller',
    },
    failOnOption,
  ],
  formats: ['table', 'wide', 'json', 'yaml', 'junit'],
  examples: [
    'meshctl verify-install',
    'meshctl verify-install --probe',
    'meshctl verify-install -o junit > report.xml',
  ],
  permissions: [
    ...comparisonPermissions,
    {
      verbs: ['list'],
      resource: 'customresourcedefinitions',
      group: 'apiextensions.k8s.io',
      in: 'cluster',
      why: 'see whether they are served',
    },
    ...meshPermissions,
  ],
  run: async ({ options, kube, meshNamespace, signal, progress }) => {
    const { client } = await kube();
    const installed = await verifyInstallation({ client, namespace: meshNamespace, signal, now: Date.now() });
    const found = options.flag('probe')
      ? await withProbes(installed, new MeshObserver(client, meshNamespace), progress)
      : installed;
    const failed = found.checks.filter((c) => c.finding !== undefined);
    const checks = found.checks.map(({ finding, ...c }) => ({
      ...c,
      passed: finding === undefined,
      ...(finding === undefined ? {} : { finding }),
    }));
    return {
      kind: 'Verification',
      data: {
        version: found.version,
        profile: found.profile,
        namespace: found.namespace,
        summary: { passed: checks.length - failed.length, failed: failed.length },
        checks,
        findings: findingDocuments(found.findings),
      },
      text: (view) => renderVerification(found, view),
      formats: { junit: () => junit(found) },
      exitCode: exitCodeOfFindings(
        found.findings.map(({ severity }) => severity),
        options.text('fail-on') ?? 'error',
      ),
    };
  },
};

/** A verification with real connections besides. */
async function withProbes(
  found: Verification,
  observer: MeshObserver,
  progress: Pick<Progress, 'info'>,
): Promise<Verification> {
  const { probes, notes } = await probeMesh(observer);
  for (const note of notes) progress.info(note);
  const checks = probes.map((probe) => ({ area: 'probe', ...probe }));
  return {
    ...found,
    checks: [...found.checks, ...checks],
    findings: foldFindings([...found.findings, ...checks.flatMap(({ finding }) => finding ?? [])]),
  };
}

/** A verification for people: verdict, areas, findings. */
export function renderVerification(
  { version, profile, namespace, checks, findings }: Verification,
  view: TextView,
): string {
  const { style } = view;
  const lines = [
    verdict(findings, checks, style),
    `Installation ${version}, profile ${profile}, in ${namespace}`,
  ];
  for (const area of new Set(checks.map((c) => c.area))) {
    const own = checks.filter((c) => c.area === area);
    const failed = own.filter((c) => c.finding !== undefined);
    const passed = own.length - failed.length;
    if (view.wide) {
      for (const c of own.filter((o) => o.finding === undefined)) {
        lines.push(`${style.good('✔')} ${c.subject} ${c.fact}`);
      }
    }
    const mark =
      failed.length === 0 ? style.good('✔') : failed.some(isError) ? style.bad('✘') : style.warn('!');
    lines.push(`${mark} ${titles[area] ?? area}: ${passed} of ${own.length} passed`);
  }
  if (findings.length > 0) lines.push('', findingsText(findings, view));
  return lines.join('\n');
}

/** The first line: whether the mesh is fine, and if not, the first cause. */
function verdict(findings: readonly Finding[], checks: readonly Check[], style: Style): string {
  const passed = `${checks.filter(({ finding }) => finding === undefined).length} of ${counted(checks.length, 'check')} passed`;
  const [first] = findings;
  if (first === undefined || first.severity === 'info') return style.good(`The mesh is fine: ${passed}.`);
  const count = (severity: Finding['severity']): number =>
    findings.filter((finding) => finding.severity === severity).length;
  const [errors, warnings] = [count('error'), count('warning')];
  const counts = [
    ...(errors === 0 ? [] : [counted(errors, 'error')]),
    ...(warnings === 0 ? [] : [counted(warnings, 'warning')]),
  ].join(', ');
  return errors === 0
    ? style.warn(`The mesh works, with ${counts}: ${passed}.`)
    : style.bad(`The mesh is not fine: ${counts}; ${passed}.`);
}

/** Whether the check fails; a warning does not make it. */
function isError({ finding }: Check): boolean {
  return finding?.severity === 'error';
}

const titles: Readonly<Record<string, string>> = {
  installation: 'Installation',
  object: 'Objects, as installed',
  rollout: 'Components, rolled out',
  crd: 'Custom resource definitions, established',
  controller: 'Controller, ready',
  node: 'Nodes, served',
  pod: 'Enrolled pods, captured and certified',
  trust: 'Proxies, trusting each other',
  options: 'Mesh options, current in every component',
  honored: 'Configuration, acted on',
  waypoint: 'Waypoints, ready',
  probe: 'Real connections, made and encrypted',
};

function junit({ checks }: Verification): string {
  return junitReport(
    'meshctl verify-install',
    checks.map((c) => ({
      group: c.area,
      name: `${c.subject} ${c.fact}`,
      ...(c.finding === undefined || !isError(c)
        ? {}
        : { failure: { type: c.finding.code, message: c.finding.message } }),
    })),
  );
}
