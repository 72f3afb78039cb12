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
    description: 'a waypoint for the workloads that run as this account; apply labels the account to use it',
  },
];

/** Reads the flags above, and the name as argument. @throws MESH0103 */
export function waypointSpecOf(
  args: readonly string[],
  options: Options,
): {
  name: string;
  serviceAccount: string | undefined;
  trafficType: string | undefined;
  revision: string | undefined;
} {
  const flag = options.text('name');
  if (args[0] !== undefined && flag !== undefined && args[0] !== flag) {
    throw new MeshError('MESH0103', `two names for one waypoint: ${args[0]} and --name ${flag}`);
  }
  const serviceAccount = options.text('service-account');
  return {
    // One for a service account is another than that of the namespace, unless it is named.
    name: args[0] ?? (flag || serviceAccount || defaultWaypointName),
    serviceAccount,
    trafficType: options.text('for') ?? (serviceAccount === undefined ? undefined : 'workload'),
    revision: options.text('revision'),
  };
}
