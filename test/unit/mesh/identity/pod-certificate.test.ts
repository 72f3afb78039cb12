import { expect, it } from 'vitest';
import { generateRoot } from '#mesh/identity/ca/material.js';
import { CertificateAuthority } from '#mesh/identity/ca/authority.js';
import { CertificateManager } from '#mesh/identity/certificate-manager.js';
import { makeCredentials } from '#mesh/identity/credentials.js';
import { createSigningRequest } from '#mesh/identity/csr.js';
import { PodCertificate } from '#mesh/identity/pod-certificate.js';

it('fetches the certificate of its pod only, whatever the trust domain', async () => {
  const authority = await CertificateAuthority.load(await generateRoot('cluster.local'));
  const asked: string[] = [];
  const manager = new CertificateManager({
    source: {
      fetch: async (identity) => {
        asked.push(identity);
        const { csrPem, keyPem } = await createSigningRequest(identity);
        const chain = await authority.signLeaf({ csrPem, identity, ttlSeconds: 60 });
        return makeCredentials({
          identity,
          keyPem,
          certChainPem: chain.slice(0, -1).join(''),
          rootsPem: chain.at(-1) ?? '',
        });
      },
    },
  });
  const certificate = new PodCertificate(manager, { namespace: 'shop', serviceAccount: 'web' });
  expect((await certificate.get('cluster.local')).identity).toBe('spiffe://cluster.local/ns/shop/sa/web');
  expect((await certificate.get('td2.example')).identity).toBe('spiffe://td2.example/ns/shop/sa/web');
  expect(asked).toEqual(['spiffe://cluster.local/ns/shop/sa/web', 'spiffe://td2.example/ns/shop/sa/web']);
  manager.stop();
});
