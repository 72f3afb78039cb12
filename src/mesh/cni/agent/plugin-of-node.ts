import type { AgentConfig } from '../config.js';
import { PluginFiles } from '../installer/plugin-files.js';

/** Folder below the run directory in which agent and plugin meet; only root can enter it. */
export const pluginFolder = 'plugin';

/** The plugin's files on the node that the settings describe. */
export function pluginFiles(config: AgentConfig): PluginFiles {
  return new PluginFiles({
    binDir: config.cniBinDir,
    hostBinDir: config.hostBinDir,
    hostRoot: config.hostRoot,
    template: config.pluginTemplate,
    busyboxes: config.busyboxes,
    runDir: config.runDir,
    excludeNamespaces: config.excludeNamespaces,
    agentNamespace: config.podNamespace,
  });
}
