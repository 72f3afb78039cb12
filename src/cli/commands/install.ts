import { counted } from '#base/collections/counted.js';
import { nameOf } from '#mesh/install/apply/plan-changes.js';
import { applyPlan, type InstallPlan, isNoop, planInstallation } from '#mesh/install/installer.js';
import { imagesFor, pinImages, withPins } from '#mesh/install/images/pin-images.js';
import type { ValuesRequest } from '#mesh/install/values/effective.js';
import { clientVersion } from '../client-version.js';
import { type CommandDefinition, type TextView, yesOption } from '../command.js';
import type { CommandContext } from '../context.js';
import { formatDuration } from '../duration.js';
import { registryOptions, withOrigin } from './images-options.js';
import { valuesOptions, valuesRequestOf, warnOf } from './install-options.js';
import { readinessPermissions, installPermissions } from '../permissions.js';

export const command: CommandDefinition = {
  description:
    'Installs the mesh, or brings an installation to what the flags say. Detects the platform, checks permissions and conflicts before it writes, waits until every component is ready. Running it again changes nothing. It is declarative: a value that an earlier install was given, and that is not given again, goes back to the default of the profile; each is told before.',
  options: [
    ...valuesOptions,
    {
      flags: '--pin-images',
      description: 'ask the registry for the digest of each image, and install exactly these',
    },
    ...registryOptions,
    { flags: '--dry-run', description: 'show what would change, as the API server sees it; change nothing' },
    { flags: '--no-wait', description: 'do not wait for readiness' },
    { flags: '--force', description: 'take over fields that other tools own' },
    { flags: '--verify', description: 'accepted; use "meshctl verify-install"', hidden: true },
    { ...yesOption, description: 'accepted for scripts: install never asks', hidden: true },
  ],
  examples: [
    'meshctl install --profile ambient',
    'meshctl install --set profile=ambient --skip-confirmation --set meshConfig.waypointFailurePolicy=open',
    'meshctl install --hub registry.example.com/mesh --pin-images --set values.global.imagePullSecrets={registry}',
    'meshctl install -f values.yaml --dry-run -o json',
  ],
  timeoutMs: 300_000,
  permissions: [...installPermissions, ...readinessPermissions],
  run: async (context) => {
    const { options, progress, signal } = context;
    const startedAt = performance.now();
    const { client } = await context.kube();
    const force = options.flag('force');
    const isDryRun = options.flag('dry-run');
    const plan = await planInstallation({
      client,
      namespace: context.meshNamespace,
      values: options.flag('pin-images') ? await pinnedRequest(context) : valuesRequestOf(options),
      clientVersion,
      force,
      signal,
    });
    for (const line of inferences(plan)) progress.info(line);
    for (const { code, message } of plan.obstacles) progress.warn(`${code} ${message}`);
    for (const { path, before, after } of plan.reverts) {
      progress.warn(`reverts: ${path} from ${short(before)} to ${short(after)} (--set ${path}=... keeps it)`);
    }
    if (isDryRun && plan.preparation !== undefined) progress.info(plan.preparation.why);
    warnOf(plan.effective.findings, progress);
    if (!isDryRun) {
      await applyPlan(plan, {
        client,
        clientVersion,
        timeoutMs: options.flag('wait')
          ? Math.max(context.timeoutMs - (performance.now() - startedAt), 0)
          : undefined,
        signal,
        reporter: progress,
      });
    }
    const items = [
      ...plan.changes.map((c) => ({
        object: nameOf(c.planned.object),
        component: c.planned.component,
        action: c.action,
        ...(c.note === undefined ? {} : { note: c.note }),
        ...(c.changes.length === 0 ? {} : { fields: c.changes }),
      })),
      ...plan.prune.map((o) => ({ object: nameOf(o), component: '', action: 'delete' })),
    ];
    const elapsed = formatDuration(performance.now() - startedAt);
    return {
      kind: 'Installation',
      data: {
        isDryRun,
        profile: plan.effective.profile,
        version: clientVersion,
        namespace: plan.namespace,
        platform: plan.effective.platform,
        kubernetesVersion: plan.cluster.version,
        findings: [...plan.obstacles, ...plan.effective.findings],
        reverts: plan.reverts.map(({ path, before, after }) => ({ path, before, after: after ?? null })),
        objects: items,
      },
      text: (view) => (isDryRun ? dryRunText(view, items, isNoop(plan)) : doneText(plan, { elapsed, view })),
    };
  },
};

/** The values with the digests that the registry has now. */
async function pinnedRequest(context: CommandContext): Promise<ValuesRequest> {
  const request = valuesRequestOf(context.options);
  const images = await withOrigin(context, ({ origin }) =>
    pinImages(imagesFor(request, clientVersion), origin, clientVersion),
  );
  for (const { component, digest } of images) context.progress.info(`${component}: ${digest}`);
  return withPins(request, images);
}

function inferences(plan: InstallPlan): string[] {
  const { cluster, effective } = plan;
  const platform = effective.platform === '' ? 'plain Kubernetes' : effective.platform;
  const lines = [
    `Cluster: ${cluster.version}, ${counted(cluster.nodeCount, 'node')}, ${platform} (${cluster.platformReason})`,
  ];
  const kept = plan.changes.filter((c) => c.action === 'keep');
  const lacking = plan.changes.filter((c) => c.note?.includes('does not serve'));
  const crds = kept.filter((c) => c.planned.object.kind === 'CustomResourceDefinition').length;
  if (crds > 0) lines.push(`${crds} custom resource definitions are installed already and left alone`);
  const released = plan.changes.filter((c) => c.action === 'release').length;
  if (released > 0) {
    lines.push(
      `${released} custom resource definitions were replaced since and no longer belong to the mesh`,
    );
  }
  for (const change of lacking) lines.push(`! ${nameOf(change.planned.object)}: ${change.note}`);
  return lines;
}

interface Item {
  readonly object: string;
  readonly action: string;
  readonly note?: string;
  readonly fields?: readonly { path: string; before: unknown; after: unknown }[];
}

function dryRunText(view: TextView, items: readonly Item[], isUnchanged: boolean): string {
  if (isUnchanged) return 'Nothing would change.';
  const shown = items.filter((i) => i.action !== 'unchanged' || view.wide);
  const lines = shown.flatMap((i) => [
    view.prose(`${i.action.padEnd(9)} ${i.object}${i.note === undefined ? '' : ` (${i.note})`}`, {
      hanging: 12,
    }),
    ...(i.fields ?? []).map((f) =>
      view.prose(`${f.path}: ${short(f.before)} -> ${short(f.after)}`, { indent: 12, hanging: 14 }),
    ),
  ]);
  const unchanged = items.filter((i) => i.action === 'unchanged').length;
  return [
    ...lines,
    `Dry run: nothing was changed${unchanged > 0 ? `; up to date: ${counted(unchanged, 'object')}` : ''}.`,
  ].join('\n');
}

function short(value: unknown): string {
  if (value === undefined) return '(absent)';
  const textMaxChars = 60;
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > textMaxChars ? `${text.slice(0, textMaxChars)}...` : text;
}

function doneText(plan: InstallPlan, { elapsed, view }: { elapsed: string; view: TextView }): string {
  const { profile } = plan.effective;
  if (isNoop(plan)) return `Unchanged: profile ${profile} is installed in ${plan.namespace}.`;
  return [
    `Installed profile ${profile} in ${plan.namespace} in ${elapsed}.`,
    ...(profile === 'ambient' ? ['Next: meshctl enroll NAMESPACE --wait, then meshctl verify-install'] : []),
  ]
    .map((line) => view.prose(line, { hanging: 2 }))
    .join('\n');
}
