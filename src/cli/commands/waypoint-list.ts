import { requireWaypoints, type WaypointReport } from '#mesh/inspect/waypoint-report.js';
import { allNamespacesOption, type CommandDefinition, type TextView } from '../command.js';
import { waypointPermissions } from '../permissions.js';

/** `meshctl waypoint list [-A]`. */
export const command: CommandDefinition = {
  description:
    'Lists waypoints: what they are for, whether they are programmed and their pods ready, and who uses them.',
  options: [allNamespacesOption],
  examples: ['meshctl waypoint list -A', 'meshctl waypoint list -n shop -o wide'],
  permissions: waypointPermissions,
  run: async ({ options, kube, progress }) => {
    const { client, namespace } = await kube();
    const isEverywhere = options.flag('all-namespaces');
    const items = await requireWaypoints(client, { namespace: isEverywhere ? undefined : namespace });
    const [unseen] = items.flatMap(({ unseenUsers }) => unseenUsers);
    if (unseen !== undefined) progress.warn(`not seen: who else uses the waypoints (${unseen})`);
    return {
      kind: 'WaypointList',
      data: { items },
      text: (view) =>
        items.length === 0
          ? `no waypoints in ${isEverywhere ? 'any namespace' : `namespace ${namespace}`}`
          : renderWaypoints(items, view),
    };
  },
};

/** Waypoints for people, a line each. */
export function renderWaypoints(items: readonly WaypointReport[], view: TextView): string {
  return view.table({
    head: ['NAMESPACE', 'NAME', 'REVISION', 'TRAFFIC TYPE', 'PROGRAMMED', 'PODS', 'ADDRESS', 'USED BY'],
    rows: items.map((w) => [
      w.namespace,
      w.name,
      w.revision,
      w.trafficType,
      w.programmed.status,
      `${w.pods.ready}/${w.pods.total}`,
      w.address ?? '',
      w.users.join(', ') || 'nobody',
    ]),
    wideOnly: ['ADDRESS'],
    optional: ['REVISION', 'TRAFFIC TYPE', 'USED BY'],
  });
}
