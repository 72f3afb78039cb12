import type { NodeHost } from '../host/node-host.js';

/** Where plugins live on a node. */
export const cniPluginFolder = '/opt/cni/bin';
/** A plugin that has not answered by then has failed; kubelet's runtime request timeout is 2 minutes. */
const pluginTimeoutMs = 60_000;

export type CniCommand = 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS';

/** A plugin refused or could not be run. */
export class CniPluginError extends Error {
  override readonly name = 'CniPluginError';
  readonly plugin: string;

  constructor(plugin: string, command: CniCommand, message: string) {
    super(`plugin type="${plugin}" failed (${commandWords[command]}): ${message}`);
    this.plugin = plugin;
  }
}

/** As container runtimes name the commands in their errors. */
const commandWords = { ADD: 'add', DEL: 'delete', CHECK: 'check', GC: 'gc', STATUS: 'status' } as const;

/** Runs one plugin on a node with its configuration on standard input; resolves to what it printed. */
export async function callPlugin(
  host: NodeHost,
  o: {
    readonly command: CniCommand;
    readonly plugin: string;
    readonly config: unknown;
    readonly env: Readonly<Record<string, string>>;
  },
): Promise<string> {
  const { command, plugin } = o;
  if (plugin.includes('/')) throw new CniPluginError(plugin, command, `invalid plugin name: ${plugin}`);
  const answer = await host.run([`${cniPluginFolder}/${plugin}`], {
    input: JSON.stringify(o.config),
    timeoutMs: pluginTimeoutMs,
    env: {
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
      CNI_COMMAND: command,
      CNI_PATH: cniPluginFolder,
      ...o.env,
    },
  });
  if (answer.exitCode !== 0) throw new CniPluginError(plugin, command, errorText(plugin, answer));
  return answer.stdout;
}

/** nsenter(1): the command was not found, or could not be run. */
const notFound = 127;
const outputMaxChars = 1024;

/** The `msg` of a CNI error object, or whatever the plugin printed. */
function errorText(plugin: string, answer: { stdout: string; stderr: string; exitCode: number }): string {
  if (answer.exitCode === notFound && answer.stdout === '')
    return `failed to find plugin "${plugin}" in path [${cniPluginFolder}]`;
  try {
    const error = JSON.parse(answer.stdout) as { msg?: unknown; details?: unknown };
    const parts = [error.msg, error.details].filter((p) => typeof p === 'string' && p !== '');
    if (parts.length > 0) return parts.join('; ');
  } catch {
    // Not a CNI error object: fall through to the raw output.
  }
  const raw = (answer.stderr.trim() || answer.stdout.trim()).slice(0, outputMaxChars);
  return raw === ''
    ? `netplugin failed with no error message: exit status ${answer.exitCode}`
    : `netplugin failed: ${JSON.stringify(raw)}`;
}
