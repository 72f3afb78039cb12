import 'reflect-metadata';
import { webcrypto, X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import type { SpiffeId } from '../spiffe.js';
import { rootOf } from '../chain.js';
import { splitPem } from '../credentials.js';
import { backdateMs, importSigningKey, randomSerial, type CaMaterial, type SigningKey } from './material.js';
import { materialProblem } from './material-problem.js';

/** Lifetime of a leaf when the request names none, in seconds. */
export const defaultLeafTtlSeconds = 24 * 3600;
/** Longest lifetime a request may ask for, in seconds. */
export const maxLeafTtlSeconds = 90 * 24 * 3600;
/** Longest request text that is looked at; a P-256 or RSA-4096 request is far below it. */
const maxCsrChars = 16 * 1024;
const minRsaBits = 2048;

/** What a leaf is issued for. */
export interface LeafRequest {
  readonly csrPem: string;
  readonly identity: SpiffeId;
  /** Identities that are signed instead when the request names one of them. */
  readonly alternatives?: readonly SpiffeId[];
  /** Seconds; 0 or less means the default. */
  readonly ttlSeconds: number;
  /** What the holder shall trust, when that is more than this authority's own roots. */
  readonly rootsPem?: string;
}

/** A certificate with its key, for a server this process runs itself. */
export interface ServingCertificate {
  /** Leaf, then intermediates. */
  readonly chainPem: string;
  readonly keyPem: string;
}

/** Lifetimes of the leaves an authority issues. */
export interface AuthorityOptions {
  readonly defaultTtlSeconds?: number;
  readonly maxTtlSeconds?: number;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

/**
 * The mesh certificate authority: signs workload certificates and the controller's own.
 * Holds the key in memory only; stateless otherwise, so replicas sharing the material are equal.
 */
export class CertificateAuthority {
  readonly rootPem: string;
  readonly #intermediates: readonly string[];
  readonly #issuer: x509.X509Certificate;
  readonly #issuerDetails: X509Certificate;
  readonly #signingKey: SigningKey;
  readonly #options: Required<AuthorityOptions>;

  private constructor(input: {
    readonly material: CaMaterial;
    readonly signingKey: SigningKey;
    readonly options: AuthorityOptions;
  }) {
    const { material, signingKey, options } = input;
    this.rootPem = material.rootPem;
    this.#issuer = new x509.X509Certificate(material.certPem);
    this.#issuerDetails = new X509Certificate(material.certPem);
    this.#signingKey = signingKey;
    const roots = new Set(splitPem(material.rootPem));
    const chain = [...splitPem(material.certPem), ...splitPem(material.chainPem)];
    // A signer that is itself a root travels in the bundle only.
    this.#intermediates = [...new Set(chain)].filter((pem) => !roots.has(pem));
    this.#options = {
      defaultTtlSeconds: options.defaultTtlSeconds ?? defaultLeafTtlSeconds,
      maxTtlSeconds: options.maxTtlSeconds ?? maxLeafTtlSeconds,
      now: options.now ?? Date.now,
    };
  }

  /** Loads and checks the material: MESH0402 when key, certificate or roots are no authority. */
  static async load(material: CaMaterial, options: AuthorityOptions = {}): Promise<CertificateAuthority> {
    const problem = materialProblem(material);
    if (problem !== undefined) throw new MeshError('MESH0402', problem);
    const signingKey = await importSigningKey(material.keyPem);
    try {
      return new CertificateAuthority({ material, signingKey, options });
    } catch (cause) {
      throw new MeshError('MESH0402', 'the certificate authority cannot be loaded', {
        evidence: messageOf(cause),
        cause,
      });
    }
  }

  /** When the signing certificate ends, in milliseconds since the epoch. */
  get expiresMs(): number {
    return Date.parse(this.#issuerDetails.validTo);
  }

  /** When the first root of the bundle ends, in milliseconds since the epoch. */
  get rootExpiresMs(): number {
    const [first] = splitPem(this.rootPem);
    return first === undefined ? 0 : Date.parse(new X509Certificate(first).validTo);
  }

  /** The root to which everything this authority signs leads, in PEM. */
  get signingRootPem(): string {
    const root = this.#rootCertificate();
    return splitPem(this.rootPem).find((pem) => root?.raw.equals(new X509Certificate(pem).raw)) ?? '';
  }

  /**
   * Signs a leaf for `identity`. Names in the request are ignored, except that a request with a
   * common name gets the identity as common name. Returns one PEM certificate per element: leaf,
   * intermediates, and the roots to trust last. Throws MESH0403 for a request that is malformed, not
   * self-signed, weak, or asks for too long a life.
   */
  async signLeaf(request: LeafRequest): Promise<string[]> {
    const csr = await this.#readRequest(request.csrPem);
    const ttlSeconds = request.ttlSeconds > 0 ? request.ttlSeconds : this.#options.defaultTtlSeconds;
    if (ttlSeconds > this.#options.maxTtlSeconds) {
      throw new MeshError(
        'MESH0403',
        `requested lifetime ${ttlSeconds}s is above the limit ${this.#options.maxTtlSeconds}s`,
      );
    }
    const wanted = uriNamesOf(csr);
    const identity = request.alternatives?.find((id) => wanted.includes(id)) ?? request.identity;
    const hasCommonName = csr.subjectName.getField('CN').length > 0;
    const leaf = await this.#issue({
      publicKey: csr.publicKey,
      subject: hasCommonName ? [{ CN: [identity] }] : [],
      names: [{ type: 'url', value: identity }],
      ttlSeconds,
    });
    return [
      leaf,
      ...this.#intermediates.map((pem) => `${pem}\n`),
      ensureNewline(request.rootsPem ?? this.rootPem),
    ];
  }

  /** A serving certificate for the given DNS names that lives as long as the authority itself. */
  async serve(dnsNames: readonly string[]): Promise<ServingCertificate> {
    const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
    const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
    const leaf = await this.#issue({
      publicKey: keys.publicKey,
      subject: [],
      names: dnsNames.map((value) => ({ type: 'dns', value })),
      ttlSeconds: Math.floor((this.expiresMs - this.#options.now()) / 1000),
    });
    const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
    return {
      chainPem: [leaf, ...this.#intermediates.map((pem) => `${pem}\n`)].join(''),
      keyPem: x509.PemConverter.encode(pkcs8, 'PRIVATE KEY'),
    };
  }

  async #readRequest(csrPem: string): Promise<x509.Pkcs10CertificateRequest> {
    if (csrPem.length > maxCsrChars) throw new MeshError('MESH0403', 'the certificate request is too long');
    let csr: x509.Pkcs10CertificateRequest;
    let isGenuine: boolean;
    try {
      csr = new x509.Pkcs10CertificateRequest(csrPem);
      isGenuine = await csr.verify(webcrypto);
    } catch (cause) {
      throw new MeshError('MESH0403', 'the certificate request cannot be read', {
        evidence: messageOf(cause),
        cause,
      });
    }
    // Proof of possession: the requester must hold the key it wants certified.
    if (!isGenuine) throw new MeshError('MESH0403', 'the certificate request is not signed by its own key');
    const algorithm = csr.publicKey.algorithm;
    if ('modulusLength' in algorithm && Number(algorithm.modulusLength) < minRsaBits) {
      throw new MeshError('MESH0403', `the request's RSA key is shorter than ${minRsaBits} bits`);
    }
    return csr;
  }

  async #issue(leaf: {
    readonly publicKey: x509.PublicKeyType;
    readonly subject: x509.JsonName;
    readonly names: x509.JsonGeneralNames;
    readonly ttlSeconds: number;
  }): Promise<string> {
    const nowMs = this.#options.now();
    const notAfterMs = Math.min(nowMs + leaf.ttlSeconds * 1000, this.expiresMs);
    if (notAfterMs <= nowMs)
      throw new MeshError('MESH0402', "the certificate authority's own certificate has expired");
    const usage = x509.KeyUsageFlags;
    const cert = await x509.X509CertificateGenerator.create(
      {
        serialNumber: randomSerial(),
        subject: leaf.subject,
        issuer: this.#issuer.subjectName,
        notBefore: new Date(nowMs - backdateMs),
        notAfter: new Date(notAfterMs),
        publicKey: leaf.publicKey,
        signingKey: this.#signingKey.key,
        signingAlgorithm: this.#signingKey.algorithm,
        extensions: [
          new x509.KeyUsagesExtension(usage.digitalSignature | usage.keyEncipherment, true),
          new x509.ExtendedKeyUsageExtension([
            x509.ExtendedKeyUsage.serverAuth,
            x509.ExtendedKeyUsage.clientAuth,
          ]),
          new x509.BasicConstraintsExtension(false, undefined, true),
          await x509.AuthorityKeyIdentifierExtension.create(this.#issuer, false, webcrypto),
          // RFC 5280 4.2.1.6: critical when the subject is empty.
          new x509.SubjectAlternativeNameExtension(leaf.names, true),
        ],
      },
      webcrypto,
    );
    return `${cert.toString('pem')}\n`;
  }

  #rootCertificate(): X509Certificate | undefined {
    const roots = splitPem(this.rootPem).map((pem) => new X509Certificate(pem));
    return rootOf(
      [this.#issuerDetails, ...this.#intermediates.map((pem) => new X509Certificate(pem))],
      roots,
    );
  }
}

function ensureNewline(text: string): string {
  return text.endsWith('\n') ? text : `${text}\n`;
}

/** URIs the request names as alternative names. */
function uriNamesOf(csr: x509.Pkcs10CertificateRequest): readonly string[] {
  const extension = csr.extensions.find((e) => e instanceof x509.SubjectAlternativeNameExtension);
  return (extension?.names.items ?? []).flatMap(({ type, value }) => (type === 'url' ? [value] : []));
}
