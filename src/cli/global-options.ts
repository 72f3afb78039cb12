import type { OptionSpec } from './command.js';

/** Flags that every command takes. `-o` is added per command, because its values differ. */
export const globalOptions: readonly OptionSpec[] = [
  {
    flags: '-c, --kubeconfig <file>',
    description: 'kubeconfig file (default: $KUBECONFIG, then ~/.kube/config)',
  },
  { flags: '--context <name>', description: 'kubeconfig context' },
  { flags: '-n, --namespace <name>', description: 'namespace (default: of the context)' },
  {
    flags: '-i, --istio-namespace <name>',
    description: 'namespace of the mesh components',
    defaultValue: 'istio-system',
    aliases: ['--istioNamespace'],
  },
  { flags: '--timeout <duration>', description: 'longest wait, such as 30s or 5m', type: 'duration' },
  { flags: '--as <user>', description: 'act as this user' },
  { flags: '--as-group <group>', description: 'act as a member of this group; repeatable', repeat: true },
  { flags: '--no-color', description: 'no colors (also: NO_COLOR)' },
  { flags: '-q, --quiet', description: 'no progress' },
  { flags: '-v, --verbose', description: 'details and stack traces' },
];

/** `-o`, with the formats of one command. */
export function outputOption(formats: readonly string[]): OptionSpec {
  return {
    flags: '-o, --output <format>',
    description: 'output format',
    choices: formats,
    ...(formats[0] === undefined ? {} : { defaultValue: formats[0] }),
  };
}

/** Formats of a command that names none. */
export const defaultFormats: readonly string[] = ['table', 'wide', 'json', 'yaml'];
