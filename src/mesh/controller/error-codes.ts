import type { ErrorCode } from '#base/errors/mesh-error.js';

/** Codes MESH0400 to MESH0499. */
export const controllerCodes = {
  MESH0404: {
    kind: 'failed',
    title: 'A plugged-in certificate authority is incomplete.',
    cause:
      'The mounted directory holds some of ca-cert.pem, ca-key.pem, root-cert.pem and cert-chain.pem, but not all.',
    fix: 'Recreate Secret cacerts with the complete set, or remove it to use a self-signed root.',
  },
} as const satisfies Record<string, ErrorCode>;
