import { MeshError } from '#base/errors/mesh-error.js';

/** What is written into the plugin, which has nowhere to read it from. */
export interface PluginScriptSettings {
  /** Paths on the node. */
  readonly busybox: string;
  readonly runDir: string;
  /** Their pods start whatever happens. */
  readonly excludeNamespaces: readonly string[];
  /** Where the agent's own pods are. */
  readonly agentNamespace: string;
}

const path = /^\/[A-Za-z0-9._/@+-]+$/;
/** RFC 1123 label. */
const namespaceName = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * The plugin for this node. Only plain names and paths get in: they become words of a shell script.
 * @throws MESH0708 naming what is not plain
 */
export function pluginScript(template: string, o: PluginScriptSettings): string {
  const values = {
    '@BUSYBOX@': plain('the folder of CNI binaries', o.busybox, path),
    '@RUN_DIR@': plain('CNI_AGENT_RUN_DIR', o.runDir, path),
    '@EXCLUDED_NAMESPACES@': o.excludeNamespaces
      .map((name) => plain('EXCLUDE_NAMESPACES', name, namespaceName))
      .join(' '),
    '@AGENT_NAMESPACE@': plain('POD_NAMESPACE', o.agentNamespace, namespaceName),
  };
  return Object.entries(values).reduce((text, [mark, value]) => text.replaceAll(mark, () => value), template);
}

function plain(what: string, value: string, pattern: RegExp): string {
  if (pattern.test(value)) return value;
  throw new MeshError('MESH0708', `${what} cannot be written into the CNI plugin`, {
    evidence: value.slice(0, 500),
    hint: 'Use letters, digits, dots, dashes and slashes only.',
  });
}
