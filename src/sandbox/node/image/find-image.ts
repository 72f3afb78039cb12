import type { ContainerImage, ImageStore } from './image.js';
import { parseImageReference } from '#base/oci/reference.js';

/** Why a container's image cannot be used; `reason` is what kubectl shows. */
export class ImageError extends Error {
  override readonly name = 'ImageError';
  readonly reason: 'ErrImagePull' | 'ErrImageNeverPull' | 'InvalidImageName';

  constructor(reason: ImageError['reason'], message: string) {
    super(message);
    this.reason = reason;
  }
}

/**
 * The image a container names. There is no registry to pull from: whatever the policy
 * says, an image that is here is used as it is, and only the way to say that one is
 * missing differs. Throws {@link ImageError} that says how to get it here.
 */
export function findImage(
  reference: string,
  { stores, pullPolicy }: { stores: readonly ImageStore[]; pullPolicy: string | undefined },
): ContainerImage {
  if (parseImageReference(reference) === undefined)
    throw new ImageError(
      'InvalidImageName',
      `Failed to apply default image tag "${reference}": couldn't parse image name "${reference}": invalid reference format`,
    );
  for (const store of stores) {
    const image = store.find(reference);
    if (image !== undefined) return image;
  }
  if (pullPolicy === 'Never')
    throw new ImageError(
      'ErrImageNeverPull',
      `Container image "${reference}" is not present with pull policy of Never`,
    );
  throw new ImageError(
    'ErrImagePull',
    `image "${reference}" is not in this sandbox, which pulls from no registry: save it with \`docker save ${reference} -o image.tar\` and load it with \`meshctl sandbox load image.tar\``,
  );
}
