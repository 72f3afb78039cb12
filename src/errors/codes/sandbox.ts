import type { ErrorCode } from '../mesh-error.js';

/** Codes MESH0800 to MESH0899. */
export const sandboxCodes = {} as const satisfies Record<string, ErrorCode>;
