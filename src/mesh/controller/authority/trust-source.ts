import { create } from '@bufbuild/protobuf';
import { splitPem } from '../../identity/credentials.js';
import { TrustBundleSchema } from '../../xds/gen/meshctl/trust_pb.js';
import { encodeResource, type WireResource } from '../../xds/server/resource.js';
import type { ChangedNames, ResourceSource } from '../../xds/server/source.js';
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

  constructor(trust: Pick<MeshTrust, 'rootsPem' | 'signingRootPem'>) {
    this.#trust = trust;
  }

  all(): Iterable<WireResource> {
    return this.lookup(name);
  }

  lookup(asked: string): readonly WireResource[] {
    const { rootsPem, signingRootPem } = this.#trust;
    if (asked !== name || signingRootPem === '') return [];
    const message = create(TrustBundleSchema, { roots: splitPem(rootsPem), signingRoot: signingRootPem });
    const { typeUrl } = this;
    return [encodeResource({ name, typeUrl, schema: TrustBundleSchema, message, isVersioned: true })];
  }
}
