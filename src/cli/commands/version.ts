import type { ComponentVersion } from '#mesh/inspect/mesh-versions.js';
import { clientVersion } from '../client-version.js';
import type { CommandDefinition, TextView } from '../command.js';
import { componentPermissions, gatewayPermissions } from '../permissions.js';

export const command: CommandDefinition = {
  description:
    'Shows the versions of this program, the controller, and of the data plane on every node. The processes are asked; where one cannot tell, the tag of its image stands in, marked "image".',
  options: [
    { flags: '--client', description: 'only the version of this program; needs no cluster' },
    // istioctl's words for the same: --remote=false.
    { flags: '--no-remote', description: 'as --client', hidden: true },
  ],
  examples: ['meshctl version', 'meshctl version --client'],
  permissions: [...componentPermissions, ...gatewayPermissions],
  run: async ({ options, kube, meshNamespace, signal }) => {
    const client = { version: clientVersion };
    if (options.flag('client') || !options.flag('remote')) {
      return {
        kind: 'Version',
        data: { client },
        text: () => `client: ${clientVersion}`,
        // Without the table renderer: this must start as fast as Node itself.
        formats: { table: () => `client: ${clientVersion}` },
      };
    }
    try {
      const [{ client: cluster }, { meshVersions }, { MeshObserver }] = await Promise.all([
        kube(),
        import('#mesh/inspect/mesh-versions.js'),
        import('#mesh/inspect/mesh-observer.js'),
      ]);
      const components = await meshVersions(new MeshObserver(cluster, meshNamespace));
      return {
        kind: 'Version',
        data: { client, components },
        text: (view) => renderVersions(components, view, meshNamespace),
      };
    } catch (error) {
      if (signal.aborted) throw error;
      // Its own version it knows whatever the cluster says.
      const { reportOf } = await import('../error-report.js');
      const { code, message, evidence, hint } = reportOf(error, false).error;
      return {
        kind: 'Version',
        data: { client, error: { code, message, evidence, hint } },
        text: () => `client: ${clientVersion}`,
        failure: error,
      };
    }
  },
};

/** Versions for people, of this program and of the components. */
export function renderVersions(
  components: readonly ComponentVersion[],
  view: TextView,
  meshNamespace: string,
): string {
  const lines = [`client: ${clientVersion}`];
  const of = (component: string): readonly ComponentVersion[] =>
    components.filter((c) => c.component === component);
  const versions = [...new Set(of('controller').map((c) => c.version))];
  lines.push(`controller: ${versions.join(', ') || `none runs in ${meshNamespace}`}`);
  const rows = components.filter((c) => c.component !== 'controller');
  if (rows.length > 0) {
    lines.push(
      '',
      view.table({
        head: ['NODE', 'COMPONENT', 'POD', 'VERSION', 'SOURCE'],
        rows: [...rows]
          .sort((a, b) => `${a.node} ${a.component}`.localeCompare(`${b.node} ${b.component}`))
          .map((c) => [c.node, c.component, `${c.namespace}/${c.pod}`, c.version, c.source]),
        wideOnly: ['POD'],
        optional: ['SOURCE'],
      }),
    );
  }
  return lines.join('\n');
}
