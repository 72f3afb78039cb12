import { create } from '@bufbuild/protobuf';
import { splitPem } from '../../identity/credentials.js';
import { TrustBundleSchema } from '../../xds/gen/meshctl/trust_pb.js';
import { encodeResource, type WireResource } from '../../xds/server/resource.js';
import { type ChangedNames, oneOrNone, type ResourceSource } from '../../xds/server/source.js';
import { trustBundleType } from '../../xds/type-urls.js';
import type { MeshTrust } from './mesh-trust.js';

const name = 'mesh';

/** The change of the trust bundle, as a push announces it. */
export const trustChange: ChangedNames = new Map([[trustBundleType, new Set([name])]]);

/** The roots of the mesh, for every proxy alike. */
export class TrustSource implements ResourceSource {
  readonly typeUrl = trustBundleType;
  readonly tracksNames = false;
  readonly removesLast = true;
  readonly allowsOnDemand = false;
  readonly #trust: Pick<MeshTrust, 'rootsPem' | 'signingRootPem'>;
  /** What was encoded last, and of which roots. */
  #present:
    | { readonly rootsPem: string; readonly signingRootPem: string; readonly wire: WireResource }
    | undefined;

  constructor(trust: Pick<MeshTrust, 'rootsPem' | 'signingRootPem'>) {
    this.#trust = trust;
  }

  all(): Iterable<WireResource> {
    return this.lookup(name);
  }

  lookup(asked: string): readonly WireResource[] {
    return oneOrNone(asked === name ? this.#bundle() : undefined);
  }

  #bundle(): WireResource | undefined {
    const { rootsPem, signingRootPem } = this.#trust;
    if (signingRootPem === '') return undefined;
    if (this.#present?.rootsPem !== rootsPem || this.#present.signingRootPem !== signingRootPem)
      this.#present = { rootsPem, signingRootPem, wire: encode(rootsPem, signingRootPem) };
    return this.#present.wire;
  }
}

function encode(rootsPem: string, signingRoot: string): WireResource {
  const message = create(TrustBundleSchema, { roots: splitPem(rootsPem), signingRoot });
  return encodeResource({
    name,
    typeUrl: trustBundleType,
    schema: TrustBundleSchema,
    message,
    isVersioned: true,
  });
}
