import 'reflect-metadata';
import { webcrypto, X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { expect, test } from 'vitest';
import type { JsonObject } from '../../src/sandbox/apiserver/json.js';
import { eventually } from '../harness/cluster.js';
import { describeServers, type ServerUnderTest } from './servers.js';

const collection = '/apis/certificates.k8s.io/v1/certificatesigningrequests';

/** A certification request in PEM, base64 as a CSR's spec carries it. */
async function requestFor(subject: string): Promise<string> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: subject,
    keys,
    signingAlgorithm: algorithm,
  });
  return Buffer.from(request.toString('pem')).toString('base64');
}

interface SigningRequest extends JsonObject {
  metadata: { name: string };
  spec: { username?: string; groups?: string[] };
  status: { certificate?: string; conditions?: { type: string; lastUpdateTime?: string }[] };
}

async function create(
  server: ServerUnderTest,
  name: string,
  spec: JsonObject,
): Promise<{ status: number; body: SigningRequest }> {
  const answer = await server.raw({
    method: 'POST',
    path: collection,
    body: {
      apiVersion: 'certificates.k8s.io/v1',
      kind: 'CertificateSigningRequest',
      metadata: { name },
      spec,
    },
  });
  return { status: answer.status, body: answer.json<SigningRequest>() };
}

async function approve(server: ServerUnderTest, csr: SigningRequest, type = 'Approved') {
  return server.raw({
    method: 'PUT',
    path: `${collection}/${csr.metadata.name}/approval`,
    body: {
      ...csr,
      status: { conditions: [{ type, status: 'True', reason: 'Test', message: 'by a test' }] },
    },
  });
}

describeServers('certificate signing requests', (server, kind) => {
  const usages = ['digital signature', 'client auth'];
  const signerName = 'kubernetes.io/kube-apiserver-client';

  test('carry who made them, whatever they say', async () => {
    const request = await requestFor('CN=jane,O=dev');
    const { status, body } = await create(server(), 'who', {
      request,
      usages,
      signerName,
      username: 'somebody else',
      groups: ['x'],
    });
    expect(status).toBe(201);
    expect(body.spec.username).not.toBe('somebody else');
    expect(body.spec.groups).toContain('system:masters');
  });

  test('are approved through their subresource only, once and for all', async () => {
    const request = await requestFor('CN=jane,O=dev');
    const { body } = await create(server(), 'approved', { request, usages, signerName });
    const refused = await server().raw({
      method: 'PUT',
      path: `${collection}/approved/status`,
      body: { ...body, status: { conditions: [{ type: 'Approved', status: 'True' }] } },
    });
    expect(refused.status).toBe(422);
    const answer = await approve(server(), body);
    expect(answer.status).toBe(200);
    expect(answer.json<SigningRequest>().status.conditions).toMatchObject([
      { type: 'Approved', status: 'True', reason: 'Test' },
    ]);
    expect(answer.json<SigningRequest>().status.conditions?.[0]?.lastUpdateTime).toMatch(/^20/);
    const current = (await server().raw({ path: `${collection}/approved` })).json<SigningRequest>();
    const taken = await server().raw({
      method: 'PUT',
      path: `${collection}/approved/approval`,
      body: { ...current, status: { conditions: [] } },
    });
    expect(taken.status).toBe(422);
    expect((await approve(server(), current, 'Denied')).status).toBe(422);
  });

  test('for the masters group are refused', async () => {
    const request = await requestFor('CN=jane,O=system:masters');
    expect((await create(server(), 'masters', { request, usages, signerName })).status).toBe(403);
  });

  // kube-apiserver leaves signing to kube-controller-manager, which does not run here.
  test.runIf(kind === 'embedded')('are signed by the cluster authority when approved', async () => {
    const request = await requestFor('CN=jane,O=dev');
    const { body } = await create(server(), 'signed', {
      request,
      usages,
      signerName,
      expirationSeconds: 3600,
    });
    await approve(server(), body);
    const pem = await eventually(
      async () => {
        const { status } = (await server().raw({ path: `${collection}/signed` })).json<SigningRequest>();
        if (status.certificate === undefined) throw new Error('not signed yet');
        return Buffer.from(status.certificate, 'base64').toString();
      },
      { timeoutMs: 10_000 },
    );
    const certificate = new X509Certificate(pem);
    expect(certificate.subject.split('\n').sort()).toEqual(['CN=jane', 'O=dev']);
    expect(certificate.checkIssued(new X509Certificate(server().api.caPem))).toBe(true);
    expect(Date.parse(certificate.validTo) - Date.now()).toBeLessThanOrEqual(3_600_000);
  });

  test.runIf(kind === 'embedded')('for usages the signer does not sign fail with the reason', async () => {
    const request = await requestFor('CN=jane,O=dev');
    const { body } = await create(server(), 'odd', { request, usages: ['server auth'], signerName });
    await approve(server(), body);
    const types = await eventually(
      async () => {
        const { status } = (await server().raw({ path: `${collection}/odd` })).json<SigningRequest>();
        const found = (status.conditions ?? []).map((c) => c.type);
        if (!found.includes('Failed')) throw new Error('not failed yet');
        return found;
      },
      { timeoutMs: 10_000 },
    );
    expect(types).toEqual(['Approved', 'Failed']);
  });
});
