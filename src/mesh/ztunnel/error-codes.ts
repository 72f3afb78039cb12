import type { ErrorCode } from '#base/errors/mesh-error.js';

/** Codes MESH0500 to MESH0599. */
export const ztunnelCodes = {
  MESH0503: {
    kind: 'usage',
    title: 'The node proxy cannot start with its settings',
    cause: 'An environment variable or argument of the node proxy has a value it cannot use.',
    fix: 'Correct the named setting in the DaemonSet ztunnel, or install again with `meshctl install`.',
  },
  MESH0504: {
    kind: 'failed',
    title: 'The CNI agent broke the hand-over protocol',
    cause: 'The node proxy received a message over the ZDS socket that the protocol does not allow.',
    fix: 'Use a CNI agent and a node proxy of the same release.',
  },
} as const satisfies Record<string, ErrorCode>;
