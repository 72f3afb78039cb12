import { X509Certificate } from 'node:crypto';
import { fromBinary } from '@bufbuild/protobuf';
import type { ResourceHandler, XdsResource } from '../xds/client/delta-client.js';
import { TrustBundleSchema } from '../xds/gen/meshctl/trust_pb.js';
import { trustBundleType } from '../xds/type-urls.js';

/** The roots of the mesh as the controller tells them. */
export interface TrustBundle {
  /** One PEM certificate each; never empty. */
  readonly roots: readonly string[];
  /** The one of them under which certificates are signed now. */
  readonly signingRoot: string;
}

/** Receives the trust bundle. Upstream's control plane does not have it, so nobody waits for it. */
export class TrustBundleHandler implements ResourceHandler {
  readonly typeUrl = trustBundleType;
  readonly isOptional = true;
  readonly #onBundle: (bundle: TrustBundle) => void;

  constructor(onBundle: (bundle: TrustBundle) => void) {
    this.#onBundle = onBundle;
  }

  /** Rejects a bundle without roots or with one that is no certificate: trust stays as it was. */
  upsert({ value }: XdsResource): void {
    const { roots, signingRoot } = fromBinary(TrustBundleSchema, value);
    for (const pem of roots) {
      if (!new X509Certificate(pem).ca)
        throw new Error('a root of the trust bundle may not sign certificates');
    }
    if (!roots.includes(signingRoot)) throw new Error('the signing root is not one of the roots');
    this.#onBundle({ roots, signingRoot });
  }

  /** A controller that has no bundle takes no trust away. */
  remove(): void {}
}
