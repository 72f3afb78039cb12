import { createSign, randomUUID, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { onTestFinished } from 'vitest';
import { makeCertificate, registryUser, startRegistry } from './registry.js';

const service = 'test-registry';
const issuer = 'test-issuer';
const lifeSeconds = 300;

/** A registry that takes tokens of a token server; both go with the test. `scopes` has what was asked for, in order. */
export async function startRegistryWithTokens(): Promise<{ host: string; scopes: string[][] }> {
  const folder = mkdtempSync(join(tmpdir(), 'token-server-'));
  makeCertificate(folder);
  const scopes: string[][] = [];
  const server = createServer((request, response) => {
    void asked(request).then(({ isKnown, wanted }) => {
      scopes.push(wanted);
      // Whoever is not known gets a token for nothing.
      const token = signed(folder, isKnown ? wanted : []);
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ token }));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const realm = `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`;
  const rootcertbundle = join(folder, 'tls.crt');
  const { host } = await startRegistry({ auth: { token: { realm, service, issuer, rootcertbundle } } });
  return { host, scopes };
}

/** Who asks, and for what: by password (GET) or by identity token (POST, OAuth 2). */
async function asked(request: IncomingMessage): Promise<{ isKnown: boolean; wanted: string[] }> {
  if (request.method === 'POST') {
    const form = new URLSearchParams(await text(request));
    const isKnown = form.get('refresh_token') === registryUser.password && form.get('service') === service;
    return { isKnown, wanted: (form.get('scope') ?? '').split(' ') };
  }
  const { searchParams } = new URL(request.url ?? '/', 'http://x');
  const pair = Buffer.from(`${registryUser.name}:${registryUser.password}`).toString('base64');
  const isKnown =
    request.headers.authorization === `Basic ${pair}` && searchParams.get('service') === service;
  return { isKnown, wanted: searchParams.getAll('scope') };
}

/** A token as the distribution project specifies it. */
function signed(folder: string, scopes: readonly string[]): string {
  const certificate = new X509Certificate(readFileSync(join(folder, 'tls.crt')));
  const now = Math.floor(Date.now() / 1000);
  const access = scopes.map((scope) => {
    const [type, name, actions = ''] = scope.split(':');
    return { type, name, actions: actions.split(',') };
  });
  const header = { typ: 'JWT', alg: 'ES256', x5c: [certificate.raw.toString('base64')] };
  const claims = {
    iss: issuer,
    aud: service,
    sub: '',
    iat: now,
    nbf: now - 1,
    exp: now + lifeSeconds,
    jti: randomUUID(),
    access,
  };
  const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url');
  const body = `${encode(header)}.${encode(claims)}`;
  const key = readFileSync(join(folder, 'tls.key'), 'utf8');
  const signature = createSign('sha256').update(body).sign({ key, dsaEncoding: 'ieee-p1363' });
  return `${body}.${signature.toString('base64url')}`;
}
