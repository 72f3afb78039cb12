import { create, toBinary } from '@bufbuild/protobuf';
import { expect, it } from 'vitest';
import { CertificateAuthority } from '#mesh/identity/ca/authority.js';
import { generateRoot } from '#mesh/identity/ca/material.js';
import { CertificateManager } from '#mesh/identity/certificate-manager.js';
import { makeCredentials } from '#mesh/identity/credentials.js';
import { createSigningRequest } from '#mesh/identity/csr.js';
import { formatSpiffeId } from '#mesh/identity/spiffe.js';
import { TrustBundleHandler } from '#mesh/identity/trust-bundle.js';
import { TrustBundleSchema } from '#mesh/xds/gen/meshctl/trust_pb.js';

const identity = formatSpiffeId({ trustDomain: 'td', namespace: 'shop', serviceAccount: 'web' });
const [first, second] = (await Promise.all(
  ['first', 'second'].map(async (name) => CertificateAuthority.load(await generateRoot(name))),
)) as [CertificateAuthority, CertificateAuthority];

const message = (roots: readonly string[], signingRoot: string) => ({
  name: 'mesh',
  version: '1',
  value: toBinary(TrustBundleSchema, create(TrustBundleSchema, { roots: [...roots], signingRoot })),
});

it('trusts a new root at once, and renews when it signs', async () => {
  let authority = first;
  const manager = new CertificateManager({
    source: {
      fetch: async (wanted) => {
        const { csrPem, keyPem } = await createSigningRequest(wanted);
        const chain = await authority.signLeaf({ csrPem, identity: wanted, ttlSeconds: 3600 });
        return makeCredentials({
          identity: wanted,
          keyPem,
          certChainPem: chain.slice(0, -1).join(''),
          rootsPem: chain.at(-1) ?? '',
        });
      },
    },
  });
  const handler = new TrustBundleHandler((bundle) => manager.setTrust(bundle));
  const [a, b] = [first.signingRootPem, second.signingRootPem];
  const before = await manager.get(identity);
  handler.upsert(message([a, b], a));
  const staged = await manager.get(identity);
  expect(staged.certChainPem).toBe(before.certChainPem);
  expect(staged.roots.map(({ pem }) => pem)).toEqual([a, b]);
  // The second authority signs now: whoever has a certificate of the first asks for a new one.
  authority = second;
  handler.upsert(message([b, a], b));
  expect((await manager.get(identity)).roots.map(({ pem }) => pem)).toEqual([b, a]);
  await expect.poll(async () => (await manager.get(identity)).certChainPem).not.toBe(before.certChainPem);
  // The first one is over.
  handler.upsert(message([b], b));
  expect((await manager.get(identity)).roots.map(({ pem }) => pem)).toEqual([b]);
  manager.stop();
});

it('refuses a bundle that would leave nobody to trust, or that is none', () => {
  const seen: unknown[] = [];
  const handler = new TrustBundleHandler((bundle) => seen.push(bundle));
  expect(() => handler.upsert(message([], ''))).toThrow('signing root');
  expect(() => handler.upsert(message(['nonsense'], 'nonsense'))).toThrow();
  expect(() => handler.upsert(message([first.signingRootPem], second.signingRootPem))).toThrow(
    'signing root',
  );
  expect(seen).toEqual([]);
});
