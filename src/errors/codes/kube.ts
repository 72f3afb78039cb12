import type { ErrorCode } from '../mesh-error.js';

/** Codes MESH0200 to MESH0299. */
export const kubeCodes = {} as const satisfies Record<string, ErrorCode>;
