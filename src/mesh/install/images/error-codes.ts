import type { ErrorCode } from '#base/errors/mesh-error.js';

/** Codes MESH0350 to MESH0359. */
export const imageCodes = {
  MESH0350: {
    kind: 'failed',
    title: 'an image of the installation is not in the archive',
    cause:
      'The archive or layout has no image of that name and tag, and none whose name ends alike that could be meant.',
    fix: 'Look at what it holds and what is needed: meshctl images list --from ARCHIVE; --tag names another version.',
  },
  MESH0351: {
    kind: 'failed',
    title: 'the nodes did not take the images',
    cause: 'The program that brings images into nodes (kind, k3d, ctr) failed.',
    fix: 'Read its message; the command can be repeated.',
  },
  MESH0352: {
    kind: 'usage',
    title: 'an image is of another version than this meshctl',
    cause:
      'The label of the image names another version (major or minor) than that of the objects this meshctl would install.',
    fix: 'Name the tag of this version with --tag, or install with the meshctl of that version.',
  },
} as const satisfies Record<string, ErrorCode>;
