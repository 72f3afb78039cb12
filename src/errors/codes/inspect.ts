import type { ErrorCode } from '../mesh-error.js';

/** Codes MESH0900 to MESH0999. */
export const inspectCodes = {} as const satisfies Record<string, ErrorCode>;
