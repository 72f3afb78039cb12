import type { ErrorCode } from '#base/errors/mesh-error.js';

/** Codes MESH1100 to MESH1199: what configuration alone shows. */
export const checkCodes = {
  MESH1101: {
    kind: 'failed',
    title: 'a label of the mesh is misspelled',
    cause: 'The name of a label resembles one that the mesh reads, and is not it: nothing acts on it.',
    fix: 'Write the label as the message suggests.',
  },
  MESH1102: {
    kind: 'failed',
    title: 'a label of the mesh has a value that means nothing',
    cause:
      'istio.io/dataplane-mode takes "ambient" and "none", in lower case; any other value counts as absent.',
    fix: 'Set the value to "ambient" or "none", or remove the label.',
  },
  MESH1103: {
    kind: 'failed',
    title: 'a label of the mesh is written as an annotation',
    cause: 'The mesh selects by labels; an annotation of the same name has no effect.',
    fix: 'Set it as a label.',
  },
} as const satisfies Record<string, ErrorCode>;
