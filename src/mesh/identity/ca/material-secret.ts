import type { Secret } from '#base/kube/types.js';
import type { CaMaterial } from './material.js';
import { materialKeys } from './material-problem.js';

/** Secrets of the mesh's namespace that hold an authority: the self-signed one, and the one plugged in. */
export const selfSignedSecret = 'istio-ca-secret';
export const pluggedSecret = 'cacerts';

/** The material that a Secret holds, whatever it is worth; what it lacks is empty. A self-signed root signs itself. */
export function materialIn(secret: Secret): CaMaterial {
  const read = (key: string): string => Buffer.from(secret.data?.[key] ?? '', 'base64').toString('utf8');
  const certPem = read(materialKeys.certPem);
  return {
    certPem,
    keyPem: read(materialKeys.keyPem),
    chainPem: read(materialKeys.chainPem),
    rootPem: read(materialKeys.rootPem) || certPem,
  };
}
