import { CertificateAuthority } from '#mesh/identity/ca/authority.js';
import { generateRoot } from '#mesh/identity/ca/material.js';
import { type Credentials, makeCredentials } from '#mesh/identity/credentials.js';
import { createSigningRequest } from '#mesh/identity/csr.js';
import { formatSpiffeId, type SpiffeId } from '#mesh/identity/spiffe.js';

/** The identity of a service account in namespace `shop`. */
export function identityOf(serviceAccount: string, trustDomain = 'cluster.local'): SpiffeId {
  return formatSpiffeId({ trustDomain, namespace: 'shop', serviceAccount });
}

/** A real certificate authority in this process. */
export class MeshAuthority {
  private constructor(
    private readonly authority: CertificateAuthority,
    readonly rootPem: string,
  ) {}

  static async make(options: { now?: () => number } = {}): Promise<MeshAuthority> {
    const material = await generateRoot('cluster.local');
    return new MeshAuthority(await CertificateAuthority.load(material, options), material.rootPem);
  }

  async issue(identity: SpiffeId, ttlSeconds = 3_600): Promise<Credentials> {
    const request = await createSigningRequest(identity);
    const chain = await this.authority.signLeaf({ csrPem: request.csrPem, identity, ttlSeconds });
    return makeCredentials({
      identity,
      certChainPem: chain.slice(0, -1).join(''),
      keyPem: request.keyPem,
      rootsPem: chain.at(-1) ?? '',
    });
  }
}
