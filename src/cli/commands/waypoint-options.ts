import { MeshError } from '#base/errors/mesh-error.js';
import { defaultWaypointName, trafficTypes } from '#mesh/install/waypoint/waypoint-object.js';
import type { OptionSpec } from '../command.js';
import type { Options } from '../options.js';

/** Flags that describe a waypoint: the same for apply and generate. */
export const waypointOptions: readonly OptionSpec[] = [
  { flags: '--name <name>', description: `name of the waypoint (default: ${defaultWaypointName})` },
  {
    flags: '--for <traffic>',
    description: 'which traffic passes through it (default: service)',
    choices: trafficTypes,
  },
  { flags: '-r, --revision <name>', description: 'revision of the controller that deploys it' },
  {
    flags: '-s, --service-account <name>',
    description: 'of early Istio versions; explains what to use instead',
    hidden: true,
  },
];

/** Reads the flags above, and the name as argument. @throws MESH0103, MESH0319 */
export function waypointSpecOf(
  args: readonly string[],
  options: Options,
): { name: string; trafficType: string | undefined; revision: string | undefined } {
  const serviceAccount = options.text('service-account');
  if (serviceAccount !== undefined) {
    throw new MeshError(
      'MESH0319',
      `there are no waypoints for a service account (${serviceAccount}) any more`,
      {
        hint: `Run "meshctl waypoint apply --name ${serviceAccount} --for workload", and label the pods of the account istio.io/use-waypoint=${serviceAccount}.`,
      },
    );
  }
  const flag = options.text('name');
  if (args[0] !== undefined && flag !== undefined && args[0] !== flag) {
    throw new MeshError('MESH0103', `two names for one waypoint: ${args[0]} and --name ${flag}`);
  }
  return {
    name: args[0] ?? (flag || defaultWaypointName),
    trafficType: options.text('for'),
    revision: options.text('revision'),
  };
}
