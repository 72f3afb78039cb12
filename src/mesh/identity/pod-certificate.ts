import type { CertificateManager } from './certificate-manager.js';
import type { Credentials } from './credentials.js';
import { formatSpiffeId, type SpiffeId } from './spiffe.js';

/**
 * The certificate of one pod. A pod's proxy holds this instead of the node's certificate manager, so that whatever goes
 * wrong in it, it cannot speak as another pod of the node. Namespace and account are the node's word, not the control
 * plane's: a description that was mixed up there must not change who the pod is.
 */
export class PodCertificate {
  readonly #manager: Pick<CertificateManager, 'get'>;
  readonly #namespace: string;
  readonly #serviceAccount: string;

  constructor(
    manager: Pick<CertificateManager, 'get'>,
    pod: { readonly namespace: string; readonly serviceAccount: string },
  ) {
    this.#manager = manager;
    this.#namespace = pod.namespace;
    this.#serviceAccount = pod.serviceAccount;
  }

  /** Who the pod is in a trust domain. */
  identity(trustDomain: string): SpiffeId {
    return formatSpiffeId({
      trustDomain,
      namespace: this.#namespace,
      serviceAccount: this.#serviceAccount,
    });
  }

  /** A valid certificate, waiting for the first signing. Rejects with MESH0501 when there is none. */
  get(trustDomain: string, signal?: AbortSignal): Promise<Credentials> {
    return this.#manager.get(this.identity(trustDomain), signal);
  }
}
