import { MeshError } from '#base/errors/mesh-error.js';
import { deleteWaypoints } from '#mesh/install/waypoint/delete-waypoint.js';
import { type CommandDefinition, yesOption } from '../command.js';
import { waypointPermissions, waypointDeletePermissions } from '../permissions.js';

/** `meshctl waypoint delete [NAME...|--all]`. */
export const command: CommandDefinition = {
  description:
    'Deletes waypoints. Refuses, deleting nothing, while a namespace, account, service or pod is labeled to use one: its calls would be refused from then on. --detach removes those labels first.',
  args: [{ name: '[name...]', description: 'waypoints', completes: 'waypoint' }],
  options: [
    { flags: '--all', description: 'all waypoints of the namespace' },
    {
      flags: '--detach',
      description: 'remove the labels of the namespaces, accounts, services and pods that use them',
    },
    // Nothing in use is deleted without --detach, so there is nothing to ask.
    { ...yesOption, description: 'accepted for scripts: delete never asks', hidden: true },
  ],
  examples: ['meshctl waypoint delete waypoint -n shop --detach', 'meshctl waypoint delete --all -n shop'],
  permissions: [...waypointPermissions, ...waypointDeletePermissions],
  run: async ({ args, options, kube, progress }) => {
    if (options.flag('all') === args.length > 0) {
      throw new MeshError(
        'MESH0102',
        args.length > 0 ? 'names and --all exclude each other' : 'neither a name nor --all is given',
      );
    }
    const { client, namespace } = await kube();
    const deleted = await deleteWaypoints({
      client,
      namespace,
      names: args,
      isDetaching: options.flag('detach'),
      reporter: progress,
    });
    return {
      kind: 'WaypointDeletion',
      data: {
        items: deleted.map((w) => ({ namespace: w.namespace, name: w.name, detached: w.users })),
      },
      text: () => (deleted.length === 0 ? `namespace ${namespace} has no waypoints` : ''),
    };
  },
};
