import { MeshError } from '#base/errors/mesh-error.js';
import {
  accountWaypointName,
  defaultWaypointName,
  trafficTypes,
} from '#mesh/install/waypoint/waypoint-object.js';
import type { OptionSpec } from '../command.js';
import type { Options } from '../options.js';

/** Flags that describe a waypoint: the same for apply and generate. */
export const waypointOptions: readonly OptionSpec[] = [
  {
    flags: '--name <name>',
    description: `name of the waypoint (default: ${defaultWaypointName}, or ACCOUNT-${defaultWaypointName} with --service-account)`,
  },
  {
    flags: '--for <traffic>',
    description: 'which traffic passes through it (default: service, or workload with --service-account)',
    choices: trafficTypes,
  },
  { flags: '-r, --revision <name>', description: 'revision of the controller that deploys it' },
  {
    flags: '-s, --service-account <name>',
    description: 'for calls to the pods that run as this ServiceAccount, which apply labels',
  },
];

/** What the flags above say. */
interface WaypointFlags {
  readonly name: string;
  readonly trafficType: string | undefined;
  readonly revision: string | undefined;
  readonly serviceAccount: string | undefined;
}

/** Reads the flags above, and the name as argument. @throws MESH0102, MESH0103 */
export function waypointSpecOf(args: readonly string[], options: Options): WaypointFlags {
  const serviceAccount = options.text('service-account') || undefined;
  const flag = options.text('name');
  if (args[0] !== undefined && flag !== undefined && args[0] !== flag) {
    throw new MeshError('MESH0103', `two names for one waypoint: ${args[0]} and --name ${flag}`);
  }
  const traffic = options.text('for');
  if (serviceAccount !== undefined && (traffic === 'service' || traffic === 'none')) {
    throw new MeshError(
      'MESH0102',
      `--for ${traffic} and --service-account exclude each other: an account stands for the pods that run as it`,
      { hint: 'Use --for workload, which is the default with --service-account, or --for all.' },
    );
  }
  const isOfAccount = serviceAccount !== undefined;
  return {
    name: args[0] ?? (flag || (isOfAccount ? accountWaypointName(serviceAccount) : defaultWaypointName)),
    trafficType: traffic ?? (isOfAccount ? 'workload' : undefined),
    revision: options.text('revision'),
    serviceAccount,
  };
}
