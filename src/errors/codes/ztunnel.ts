import type { ErrorCode } from '../mesh-error.js';

/** Codes MESH0500 to MESH0599. */
export const ztunnelCodes = {} as const satisfies Record<string, ErrorCode>;
