import type { ErrorCode } from '../mesh-error.js';

/** Codes MESH0700 to MESH0799. */
export const cniCodes = {} as const satisfies Record<string, ErrorCode>;
