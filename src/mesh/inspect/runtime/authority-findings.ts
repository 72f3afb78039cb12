import { messageOf } from '#base/errors/mesh-error.js';
import { isForbidden } from '#base/kube/api-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { secrets } from '#base/kube/resource.js';
import type { Secret } from '#base/kube/types.js';
import { expiryProblem, materialProblem } from '../../identity/ca/material-problem.js';
import { materialIn, pluggedSecret, selfSignedSecret } from '../../identity/ca/material-secret.js';
import type { Finding } from '../findings/finding.js';

/** What is wrong with the Secret of the certificate authority, by its keys. `now` in milliseconds. */
export async function authorityFindings(
  client: KubeClient,
  meshNamespace: string,
  now: number,
): Promise<readonly Finding[]> {
  try {
    for (const name of [pluggedSecret, selfSignedSecret]) {
      const secret = await client.getOrUndefined<Secret>({
        resource: secrets,
        namespace: meshNamespace,
        name,
      });
      if (secret !== undefined) return findingsOf(secret, meshNamespace, now);
    }
    // The controller makes its own when it starts; that it does not run is another finding.
    return [];
  } catch (error) {
    if (!isForbidden(error)) throw error;
    return [
      {
        code: 'MESH0926',
        severity: 'info',
        message: 'not seen: the Secret of the certificate authority, which this user may not read',
        evidence: [messageOf(error)],
      },
    ];
  }
}

function findingsOf(secret: Secret, meshNamespace: string, now: number): readonly Finding[] {
  const { name } = secret.metadata;
  const material = materialIn(secret);
  const problem = materialProblem(material) ?? expiryProblem(material, now);
  if (problem === undefined) return [];
  const where = `Secret ${meshNamespace}/${name}`;
  const isPlugged = name === pluggedSecret;
  return [
    {
      code: 'MESH0960',
      severity: 'error',
      message: `${where}, the certificate authority of the mesh: ${problem}`,
      subject: { kind: 'Secret', namespace: meshNamespace, name },
      concerns: [{ kind: 'Deployment', namespace: meshNamespace, name: 'istiod' }],
      evidence: [`keys: ${Object.keys(secret.data ?? {}).join(', ') || 'none'}`],
      fix: isPlugged
        ? `Create the Secret again from sound files: kubectl create secret generic ${name} -n ${meshNamespace} --from-file=...`
        : `Restore it from a backup, or begin with a new root: kubectl delete secret ${name} -n ${meshNamespace}, then kubectl rollout restart deployment/istiod daemonset/ztunnel -n ${meshNamespace} and every waypoint`,
    },
  ];
}
