import type { ErrorCode } from '#base/errors/mesh-error.js';

/** Of the range MESH0500 to MESH0599: what connections between proxies raise. */
export const hboneCodes = {
  MESH0502: {
    kind: 'failed',
    title: 'An HBONE connection could not be made',
    cause:
      'The peer was unreachable, its certificate does not carry an expected identity, or it refused the request.',
    fix: 'Read the evidence; if the connection timed out, look for a NetworkPolicy that blocks port 15008.',
  },
} as const satisfies Record<string, ErrorCode>;
