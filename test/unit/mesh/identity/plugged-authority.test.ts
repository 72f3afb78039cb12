import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { X509Certificate } from 'node:crypto';
import { afterAll, describe, expect, test } from 'vitest';
import { loadCaMaterial } from '#mesh/controller/authority/ca-store.js';
import { CertificateAuthority } from '#mesh/identity/ca/authority.js';
import { generateRoot } from '#mesh/identity/ca/material.js';
import { createSigningRequest } from '#mesh/identity/csr.js';
import { formatSpiffeId } from '#mesh/identity/spiffe.js';
import { KubeClient } from '#base/kube/client.js';

const dir = mkdtempSync(join(tmpdir(), 'meshctl-ca-'));
const at = (name: string) => join(dir, name);
const openssl = (...args: string[]) => spawnSync('openssl', args, { cwd: dir, encoding: 'utf8' });
const hasOpenssl = openssl('version').status === 0;
if (!hasOpenssl)
  process.stderr.write('SKIPPED: openssl is not installed, plugged-in authorities were not tried\n');

const identity = formatSpiffeId({ trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'web' });
const load = (pluggedDir: string) =>
  loadCaMaterial({
    client: new KubeClient({ server: 'http://127.0.0.1:1' }),
    systemNamespace: 'istio-system',
    trustDomain: 'cluster.local',
    pluggedDir,
  });

/** A root and an intermediate as an operator makes them. */
function plugIn(): void {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-nodes'];
  openssl(
    'req',
    '-x509',
    ...key,
    '-keyout',
    'root.key',
    '-out',
    'root-cert.pem',
    '-subj',
    '/O=corp',
    '-addext',
    'keyUsage=critical,keyCertSign,cRLSign',
    '-days',
    '30',
  );
  openssl('req', ...key, '-keyout', 'ca-key.pem', '-out', 'ca.csr', '-subj', '/O=mesh');
  writeFileSync(
    at('ca.ext'),
    'basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n',
  );
  openssl(
    'x509',
    '-req',
    '-in',
    'ca.csr',
    '-CA',
    'root-cert.pem',
    '-CAkey',
    'root.key',
    '-CAcreateserial',
    '-extfile',
    'ca.ext',
    '-days',
    '10',
    '-out',
    'ca-cert.pem',
  );
  writeFileSync(at('cert-chain.pem'), readFileSync(at('ca-cert.pem')));
}

describe.runIf(hasOpenssl)('a plugged-in authority', () => {
  afterAll(() => {
    rmSync(dir, { recursive: true, force: true });
  });
  plugIn();

  test('signs with its intermediate, and openssl agrees', async () => {
    const { material, source } = await load(dir);
    expect(source).toContain(dir);
    const authority = await CertificateAuthority.load(material);
    const { csrPem } = await createSigningRequest(identity);
    const [leaf = '', intermediate = '', root = '', ...rest] = await authority.signLeaf({
      csrPem,
      identity,
      ttlSeconds: 60,
    });
    expect(rest).toEqual([]);
    expect(root).toBe(readFileSync(at('root-cert.pem'), 'utf8'));
    writeFileSync(at('leaf.pem'), leaf);
    writeFileSync(at('untrusted.pem'), intermediate);
    const verified = openssl(
      'verify',
      '-x509_strict',
      '-CAfile',
      'root-cert.pem',
      '-untrusted',
      'untrusted.pem',
      '-purpose',
      'sslserver',
      'leaf.pem',
    );
    expect(verified.stderr + verified.stdout).toBe('leaf.pem: OK\n');
    expect(openssl('x509', '-in', 'leaf.pem', '-noout', '-ext', 'subjectAltName').stdout).toContain(
      `critical\n    URI:${identity}`,
    );
    expect(new X509Certificate(leaf).serialNumber).toHaveLength(32);
  });

  test('is refused when its chain does not lead to its roots: no proxy would trust another', async () => {
    const { material } = await load(dir);
    const { certPem } = await generateRoot('cluster.local');
    await expect(CertificateAuthority.load({ ...material, rootPem: certPem })).rejects.toMatchObject({
      code: 'MESH0402',
    });
    const both = await CertificateAuthority.load({ ...material, rootPem: `${certPem}${material.rootPem}` });
    expect(both.rootPem).toContain(certPem);
  });

  test('with a file missing is refused; an empty folder is none', async () => {
    rmSync(at('cert-chain.pem'));
    await expect(load(dir)).rejects.toMatchObject({ code: 'MESH0404' });
    const empty = mkdtempSync(join(tmpdir(), 'meshctl-ca-'));
    // Without files the Secret is asked for, here of a server that is not there.
    await expect(load(empty)).rejects.toMatchObject({ code: 'MESH0201' });
    rmSync(empty, { recursive: true });
  });
});
