import type { OptionSpec } from '../command.js';
import type { Options } from '../options.js';

export const sandboxNameOption: OptionSpec = {
  flags: '--name <name>',
  description: 'name of the sandbox; several can run side by side',
  defaultValue: 'default',
  completes: 'sandbox',
};

/** The sandbox a command is about. */
export function sandboxNameOf(options: Options): string {
  return options.text('name') ?? 'default';
}
