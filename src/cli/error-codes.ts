import type { ErrorCode } from '#base/errors/mesh-error.js';

/** Codes MESH0100 to MESH0199. */
export const cliCodes = {
  MESH0100: {
    kind: 'usage',
    title: 'Unknown command',
    cause: 'The words after meshctl name no command.',
    fix: 'Run "meshctl --help" for the list of commands.',
  },
  MESH0101: {
    kind: 'usage',
    title: 'Unknown or incomplete flag',
    cause: 'A flag does not exist for this command, or it needs a value and has none.',
    fix: 'Run the command with --help for its flags.',
  },
  MESH0102: {
    kind: 'usage',
    title: 'Wrong arguments',
    cause: 'The command got too few or too many arguments.',
    fix: 'Run the command with --help for its arguments.',
  },
  MESH0104: {
    kind: 'usage',
    title: 'Confirmation needed',
    cause: 'The command asks before it proceeds, and standard input is not a terminal.',
    fix: 'Repeat the command with --yes.',
  },
  MESH0106: {
    kind: 'failed',
    title: 'Interrupted',
    cause: 'The command was stopped by a signal before it finished.',
    fix: 'Run it again: commands that change the cluster continue where they stopped.',
  },
  MESH0107: {
    kind: 'timeout',
    title: 'Gave up waiting',
    cause: 'What the command waited for did not happen within --timeout.',
    fix: 'Look at what the message says is missing; raise --timeout if it is only slow.',
  },
  MESH0108: {
    kind: 'usage',
    title: 'Unknown error code',
    cause: 'The code is not in the catalog.',
    fix: 'Codes look like MESH0100; the message of the failed command shows its code.',
  },
  MESH0109: {
    kind: 'usage',
    title: 'Incomplete command',
    cause: 'The words after meshctl name a group of commands, not one of them.',
    fix: 'Run it with --help for the commands of the group.',
  },
  MESH0110: {
    kind: 'usage',
    title: 'A command of istioctl',
    cause:
      'istioctl has this command, and meshctl does not: an ambient mesh of one cluster has no use for it.',
    fix: 'Use the command that the message names; it comes nearest.',
  },
  MESH0199: {
    kind: 'bug',
    title: 'Unexpected error',
    cause: 'Something failed that meshctl has no explanation for.',
    fix: 'Run the command again with --verbose and report the output.',
  },
} as const satisfies Record<string, ErrorCode>;
