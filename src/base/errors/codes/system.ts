import type { ErrorCode } from '../mesh-error.js';

/** Codes MESH1000 to MESH1099. */
export const systemCodes = {
  MESH1001: {
    kind: 'failed',
    title: 'a program that is needed is not installed',
    cause: 'A system tool (iptables-restore, ip, tcpdump, ...) was not found in PATH.',
    fix: 'Install the named program with the package manager of the machine, then run the command again.',
  },
} as const satisfies Record<string, ErrorCode>;
