import type { ErrorCode } from '../mesh-error.js';

/** Codes MESH0100 to MESH0199. */
export const cliCodes = {} as const satisfies Record<string, ErrorCode>;
