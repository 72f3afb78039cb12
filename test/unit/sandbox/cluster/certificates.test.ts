import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { expect, test } from 'vitest';
import { isDoneWith } from '#sandbox/cluster/controllers/certificates/certificate-cleaner.js';
import { signerVerdict } from '#sandbox/cluster/controllers/certificates/signer-rules.js';
import type { CertificateSigningRequest } from '#sandbox/cluster/controllers/certificates/signing-request.js';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const kubeletClient = 'kubernetes.io/kube-apiserver-client-kubelet';
const kubeletServing = 'kubernetes.io/kubelet-serving';
const node = 'O=system:nodes,CN=system:node:n1';

async function request(
  name: string,
  names: readonly x509.JsonGeneralName[] = [],
): Promise<x509.Pkcs10CertificateRequest> {
  // Node's own implementation under the type that browsers give it.
  x509.cryptoProvider.set(webcrypto as unknown as Parameters<typeof x509.cryptoProvider.set>[0]);
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  return x509.Pkcs10CertificateRequestGenerator.create({
    name,
    keys,
    signingAlgorithm: algorithm,
    extensions: names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension([...names])],
  });
}

const verdicts: [string, string, string, string[], x509.JsonGeneralName[], object | undefined][] = [
  ['other signers are left to others', 'example.com/own', 'CN=a', ['any'], [], undefined],
  [
    'a client',
    'kubernetes.io/kube-apiserver-client',
    'CN=a',
    ['client auth'],
    [],
    { usages: ['client auth'] },
  ],
  [
    'a client that wants to serve',
    'kubernetes.io/kube-apiserver-client',
    'CN=a',
    ['client auth', 'server auth'],
    [],
    { refusal: expect.stringContaining('server auth') as string },
  ],
  [
    'a node',
    kubeletClient,
    node,
    ['client auth', 'digital signature'],
    [],
    { usages: ['digital signature', 'client auth'] },
  ],
  [
    'a node with names',
    kubeletClient,
    node,
    ['client auth', 'digital signature'],
    [{ type: 'dns', value: 'n1' }],
    { refusal: expect.stringContaining('dns') as string },
  ],
  [
    'no node',
    kubeletClient,
    'O=system:masters,CN=system:node:n1',
    ['client auth', 'digital signature'],
    [],
    { refusal: expect.stringContaining('system:nodes') as string },
  ],
  [
    'a serving node',
    kubeletServing,
    node,
    ['server auth', 'digital signature', 'key encipherment'],
    [{ type: 'ip', value: '10.0.0.1' }],
    { usages: ['digital signature', 'key encipherment', 'server auth'] },
  ],
  [
    'a serving node without an address',
    kubeletServing,
    node,
    ['server auth', 'digital signature'],
    [],
    { refusal: expect.stringContaining('missing') as string },
  ],
  [
    'a serving node that signs nothing',
    kubeletServing,
    node,
    ['server auth'],
    [{ type: 'dns', value: 'n1' }],
    { refusal: expect.stringContaining('digital signature') as string },
  ],
];

test.each(verdicts)('signers: %s', async (_what, signer, name, usages, names, verdict) => {
  expect(signerVerdict(signer, { request: await request(name, names), usages })).toEqual(verdict);
});

const hourMs = 3_600_000;
const now = Date.parse('2030-01-10T00:00:00Z');
const ago = (hours: number): string => new Date(now - hours * hourMs).toISOString();

function csr(age: number, status: CertificateSigningRequest['status']): CertificateSigningRequest {
  return {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: { name: 'a', creationTimestamp: ago(age) },
    spec: { request: '', signerName: 'example.com/own' },
    ...(status && { status }),
  };
}

const answered = (type: string, hours: number) =>
  [{ type, status: 'True', lastUpdateTime: ago(hours) }] satisfies NonNullable<
    CertificateSigningRequest['status']
  >['conditions'];

test('requests are kept while somebody may need them', () => {
  expect(isDoneWith(csr(23, undefined), now)).toBe(false);
  expect(isDoneWith(csr(25, {}), now)).toBe(true);
  expect(isDoneWith(csr(5, { conditions: answered('Denied', 0.9) }), now)).toBe(false);
  expect(isDoneWith(csr(5, { conditions: answered('Denied', 1.1) }), now)).toBe(true);
  expect(isDoneWith(csr(5, { conditions: answered('Failed', 1.1) }), now)).toBe(true);
  // Approved and not signed: its signer may be away.
  expect(isDoneWith(csr(500, { conditions: answered('Approved', 400) }), now)).toBe(false);
  const signed = { certificate: 'AAAA', conditions: answered('Approved', 1.1) };
  expect(isDoneWith(csr(2, signed), now)).toBe(true);
});
