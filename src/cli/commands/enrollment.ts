import { observeEnrollment, type PodEnrollment } from '#mesh/inspect/enrollment.js';
import { readMeshSettings } from '#mesh/inspect/mesh-settings.js';
import { observedText } from '../enrollment-text.js';
import { isForbidden } from '#base/kube/api-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { namespaces } from '#base/kube/resource.js';
import { allNamespacesOption, type CommandDefinition, type TextView } from '../command.js';
import { enrollmentPermissions } from '../permissions.js';

/** `meshctl enrollment [-A]`: exit 1 when a pod is not what its labels ask for. */
export const command: CommandDefinition = {
  description:
    'Shows for each pod whether labels ask for it to be in the mesh, what is observed, and why the two differ. Exit code 1 when they do.',
  options: [allNamespacesOption],
  examples: ['meshctl enrollment -A', 'meshctl enrollment -n shop -o json'],
  permissions: enrollmentPermissions,
  run: async ({ options, kube, meshNamespace, progress }) => {
    const { client, namespace } = await kube();
    const isEverywhere = options.flag('all-namespaces');
    const settings = await readMeshSettings(client, meshNamespace);
    for (const what of settings.assumptions) progress.warn(what);
    const items = await observeEnrollment(
      client,
      { meshNamespace, namespaces: isEverywhere ? undefined : [namespace], settings },
      Date.now,
    );
    if (items.length === 0 && !isEverywhere) await requireKnownNamespace(client, namespace);
    return {
      kind: 'EnrollmentList',
      data: { items },
      exitCode: items.some((p) => p.missing.length > 0) ? 1 : 0,
      text: (view) =>
        items.length === 0
          ? `no pods in ${isEverywhere ? 'any namespace' : `namespace ${namespace}`}`
          : renderEnrollment(items, view),
    };
  },
};

/** Pods for people, a line each. */
export function renderEnrollment(items: readonly PodEnrollment[], view: TextView): string {
  return view.table({
    head: ['NAMESPACE', 'POD', 'NODE', 'INTENT', 'OBSERVED', 'ZTUNNEL', 'CERTIFICATE', 'WHY'],
    rows: items.map(row),
    wideOnly: ['NODE', 'ZTUNNEL', 'CERTIFICATE'],
    optional: ['INTENT'],
  });
}

function row(p: PodEnrollment): string[] {
  return [
    p.namespace,
    p.name,
    p.node,
    p.intent.isEnrolled ? 'mesh' : 'none',
    observedText(p),
    p.ztunnel,
    p.certificate ?? '',
    p.missing.length > 0 ? p.missing.join('; ') : (p.notStarted?.why ?? p.intent.reason),
  ];
}

/** An empty list is an answer only for a namespace that exists. @throws MESH0204 */
async function requireKnownNamespace(client: KubeClient, name: string): Promise<void> {
  try {
    await client.get({ resource: namespaces, name });
  } catch (error) {
    // Who may list its pods need not be permitted to see the namespace itself.
    if (!isForbidden(error)) throw error;
  }
}
