import { X509Certificate } from 'node:crypto';
import { expect, test } from 'vitest';
import { secrets } from '#base/kube/resource.js';
import type { Secret } from '#base/kube/types.js';
import { generateRoot, type CaMaterial } from '#mesh/identity/ca/material.js';
import { bank, deployBank, enrollNamespace, installMesh, sleep } from '../../harness/bank.js';
import { eventually } from '../../harness/cluster.js';
import { hitless, podLoad } from '../../harness/load.js';
import { useSandbox } from '../../harness/sandbox.js';

const sandbox = useSandbox('authority', async (s) => {
  await Promise.all([installMesh(s), deployBank(s.client)]);
  await enrollNamespace(s, bank);
});

const frontendUrl = 'http://frontend.bank-of-ambient/';

async function plugIn({ certPem, keyPem, rootPem, chainPem }: CaMaterial): Promise<void> {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const secret: Secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'cacerts', namespace: 'istio-system' },
    data: {
      'ca-cert.pem': base64(certPem),
      'ca-key.pem': base64(keyPem),
      'root-cert.pem': base64(rootPem),
      'cert-chain.pem': base64(chainPem === '' ? certPem : chainPem),
    },
  };
  await sandbox().client.apply<Secret>(secrets, secret, { fieldManager: 'test', force: true });
}

interface DumpedCertificate {
  readonly identity: string;
  readonly rootCerts: readonly { readonly pem: string }[];
  readonly certChain: readonly { readonly pem: string }[];
}

/** The certificates in use on every node, from the node proxies. */
async function certificates(): Promise<readonly DumpedCertificate[]> {
  const { meshctl } = sandbox();
  const { stdout, exitCode, stderr } = await meshctl(['ztunnel-config', 'all', '-o', 'json']);
  expect(exitCode, stderr).toBe(0);
  return findCertificates(JSON.parse(stdout));
}

function findCertificates(value: unknown): DumpedCertificate[] {
  if (Array.isArray(value)) return value.flatMap(findCertificates);
  if (typeof value !== 'object' || value === null) return [];
  if ('certChain' in value && 'rootCerts' in value) return [value as DumpedCertificate];
  return Object.values(value).flatMap(findCertificates);
}

const textOf = (certificate: { readonly pem: string }): string =>
  Buffer.from(certificate.pem, 'base64').toString('utf8').trim();

test('a plugged-in authority takes over without a failed call', async () => {
  const { kubectl, meshctl } = sandbox();
  const fresh = await generateRoot('cluster.local');
  const signer = new X509Certificate(fresh.certPem);
  const load = await podLoad(sandbox(), { from: sleep, url: frontendUrl, rate: 20, connections: 'new' });
  await hitless(load, async () => {
    await plugIn(fresh);
    await kubectl(['rollout', 'restart', 'deployment/istiod', '-n', 'istio-system']);
    await eventually(
      async () => {
        const now = await certificates();
        expect(now.length).toBeGreaterThanOrEqual(2);
        for (const { identity, rootCerts, certChain } of now) {
          // Both are trusted, the new one signs.
          expect(rootCerts.map(textOf)).toContain(fresh.rootPem.trim());
          expect(rootCerts.length).toBeGreaterThan(1);
          const [leaf] = certChain.map((each) => new X509Certificate(textOf(each)));
          expect(leaf?.verify(signer.publicKey), identity).toBe(true);
        }
      },
      { timeoutMs: 60_000 },
    );
  });
  const verified = await meshctl(['verify-install']);
  expect(verified.exitCode, verified.stdout + verified.stderr).toBe(0);
});
