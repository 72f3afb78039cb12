/** A patch that does not fit the object it is for; clients learn only that it does not, as from Kubernetes. */
export class PatchNotApplicable extends Error {
  override readonly name = 'PatchNotApplicable';
}

/** A patch that cannot be understood; the message says why. */
export class MalformedPatch extends Error {
  override readonly name = 'MalformedPatch';
}
