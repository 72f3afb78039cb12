import { experimental, type ServerCredentials } from '@grpc/grpc-js';
import type { ServingCertificate } from '../../identity/ca/authority.js';

type Provider = experimental.CertificateProvider;
type Listener = Parameters<Provider['addIdentityCertificateListener']>[0];
type Update = Parameters<Listener>[0];

/** The certificate that the TLS server shows; it can be exchanged while the server runs, for connections to come. */
export class ServingIdentity implements Provider {
  readonly #listeners = new Set<Listener>();
  #update: Update = null;

  constructor(certificate: ServingCertificate, rootsPem: string) {
    this.set(certificate, rootsPem);
  }

  /** Shows another certificate from now on. */
  set({ chainPem, keyPem }: ServingCertificate, rootsPem: string): void {
    this.#update = { certificate: Buffer.from(chainPem + rootsPem), privateKey: Buffer.from(keyPem) };
    for (const listener of this.#listeners) listener(this.#update);
  }

  /** Credentials for a gRPC server; callers prove who they are with tokens, not with certificates. */
  credentials(): ServerCredentials {
    return experimental.createCertificateProviderServerCredentials(this, null, false);
  }

  addIdentityCertificateListener(listener: Listener): void {
    this.#listeners.add(listener);
    process.nextTick(listener, this.#update);
  }

  removeIdentityCertificateListener(listener: Listener): void {
    this.#listeners.delete(listener);
  }

  addCaCertificateListener(): void {}

  removeCaCertificateListener(): void {}
}
