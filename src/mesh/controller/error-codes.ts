import type { ErrorCode } from '#base/errors/mesh-error.js';

/** Codes MESH0400 to MESH0499. */
export const controllerCodes = {
  MESH0401: {
    kind: 'usage',
    title: 'The controller was started with settings it cannot use.',
    cause: 'A flag, an environment variable or the mesh ConfigMap holds a value that cannot be read.',
    fix: 'Correct the value named in the message; `kubectl -n istio-system get deploy istiod -o yaml` shows what is set.',
  },
  MESH0404: {
    kind: 'failed',
    title: 'A plugged-in certificate authority is incomplete.',
    cause:
      'The mounted directory holds some of ca-cert.pem, ca-key.pem, root-cert.pem and cert-chain.pem, but not all.',
    fix: 'Recreate Secret cacerts with the complete set, or remove it to use a self-signed root.',
  },
} as const satisfies Record<string, ErrorCode>;
