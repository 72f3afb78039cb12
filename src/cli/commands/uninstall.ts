import { counted } from '#base/collections/counted.js';
import { permissionsFor, requirePermissions } from '#mesh/install/cluster/permissions.js';
import { planUninstall, uninstall, type UninstallPlan } from '#mesh/install/uninstall/uninstall.js';
import { type CommandDefinition, yesOption } from '../command.js';
import { uninstallPermissions } from '../permissions.js';

/** `meshctl uninstall [--purge]`. */
export const command: CommandDefinition = {
  description:
    'Removes the mesh. Every node releases its pods first, so that they keep running and talking; then components and objects go. CRDs, your mesh configuration, the namespace and the certificate authority stay unless --purge.',
  options: [
    {
      flags: '--purge',
      description:
        'delete waypoints, CRDs with all mesh configuration, the namespace and the certificate authority too',
    },
    { flags: '--force', description: 'go on although a node could not be cleaned' },
    { flags: '--dry-run', description: 'show what would be removed and who depends on it' },
    yesOption,
  ],
  examples: ['meshctl uninstall', 'meshctl uninstall --purge --yes'],
  timeoutMs: 120_000,
  permissions: uninstallPermissions,
  run: async (context) => {
    const { options, meshNamespace: namespace, progress, signal } = context;
    const isPurge = options.flag('purge');
    const { client, context: cluster, server } = await context.kube();
    const plan = await planUninstall(client, { namespace, isPurge });
    for (const line of warnings(plan, isPurge)) progress.warn(line);
    if (options.flag('dry-run')) {
      const { dependents, removals, kept } = plan;
      return {
        kind: 'Uninstallation',
        data: { isDryRun: true, dependents, remove: removals, kept },
        text: () =>
          [
            ...removals.map((object) => `delete ${object}`),
            ...kept.map(({ object, why }) => `keep   ${object}: ${why}`),
            'Dry run: nothing was changed.',
          ].join('\n'),
      };
    }
    await requirePermissions(client, [
      ...permissionsFor(plan.inventory.objects, ['get', 'delete']),
      ...permissionsFor(plan.released, ['get', 'patch']),
    ]);
    const isConfirmed = await context.confirm(
      `Uninstall the mesh from namespace ${namespace} of cluster ${cluster} (${server})${isPurge ? ', with all of its configuration' : ''}?`,
    );
    if (!isConfirmed) {
      return {
        kind: 'Uninstallation',
        data: { isDryRun: false, isConfirmed: false, dependents: plan.dependents },
        exitCode: 1,
        text: () => 'Not uninstalled: nothing was changed.',
      };
    }
    const report = await uninstall(plan, {
      client,
      namespace,
      isPurge,
      isForced: options.flag('force'),
      timeoutMs: context.timeoutMs,
      deadlineMs: context.deadlineMs(),
      signal,
      reporter: progress,
    });
    const keptCrds = report.kept.filter((k) => k.object.startsWith('CustomResourceDefinition ')).length;
    const crds = keptCrds - plan.released.length;
    return {
      kind: 'Uninstallation',
      data: { isDryRun: false, dependents: plan.dependents, ...report },
      exitCode: report.left.length === 0 ? 0 : 1,
      text: (view) =>
        [
          ...(crds > 0
            ? [`Kept: ${crds} custom resource definitions and your configuration (--purge removes them)`]
            : []),
          ...(plan.released.length > 0
            ? [`Kept: ${plan.released.length} custom resource definitions that somebody else replaced`]
            : []),
          ...report.kept
            .filter((k) => !k.object.startsWith('CustomResourceDefinition '))
            .map((k) => view.prose(`Kept: ${k.object}: ${k.why}`, { hanging: 2 })),
          ...report.left.map((l) => view.style.bad(view.prose(`Left: ${l}`, { hanging: 2 }))),
          report.left.length === 0
            ? `Uninstalled: ${counted(report.removed.length, 'object')} removed, ${nodesText(report.nodes.length)}.`
            : `Uninstalled, but not all of it: ${counted(report.left.length, 'thing')} left.`,
        ].join('\n'),
    };
  },
};

function warnings(plan: UninstallPlan, isPurge: boolean): string[] {
  const { dependents } = plan;
  return [
    ...(dependents.pods.length > 0
      ? [
          `${counted(dependents.pods.length, 'pod')} in the mesh will lose mTLS and policy: traffic goes on in plaintext (namespaces: ${dependents.namespaces.join(', ') || 'none'})`,
        ]
      : []),
    ...(dependents.waypoints.length > 0
      ? [`waypoints stop enforcing L7 policy: ${dependents.waypoints.join(', ')}`]
      : []),
    ...(isPurge ? ['--purge deletes all policies, routes and other mesh configuration'] : []),
  ];
}

/** Claims nothing about nodes that nobody looked at. */
function nodesText(nodeCount: number): string {
  return nodeCount === 0
    ? 'no CNI agent ran, so no node was looked at'
    : `nothing of the mesh is left on ${counted(nodeCount, 'node')}`;
}
