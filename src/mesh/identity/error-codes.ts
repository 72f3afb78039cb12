import type { ErrorCode } from '#base/errors/mesh-error.js';

/** Certificates and authorities: of the ranges MESH0400 to MESH0499 and MESH0500 to MESH0599. */
export const identityCodes = {
  MESH0402: {
    kind: 'failed',
    title: 'The certificate authority cannot be loaded.',
    cause: 'Key, certificate or root do not belong together, are expired, or are of an unsupported kind.',
    fix: 'Check Secret istio-ca-secret (self-signed) or cacerts (plugged in) in the system namespace.',
  },
  MESH0403: {
    kind: 'failed',
    title: 'A certificate request was refused.',
    cause: 'The request is malformed, not signed by its own key, weak, or asks for too long a life.',
    fix: 'Check the requesting proxy; its log names the same moment.',
  },
  MESH0501: {
    kind: 'failed',
    title: 'A workload has no valid certificate',
    cause: 'The certificate authority refused or could not be reached, or the last certificate expired.',
    fix: 'Check that the controller is ready and that the proxy may impersonate the workload: `meshctl ztunnel-config certificate`.',
  },
} as const satisfies Record<string, ErrorCode>;
