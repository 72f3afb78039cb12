import { MeshError } from '#base/errors/mesh-error.js';
import { applyWaypoint } from '#mesh/install/waypoint/apply-waypoint.js';
import { waypointObject } from '#mesh/install/waypoint/waypoint-object.js';
import type { ArgumentSpec, CommandDefinition } from '../command.js';
import { toYaml } from '../yaml-document.js';
import { waypointOptions, waypointSpecOf } from './waypoint-options.js';
import {
  accountLabelPermissions,
  namespaceLabelPermissions,
  waypointPermissions,
  waypointWritePermissions,
} from '../permissions.js';

const nameArgument: ArgumentSpec = { name: '[name]', description: 'as --name', completes: 'waypoint' };

/** `meshctl waypoint apply [NAME]`. */
export const applyCommand: CommandDefinition = {
  description:
    'Creates a waypoint, or changes one to what the flags say; running it again changes nothing. With --enroll-namespace the services of the namespace use it, with --service-account the pods that run as an account; with --wait, from the moment it is ready.',
  args: [nameArgument],
  options: [
    ...waypointOptions,
    { flags: '--enroll-namespace', description: 'label the namespace to use the waypoint' },
    { flags: '--overwrite', description: 'also when the namespace or account uses another waypoint' },
    { flags: '-w, --wait', description: 'wait until it is ready' },
    {
      flags: '--waypoint-timeout <duration>',
      description: "istioctl's word for --timeout",
      type: 'duration',
      hidden: true,
    },
  ],
  examples: [
    'meshctl waypoint apply -n shop --enroll-namespace --wait',
    'meshctl waypoint apply l4 -n shop --for workload',
    'meshctl waypoint apply -n shop --service-account checkout --wait',
  ],
  timeoutMs: 90_000,
  permissions: [
    ...waypointWritePermissions,
    ...namespaceLabelPermissions,
    ...accountLabelPermissions,
    ...waypointPermissions,
  ],
  run: async ({ args, options, kube, signal, progress, timeoutMs }) => {
    const { serviceAccount, ...spec } = waypointSpecOf(args, options);
    if (serviceAccount !== undefined && options.flag('enroll-namespace')) {
      throw new MeshError('MESH0102', '--service-account and --enroll-namespace exclude each other');
    }
    const { client, namespace } = await kube();
    const outcome = await applyWaypoint({
      client,
      spec: { ...spec, namespace },
      isEnrolling: options.flag('enroll-namespace'),
      serviceAccount,
      isOverwriting: options.flag('overwrite'),
      waitMs: options.flag('wait') ? (options.number('waypoint-timeout') ?? timeoutMs) : undefined,
      signal,
      reporter: progress,
    });
    return { kind: 'WaypointApplication', data: { ...outcome }, text: () => '' };
  },
};

/** `meshctl waypoint generate [NAME]`. */
export const waypointGenerateCommand: CommandDefinition = {
  description: 'Prints the Gateway that "waypoint apply" would apply. Needs no cluster.',
  args: [nameArgument],
  options: waypointOptions,
  formats: ['yaml', 'json'],
  examples: ['meshctl waypoint generate -n shop | kubectl apply -f -'],
  permissions: [],
  run: async ({ args, options, namespace }) => {
    const { serviceAccount: _account, ...spec } = waypointSpecOf(args, options);
    const object = waypointObject({ ...spec, namespace });
    return {
      kind: object.kind,
      data: {},
      text: () => '',
      // An object for kubectl, not a document of ours.
      formats: { yaml: () => toYaml(object), json: () => JSON.stringify(object, null, 2) },
    };
  },
};
