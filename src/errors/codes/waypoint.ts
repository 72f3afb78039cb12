import type { ErrorCode } from '../mesh-error.js';

/** Codes MESH0600 to MESH0699. */
export const waypointCodes = {} as const satisfies Record<string, ErrorCode>;
