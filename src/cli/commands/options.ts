import type { CommandDefinition } from '../command.js';
import { globalOptionsHelp } from '../command-help.js';
import { widthOf } from '../width.js';

/** `meshctl options`. */
export const command: CommandDefinition = {
  description: 'Lists the options that every command takes, besides its own.',
  formats: [],
  permissions: [],
  examples: ['meshctl options'],
  run: ({ io, write }) => {
    write(globalOptionsHelp(widthOf(io.isStdoutTty, io)));
    return Promise.resolve(0);
  },
};
