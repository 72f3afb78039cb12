import type { ErrorCode } from '#base/errors/mesh-error.js';

/** Codes MESH0600 to MESH0699. */
export const gatewayCodes = {
  MESH0600: {
    kind: 'usage',
    title: 'a setting of the L7 proxy is missing or malformed',
    cause: 'An environment variable the proxy needs is absent or cannot be read as what it should be.',
    fix: 'Deploy the proxy through a Gateway resource, which sets all of them, or set the named variable.',
  },
  MESH0601: {
    kind: 'failed',
    title: 'the L7 proxy cannot listen',
    cause: 'A port of the proxy is taken by another process, or the process may not bind it.',
    fix: 'Look at what else runs in the pod and listens on the named port.',
  },
} as const satisfies Record<string, ErrorCode>;
