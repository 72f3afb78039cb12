import 'reflect-metadata';
import { webcrypto, X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { expect, test } from 'vitest';
import type { JsonObject } from '#sandbox/base/json.js';
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
  status: {
    certificate?: string;
    conditions?: { type: string; reason?: string; message?: string; lastUpdateTime?: string }[];
  };
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

describeServers('certificate signing requests', (server) => {
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
    // A signer of nobody: the cluster's own would sign meanwhile.
    const { body } = await create(server(), 'approved', { request, usages, signerName: 'example.com/none' });
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
    const noted = await server().raw({
      method: 'PATCH',
      path: `${collection}/approved/approval`,
      headers: { 'content-type': 'application/merge-patch+json' },
      body: { metadata: { annotations: { by: 'me' } } },
    });
    expect(noted.json()).toMatchObject({ metadata: { annotations: { by: 'me' } }, status: {} });
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

  test('are signed by the cluster authority when approved', async () => {
    const request = await requestFor('CN=jane,O=dev');
    const { body } = await create(server(), 'signed', {
      request,
      usages,
      signerName,
      expirationSeconds: 3600,
    });
    await approve(server(), body);
    const certificate = await certificateOf(server(), 'signed');
    expect(certificate.subject.split('\n').sort()).toEqual(['CN=jane', 'O=dev']);
    expect(certificate.checkIssued(new X509Certificate(server().api.caPem))).toBe(true);
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2']);
    expect(Date.parse(certificate.validTo) - Date.now()).toBeLessThanOrEqual(3_600_000);
  });

  test('for usages the signer does not sign fail with the reason', async () => {
    const request = await requestFor('CN=jane,O=dev');
    const { body } = await create(server(), 'odd', { request, usages: ['server auth'], signerName });
    await approve(server(), body);
    const conditions = await eventually(
      async () => {
        const { status } = (await server().raw({ path: `${collection}/odd` })).json<SigningRequest>();
        const found = status.conditions ?? [];
        if (!found.some((c) => c.type === 'Failed')) throw new Error('not failed yet');
        return found;
      },
      { timeoutMs: 10_000 },
    );
    expect(conditions.map((c) => c.type)).toEqual(['Approved', 'Failed']);
    expect(conditions[1]).toMatchObject({
      reason: 'SignerValidationFailure',
      message: expect.stringContaining('server auth') as string,
    });
  });

  test('of a node for itself are approved and signed without anybody', async () => {
    await server().ok([
      'create',
      'clusterrolebinding',
      'renew-nodes',
      '--clusterrole=system:certificates.k8s.io:certificatesigningrequests:selfnodeclient',
      '--group=system:nodes',
    ]);
    const node = { kind: 'certificate', user: 'system:node:n1', groups: ['system:nodes'] } as const;
    const asked = async (name: string, subject: string) =>
      server().raw({
        method: 'POST',
        path: collection,
        as: node,
        body: {
          apiVersion: 'certificates.k8s.io/v1',
          kind: 'CertificateSigningRequest',
          metadata: { name },
          spec: {
            request: await requestFor(subject),
            usages,
            signerName: 'kubernetes.io/kube-apiserver-client-kubelet',
          },
        },
      });
    expect((await asked('other', 'CN=system:node:n2,O=system:nodes')).status).toBe(403);
    expect((await asked('own', 'CN=system:node:n1,O=system:nodes')).status).toBe(201);
    expect((await certificateOf(server(), 'own')).subject).toContain('CN=system:node:n1');
  });
});

/** What the signer made of a request. */
async function certificateOf(server: ServerUnderTest, name: string): Promise<X509Certificate> {
  return eventually(
    async () => {
      const { status } = (await server.raw({ path: `${collection}/${name}` })).json<SigningRequest>();
      if (status.certificate === undefined) throw new Error('not signed yet');
      return new X509Certificate(Buffer.from(status.certificate, 'base64'));
    },
    { timeoutMs: 10_000 },
  );
}
