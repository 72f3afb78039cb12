import type { ErrorCode } from '../mesh-error.js';

/** Codes MESH0300 to MESH0399. */
export const installCodes = {} as const satisfies Record<string, ErrorCode>;
