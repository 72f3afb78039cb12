import { counted } from '#base/collections/counted.js';
import { MeshError } from '#base/errors/mesh-error.js';
import { componentPods } from '#mesh/inspect/component-pods.js';
import type { PodEnrollment } from '#mesh/inspect/enrollment.js';
import { waitForEnrollment } from '#mesh/inspect/enrollment-wait.js';
import { readMeshSettings } from '#mesh/inspect/mesh-settings.js';
import { requireNamespace, setNamespaceLabel } from '#mesh/install/namespace-labels.js';
import { applyWaypoint } from '#mesh/install/waypoint/apply-waypoint.js';
import { defaultWaypointName } from '#mesh/install/waypoint/waypoint-object.js';
import { dataplaneMode } from '#base/kube/labels.js';
import type { CommandDefinition, CommandResult } from '../command.js';
import type { CommandContext } from '../context.js';
import { observedText } from '../enrollment-text.js';
import {
  namespaceLabelPermissions,
  enrollmentPermissions,
  waypointWritePermissions,
} from '../permissions.js';

const waitOption = {
  flags: '-w, --wait',
  description: 'wait for the proof of every running pod: CNI agent, redirection, node proxy, certificate',
};
const namespaceArgument = { name: '<namespace...>', description: 'namespaces' };

/** `meshctl enroll NAMESPACE...`. */
export const enrollCommand: CommandDefinition = {
  description:
    'Takes the pods of namespaces into the mesh, running ones without a restart, by the label istio.io/dataplane-mode=ambient.',
  args: [namespaceArgument],
  options: [
    {
      flags: '--waypoint [name]',
      description: `also apply a waypoint (default: ${defaultWaypointName}) and use it`,
    },
    { flags: '--overwrite', description: 'with --waypoint: also when the namespace uses another one' },
    waitOption,
  ],
  examples: ['meshctl enroll shop --wait', 'meshctl enroll shop --waypoint --wait'],
  timeoutMs: 60_000,
  permissions: [...namespaceLabelPermissions, ...enrollmentPermissions, ...waypointWritePermissions],
  run: async (context) => {
    const { options, meshNamespace } = context;
    const { client } = await context.kube();
    const names = [...new Set(context.args)];
    const outside = names.find((name) => name === meshNamespace || name === 'kube-system');
    if (outside !== undefined) {
      throw new MeshError('MESH0103', `pods of namespace ${outside} are never captured`);
    }
    const spaces = await Promise.all(names.map((name) => requireNamespace(client, name)));
    if ((await componentPods(client, 'cni', meshNamespace)).length === 0) {
      if (options.flag('wait')) {
        throw new MeshError(
          'MESH0309',
          `no CNI agent runs in namespace ${meshNamespace}; nothing was changed`,
        );
      }
      context.progress.warn(
        `no CNI agent runs in namespace ${meshNamespace}: the label waits for an installation`,
      );
    }
    const changed: string[] = [];
    for (const space of spaces) {
      const { name } = space.metadata;
      const isChanged = await setNamespaceLabel(client, space, { label: dataplaneMode, value: 'ambient' });
      if (isChanged) changed.push(name);
      context.progress.info(
        `namespace ${name} ${isChanged ? 'labeled' : 'has the label'} "${dataplaneMode}: ambient"`,
      );
    }
    const deadline = performance.now() + context.timeoutMs;
    const pods = await proof(context, { names, wanted: 'captured', deadline });
    if (options.flag('waypoint')) {
      for (const namespace of names) {
        await applyWaypoint({
          client,
          spec: {
            name: options.text('waypoint') ?? defaultWaypointName,
            namespace,
            trafficType: undefined,
            revision: undefined,
          },
          isEnrolling: true,
          isOverwriting: options.flag('overwrite'),
          waitMs: options.flag('wait') ? Math.max(deadline - performance.now(), 0) : undefined,
          signal: context.signal,
          reporter: context.progress,
        });
      }
    }
    return result({ kind: 'Enrollment', names, changed, pods });
  },
};

/** `meshctl unenroll NAMESPACE...`. */
export const unenrollCommand: CommandDefinition = {
  description:
    'Takes the pods of namespaces out of the mesh without a restart. Pods that carry the label themselves stay.',
  args: [namespaceArgument],
  options: [{ ...waitOption, description: 'wait for the proof that every pod is free' }],
  examples: ['meshctl unenroll shop --wait'],
  timeoutMs: 60_000,
  permissions: [...namespaceLabelPermissions, ...enrollmentPermissions],
  run: async (context) => {
    const { client } = await context.kube();
    const names = [...new Set(context.args)];
    const spaces = await Promise.all(names.map((name) => requireNamespace(client, name)));
    const changed: string[] = [];
    for (const space of spaces) {
      const { name } = space.metadata;
      const isChanged = await setNamespaceLabel(client, space, { label: dataplaneMode, value: undefined });
      if (isChanged) changed.push(name);
      context.progress.info(
        isChanged ? `namespace ${name}: label ${dataplaneMode} removed` : `namespace ${name} is not labeled`,
      );
    }
    const deadline = performance.now() + context.timeoutMs;
    const pods = await proof(context, { names, wanted: 'free', deadline });
    for (const p of pods.filter(({ intent }) => intent.isEnrolled)) {
      context.progress.warn(`pod ${p.namespace}/${p.name} stays: ${p.intent.reason}`);
    }
    return result({ kind: 'Unenrollment', names, changed, pods });
  },
};

/** @throws MESH0317 saying what is missing, pod by pod */
async function proof(
  context: CommandContext,
  of: { names: readonly string[]; wanted: 'captured' | 'free'; deadline: number },
): Promise<readonly PodEnrollment[]> {
  if (!context.options.flag('wait')) return [];
  const { client } = await context.kube();
  const step = context.progress.step(of.wanted === 'captured' ? 'Capture' : 'Release');
  const { meshNamespace } = context;
  const settings = await readMeshSettings(client, meshNamespace);
  for (const what of settings.assumptions) context.progress.warn(what);
  const pods = await waitForEnrollment(
    client,
    { meshNamespace, namespaces: of.names, settings },
    {
      timeoutMs: Math.max(of.deadline - performance.now(), 0),
      signal: context.signal,
      onWait: (remaining) => step.update(remaining),
    },
  );
  const left = pods.filter((p) => p.missing.length > 0);
  if (left.length > 0) {
    step.fail(`${left.length} of ${counted(pods.length, 'pod')} not as their labels ask; ${tally(pods)}`);
    throw new MeshError(
      'MESH0317',
      `${left.length} of ${counted(pods.length, 'pod')} not proven to be what their labels ask for`,
      {
        evidence: left
          .map(
            (p) => `pod ${p.namespace}/${p.name} on ${p.node} is ${observedText(p)}: ${p.missing.join('; ')}`,
          )
          .join('\n'),
      },
    );
  }
  step.succeed(tally(pods));
  for (const p of pods) {
    if (p.notStarted === undefined) continue;
    const then = p.intent.isEnrolled ? 'it is captured when it starts' : 'it is not captured when it starts';
    context.progress.info(`pod ${p.namespace}/${p.name} has not started (${p.notStarted.why}): ${then}`);
  }
  return pods;
}

/** The rows of the table, counted: `3 captured, 1 free, 1 not started`. */
function tally(pods: readonly PodEnrollment[]): string {
  if (pods.length === 0) return 'no pods';
  const counts = new Map<string, number>();
  for (const p of pods) counts.set(observedText(p), (counts.get(observedText(p)) ?? 0) + 1);
  return ['captured', 'partly', 'free', 'not started', 'unknown']
    .filter((state) => counts.has(state))
    .map((state) => `${counts.get(state)} ${state}`)
    .join(', ');
}

function result(of: {
  kind: string;
  names: readonly string[];
  changed: readonly string[];
  pods: readonly PodEnrollment[];
}): CommandResult {
  return {
    kind: of.kind,
    data: {
      namespaces: of.names.map((name) => ({ name, isChanged: of.changed.includes(name) })),
      pods: of.pods,
    },
    text: (view) =>
      of.pods.length === 0
        ? ''
        : view.table({
            head: ['NAMESPACE', 'POD', 'NODE', 'OBSERVED', 'WHY'],
            rows: of.pods.map((p) => [
              p.namespace,
              p.name,
              p.node,
              observedText(p),
              p.notStarted?.why ?? p.intent.reason,
            ]),
            optional: ['NODE'],
          }),
  };
}
