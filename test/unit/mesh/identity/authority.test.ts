import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { CertificateAuthority } from '#mesh/identity/ca/authority.js';
import { generateRoot, type CaMaterial } from '#mesh/identity/ca/material.js';
import { createSigningRequest } from '#mesh/identity/csr.js';
import { formatSpiffeId } from '#mesh/identity/spiffe.js';

const identity = formatSpiffeId({
  trustDomain: 'cluster.local',
  namespace: 'shop',
  serviceAccount: 'frontend',
});

describe('certificate authority', () => {
  let material: CaMaterial;
  let authority: CertificateAuthority;

  beforeAll(async () => {
    material = await generateRoot('cluster.local');
    authority = await CertificateAuthority.load(material);
  });

  test('the generated root is a certificate authority of ten years', () => {
    const root = new X509Certificate(material.rootPem);
    expect(root.ca).toBe(true);
    expect(root.subject).toBe('O=cluster.local');
    expect(root.verify(root.publicKey)).toBe(true);
    const years = (Date.parse(root.validTo) - Date.now()) / (365 * 24 * 3600 * 1000);
    expect(years).toBeGreaterThan(9.9);
  });

  test('a leaf carries the identity, the key of the request, and a bounded life', async () => {
    const { csrPem, keyPem } = await createSigningRequest(identity);
    const chain = await authority.signLeaf({ csrPem, identity, ttlSeconds: 600 });
    expect(chain).toHaveLength(2);
    expect(chain.every((pem) => pem.endsWith('\n'))).toBe(true);
    const leaf = new X509Certificate(chain[0] ?? '');
    expect(leaf.subjectAltName).toBe(`URI:${identity}`);
    expect(leaf.subject).toBe(undefined);
    expect(leaf.ca).toBe(false);
    expect(leaf.checkPrivateKey(createPrivateKey(keyPem))).toBe(true);
    expect(leaf.verify(new X509Certificate(material.rootPem).publicKey)).toBe(true);
    const lifeSeconds = (Date.parse(leaf.validTo) - Date.now()) / 1000;
    expect(lifeSeconds).toBeGreaterThan(590);
    expect(lifeSeconds).toBeLessThan(601);
    expect(Date.parse(leaf.validFrom)).toBeLessThan(Date.now() - 100_000);
    expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
  });

  test('the identity is the authority’s decision: names in the request are ignored', async () => {
    const other = formatSpiffeId({
      trustDomain: 'cluster.local',
      namespace: 'shop',
      serviceAccount: 'admin',
    });
    const { csrPem } = await createSigningRequest(other);
    const [leaf = ''] = await authority.signLeaf({ csrPem, identity, ttlSeconds: 0 });
    expect(new X509Certificate(leaf).subjectAltName).toBe(`URI:${identity}`);
  });

  test('among several identities that are decided for, the request chooses', async () => {
    const names = ['old.example', 'evil.example'].map((trustDomain) =>
      formatSpiffeId({ trustDomain, namespace: 'shop', serviceAccount: 'web' }),
    );
    const [old = identity, evil = identity] = names;
    const signed = async (wanted: typeof identity) => {
      const { csrPem } = await createSigningRequest(wanted);
      const request = { csrPem, identity, alternatives: [identity, old], ttlSeconds: 0 };
      const [leaf = ''] = await authority.signLeaf(request);
      return new X509Certificate(leaf).subjectAltName;
    };
    expect(await signed(old)).toBe(`URI:${old}`);
    expect(await signed(evil)).toBe(`URI:${identity}`);
  });

  test('no leaf outlives its signer', async () => {
    const almostOver = await CertificateAuthority.load(material, { now: () => authority.expiresMs - 60_000 });
    const { csrPem } = await createSigningRequest(identity);
    const [leaf = ''] = await almostOver.signLeaf({ csrPem, identity, ttlSeconds: 3600 });
    expect(Date.parse(new X509Certificate(leaf).validTo)).toBe(authority.expiresMs);
    const over = await CertificateAuthority.load(material, { now: () => authority.expiresMs + 1 });
    await expect(over.signLeaf({ csrPem, identity, ttlSeconds: 60 })).rejects.toMatchObject({
      code: 'MESH0402',
    });
  });

  test.each([
    ['text that is no request', async () => 'hello'],
    ['an endless text', async () => 'x'.repeat(1_000_000)],
    [
      'a request whose signature was changed',
      async () => tampered((await createSigningRequest(identity)).csrPem),
    ],
  ])('refuses %s', async (_name, makeCsr) => {
    await expect(
      authority.signLeaf({ csrPem: await makeCsr(), identity, ttlSeconds: 60 }),
    ).rejects.toMatchObject({ code: 'MESH0403' });
  });

  test('refuses a life above the limit', async () => {
    const { csrPem } = await createSigningRequest(identity);
    await expect(authority.signLeaf({ csrPem, identity, ttlSeconds: 91 * 24 * 3600 })).rejects.toMatchObject({
      code: 'MESH0403',
    });
  });

  test('refuses to start with a key of another certificate, without leaking the key', async () => {
    const { keyPem } = await generateRoot('cluster.local');
    await expect(CertificateAuthority.load({ ...material, keyPem })).rejects.toMatchObject({
      code: 'MESH0402',
    });
    const broken = material.keyPem.replace(/\n[A-Za-z0-9]/, '\n!');
    const error = await CertificateAuthority.load({ ...material, keyPem: broken }).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'MESH0402' });
    expect(JSON.stringify(error)).not.toContain(material.keyPem.slice(40, 60));
  });

  test('takes an RSA key as OpenSSL writes it', async () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const keyPem = privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();
    // The certificate is the EC one, so the pair is refused, but only after the key itself was read.
    await expect(CertificateAuthority.load({ ...material, keyPem })).rejects.toMatchObject({
      code: 'MESH0402',
    });
  });

  test('its own serving certificate names the service and lives as long as the authority', async () => {
    const serving = await authority.serve(['istiod.istio-system.svc']);
    const leaf = new X509Certificate(serving.chainPem);
    expect(leaf.checkHost('istiod.istio-system.svc')).toBe('istiod.istio-system.svc');
    expect(Math.abs(Date.parse(leaf.validTo) - authority.expiresMs)).toBeLessThan(2_000);
  });
});

function tampered(pem: string): string {
  const lines = pem.trim().split('\n');
  const last = lines.length - 2;
  const line = lines[last] ?? '';
  lines[last] = `${line.startsWith('A') ? 'B' : 'A'}${line.slice(1)}`;
  return lines.join('\n');
}
