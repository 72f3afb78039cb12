import { expect, it } from 'vitest';
import { CertificateAuthority } from '#mesh/identity/ca/authority.js';
import { generateRoot } from '#mesh/identity/ca/material.js';
import { createSigningRequest } from '#mesh/identity/csr.js';
import { formatSpiffeId } from '#mesh/identity/spiffe.js';
import { distrustBetween, distrustText, type ProxyTrust } from '#mesh/inspect/trust.js';

const authorities = await Promise.all(
  ['old.example', 'new.example'].map(async (name) => CertificateAuthority.load(await generateRoot(name))),
);
const [oldOne, newOne] = authorities as [CertificateAuthority, CertificateAuthority];

async function proxyOf(
  proxy: string,
  by: CertificateAuthority,
  trusted: readonly CertificateAuthority[],
): Promise<ProxyTrust> {
  const identity = formatSpiffeId({ trustDomain: 'td', namespace: 'shop', serviceAccount: proxy });
  const { csrPem } = await createSigningRequest(identity);
  const chain = (await by.signLeaf({ csrPem, identity, ttlSeconds: 60 })).slice(0, -1);
  const dumped = (pem: string) => ({
    pem: Buffer.from(pem).toString('base64'),
    serialNumber: '1',
    validFrom: '',
    expirationTime: '',
  });
  return {
    proxy,
    identities: [
      {
        identity,
        state: 'Available',
        certChain: chain.map(dumped),
        rootCerts: trusted.map(({ rootPem }) => dumped(rootPem)),
      },
    ],
  };
}

it('finds nothing while everybody trusts both roots', async () => {
  const proxies = [
    await proxyOf('a', oldOne, [oldOne, newOne]),
    await proxyOf('b', newOne, [newOne, oldOne]),
    { proxy: 'silent', identities: [] },
  ];
  expect(distrustBetween(proxies)).toEqual([]);
});

it('names who does not trust whom, in each direction', async () => {
  const proxies = [await proxyOf('a', oldOne, [oldOne]), await proxyOf('b', newOne, [newOne, oldOne])];
  const [only, ...more] = distrustBetween(proxies);
  expect(more).toEqual([]);
  expect(only).toMatchObject({ proxy: 'a', holder: 'b', identity: 'spiffe://td/ns/shop/sa/b' });
  if (only !== undefined)
    expect(distrustText(only)).toBe(
      'a does not trust the certificate of spiffe://td/ns/shop/sa/b at b (issued by O=new.example)',
    );
  const strangers = [await proxyOf('a', oldOne, [oldOne]), await proxyOf('b', newOne, [newOne])];
  expect(distrustBetween(strangers).map(({ proxy, holder }) => [proxy, holder])).toEqual([
    ['a', 'b'],
    ['b', 'a'],
  ]);
});
