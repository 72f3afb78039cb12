import { MeshError } from '#base/errors/mesh-error.js';
import { MeshObserver } from '#mesh/inspect/mesh-observer.js';
import type { WaypointReport } from '#mesh/inspect/waypoint-report.js';
import { assessWaypoints } from '#mesh/inspect/waypoint-assessment.js';
import type { CommandDefinition, TextView } from '../command.js';
import { findingDocuments } from '../finding-document.js';
import { findingsText } from '../finding-text.js';
import { controllerPermissions, waypointPermissions } from '../permissions.js';

/** `meshctl waypoint status [NAME]`: exit 1 when one is not ready. */
export const command: CommandDefinition = {
  description:
    'Shows whether waypoints are ready, and what is missing when they are not. Exit code 1 when one is not ready.',
  args: [{ name: '[name]', description: 'waypoint; default all of the namespace', completes: 'waypoint' }],
  examples: ['meshctl waypoint status -n shop', 'meshctl waypoint status waypoint -n shop -o json'],
  permissions: [...waypointPermissions, ...controllerPermissions],
  run: async ({ args, kube, meshNamespace, progress }) => {
    const { client, namespace } = await kube();
    const observer = new MeshObserver(client, meshNamespace);
    const { waypoints: items, findings } = await assessWaypoints(observer, { namespace, name: args[0] });
    if (items.length === 0) {
      throw new MeshError(
        'MESH0905',
        args[0] === undefined
          ? `namespace ${namespace} has no waypoint`
          : `namespace ${namespace} has no waypoint named ${args[0]}`,
      );
    }
    const [unseen] = items.flatMap(({ unseenUsers }) => unseenUsers);
    if (unseen !== undefined) progress.warn(`not seen: who else uses the waypoints (${unseen})`);
    return {
      kind: 'WaypointStatus',
      data: { items, findings: findingDocuments(findings) },
      text: (view) =>
        [
          ...items.map((w) => render(w, view)),
          ...(findings.length === 0 ? [] : [findingsText(findings, view)]),
        ].join('\n\n'),
      exitCode: items.every((w) => w.isReady) ? 0 : 1,
    };
  },
};

function render(waypoint: WaypointReport, { style, facts }: TextView): string {
  const { programmed, pods } = waypoint;
  return [
    `${style.bold(`${waypoint.namespace}/${waypoint.name}`)}  ${waypoint.isReady ? style.good('ready') : style.bad('not ready')}`,
    facts(
      [
        ['programmed', `${programmed.status} (${programmed.reason}) ${programmed.message}`],
        ['address', waypoint.address ?? 'none'],
        ['pods ready', `${pods.ready} of ${pods.total}`],
        ['traffic type', waypoint.trafficType],
        [
          'used by',
          waypoint.users.join(', ') ||
            'nobody: label a namespace, ServiceAccount, service or pod istio.io/use-waypoint',
        ],
      ],
      { indent: 2 },
    ),
  ].join('\n');
}
