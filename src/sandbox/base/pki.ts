import 'reflect-metadata';
import { createPublicKey, generateKeyPairSync, randomBytes, webcrypto } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';
import { isIp } from '#base/net/address.js';
import { MeshError, messageOf } from '#base/errors/mesh-error.js';

const signing = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const caLifetimeDays = 3650;
const leafLifetimeDays = 365;
/** Certificates start in the past so that a client with a slow clock accepts them. */
const backdateMs = 5 * 60_000;

/** Short-lived certificates end when asked; of the others the time they start in the past is taken off. */
const shortLifetimeMs = 8 * 3_600_000;

/** What a signed certificate may be used for, in the words of certificate requests. */
export type CertificateUsage = 'digital signature' | 'key encipherment' | 'client auth' | 'server auth';

/** What of a certificate request the signer decides. */
export interface SigningTerms {
  readonly usages: readonly CertificateUsage[];
  readonly lifetimeSeconds: number;
}

const keyUsages: Readonly<Partial<Record<CertificateUsage, x509.KeyUsageFlags>>> = {
  'digital signature': x509.KeyUsageFlags.digitalSignature,
  'key encipherment': x509.KeyUsageFlags.keyEncipherment,
};
const extendedKeyUsages: Readonly<Partial<Record<CertificateUsage, x509.ExtendedKeyUsage>>> = {
  'client auth': x509.ExtendedKeyUsage.clientAuth,
  'server auth': x509.ExtendedKeyUsage.serverAuth,
};

export interface CertificateAndKey {
  readonly certPem: string;
  readonly keyPem: string;
}

interface KeyPair {
  readonly publicKey: webcrypto.CryptoKey;
  readonly privateKey: webcrypto.CryptoKey;
}

function pem(label: string, der: ArrayBuffer): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

async function newKeys(): Promise<KeyPair> {
  return webcrypto.subtle.generateKey(signing, true, ['sign', 'verify']);
}

async function keyToPem(key: webcrypto.CryptoKey): Promise<string> {
  return pem('PRIVATE KEY', await webcrypto.subtle.exportKey('pkcs8', key));
}

async function keyFromPem(text: string): Promise<webcrypto.CryptoKey> {
  const der = Buffer.from(text.replace(/-----[^-]+-----|\s/g, ''), 'base64');
  return webcrypto.subtle.importKey('pkcs8', der, signing, true, ['sign']);
}

function serial(): string {
  // The first bit is cleared: serial numbers are positive.
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0] ?? 0) & 0x7f;
  return bytes.toString('hex');
}

function subjectOf(commonName: string, organizations: readonly string[]): x509.JsonName {
  return [...organizations.map((o) => ({ O: [o] })), { CN: [commonName] }];
}

/** The cluster's keys: certificate authority and service account signing key, kept in a directory when one is given. */
export class ClusterPki {
  readonly caPem: string;
  /** Signs service account tokens (ES256). */
  readonly tokenKeyPem: string;
  readonly tokenPublicKeyPem: string;
  readonly #ca: x509.X509Certificate;
  readonly #caKey: webcrypto.CryptoKey;

  private constructor(ca: x509.X509Certificate, caKey: webcrypto.CryptoKey, tokenKeyPem: string) {
    this.#ca = ca;
    this.#caKey = caKey;
    this.caPem = `${ca.toString('pem')}\n`;
    this.tokenKeyPem = tokenKeyPem;
    this.tokenPublicKeyPem = createPublicKey(tokenKeyPem).export({ type: 'spki', format: 'pem' }).toString();
  }

  /**
   * Loads the keys from a directory, or makes some and the directory; without one they live in memory only.
   * Throws MESH0814 when what is there are no keys.
   */
  static async open(directory: string | undefined): Promise<ClusterPki> {
    // Node's own implementation under the type that browsers give it.
    x509.cryptoProvider.set(webcrypto as unknown as Parameters<typeof x509.cryptoProvider.set>[0]);
    if (directory !== undefined) {
      const loaded = await ClusterPki.#load(directory);
      if (loaded !== undefined) return loaded;
    }
    const keys = await newKeys();
    const now = Date.now();
    const ca = await x509.X509CertificateGenerator.createSelfSigned({
      serialNumber: serial(),
      name: [{ CN: ['kubernetes'] }],
      notBefore: new Date(now - backdateMs),
      notAfter: new Date(now + caLifetimeDays * 86_400_000),
      signingAlgorithm: signing,
      keys,
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.KeyUsagesExtension(
          x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign | x509.KeyUsageFlags.digitalSignature,
          true,
        ),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    const tokenKeyPem = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      .privateKey.export({ type: 'pkcs8', format: 'pem' })
      .toString();
    const pki = new ClusterPki(ca, keys.privateKey, tokenKeyPem);
    if (directory !== undefined) {
      await pki.#save(directory);
    }
    return pki;
  }

  static async #load(directory: string): Promise<ClusterPki | undefined> {
    try {
      // First what was written last: without it the others may be half written.
      const tokenKeyPem = readFileSync(join(directory, 'sa.key'), 'utf8');
      const ca = new x509.X509Certificate(readFileSync(join(directory, 'ca.crt'), 'utf8'));
      const caKey = await keyFromPem(readFileSync(join(directory, 'ca.key'), 'utf8'));
      return new ClusterPki(ca, caKey, tokenKeyPem);
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
      if (error instanceof Error && 'syscall' in error) throw error;
      throw new MeshError('MESH0814', `the keys of the cluster in ${directory} are damaged`, {
        evidence: messageOf(error),
        hint: 'Put the files back as they were, or give the cluster up: meshctl sandbox down --purge',
        cause: error,
      });
    }
  }

  /** The token key comes last and as a whole: with it there, what a killed start wrote before is complete. */
  async #save(directory: string): Promise<void> {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const caKeyPem = await keyToPem(this.#caKey);
    rmSync(join(directory, 'sa.key'), { force: true });
    writeFileSync(join(directory, 'ca.crt'), this.caPem);
    writeFileSync(join(directory, 'ca.key'), caKeyPem, { mode: 0o600 });
    const fresh = join(directory, 'sa.key.new');
    writeFileSync(fresh, this.tokenKeyPem, { mode: 0o600 });
    renameSync(fresh, join(directory, 'sa.key'));
  }

  /** A client certificate: the user name in CN, the groups in O, as the API server reads them back. */
  async issueClient(user: string, groups: readonly string[]): Promise<CertificateAndKey> {
    return this.#issue(subjectOf(user, groups), [], 'client auth');
  }

  /** A server certificate for host names and IP addresses. */
  async issueServer(names: readonly string[]): Promise<CertificateAndKey> {
    return this.#issue([{ CN: ['kube-apiserver'] }], names, 'server auth');
  }

  /**
   * Signs somebody else's request (PEM out): its subject, names and key, on the signer's terms. Throws when the
   * request is not signed by its own key.
   */
  async sign(request: x509.Pkcs10CertificateRequest, terms: SigningTerms): Promise<string> {
    if (!(await request.verify())) throw new Error('the request is not signed by its own key');
    const names = request.extensions.find((e) => e instanceof x509.SubjectAlternativeNameExtension);
    return this.#certify({
      subject: request.subject,
      names,
      publicKey: request.publicKey,
      usages: terms.usages,
      lifetimeMs: terms.lifetimeSeconds * 1000,
    });
  }

  async #issue(
    name: x509.JsonName,
    names: readonly string[],
    usage: CertificateUsage,
  ): Promise<CertificateAndKey> {
    const keys = await newKeys();
    const alternatives = names.map((n) => ({
      type: isIp(n) ? ('ip' as const) : ('dns' as const),
      value: n,
    }));
    const certPem = await this.#certify({
      subject: name,
      names: names.length === 0 ? undefined : new x509.SubjectAlternativeNameExtension(alternatives),
      publicKey: keys.publicKey,
      usages: ['digital signature', 'key encipherment', usage],
      lifetimeMs: leafLifetimeDays * 86_400_000,
    });
    return { certPem, keyPem: await keyToPem(keys.privateKey) };
  }

  /** A certificate of the cluster's authority that is itself none (PEM). */
  async #certify(o: {
    readonly subject: string | x509.JsonName;
    readonly names: x509.SubjectAlternativeNameExtension | undefined;
    readonly publicKey: x509.PublicKeyType;
    readonly usages: readonly CertificateUsage[];
    readonly lifetimeMs: number;
  }): Promise<string> {
    const now = Date.now();
    const endMs = now + o.lifetimeMs - (o.lifetimeMs < shortLifetimeMs ? 0 : backdateMs);
    const keyUsage = o.usages.reduce((flags, usage) => flags | (keyUsages[usage] ?? 0), 0);
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: serial(),
      subject: o.subject,
      issuer: this.#ca.subject,
      notBefore: new Date(now - backdateMs),
      notAfter: new Date(Math.min(endMs, this.#ca.notAfter.getTime())),
      signingAlgorithm: signing,
      publicKey: o.publicKey,
      signingKey: this.#caKey,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        ...(keyUsage === 0 ? [] : [new x509.KeyUsagesExtension(keyUsage, true)]),
        new x509.ExtendedKeyUsageExtension(o.usages.flatMap((usage) => extendedKeyUsages[usage] ?? [])),
        await x509.AuthorityKeyIdentifierExtension.create(this.#ca.publicKey),
        ...(o.names === undefined ? [] : [o.names]),
      ],
    });
    return `${certificate.toString('pem')}\n`;
  }
}
