import type { ErrorCode } from '../mesh-error.js';

/** Codes MESH0500 to MESH0599. */
export const ztunnelCodes = {
  MESH0501: {
    kind: 'failed',
    title: 'A workload has no valid certificate',
    cause: 'The certificate authority refused or could not be reached, or the last certificate expired.',
    fix: 'Check that the controller is ready and that the proxy may impersonate the workload: `meshctl ztunnel-config certificate`.',
  },
  MESH0502: {
    kind: 'failed',
    title: 'An HBONE connection could not be made',
    cause:
      'The peer was unreachable, its certificate does not carry an expected identity, or it refused the request.',
    fix: 'Read the evidence; if the connection timed out, look for a NetworkPolicy that blocks port 15008.',
  },
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
