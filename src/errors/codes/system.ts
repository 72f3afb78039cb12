import type { ErrorCode } from '../mesh-error.js';

/** Codes MESH1000 to MESH1099. */
export const systemCodes = {} as const satisfies Record<string, ErrorCode>;
