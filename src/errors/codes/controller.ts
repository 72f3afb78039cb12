import type { ErrorCode } from '../mesh-error.js';

/** Codes MESH0400 to MESH0499. */
export const controllerCodes = {} as const satisfies Record<string, ErrorCode>;
