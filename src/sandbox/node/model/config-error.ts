/** A container cannot be configured as its spec says; kubectl shows reason CreateContainerConfigError. */
export class ContainerConfigError extends Error {
  override readonly name = 'ContainerConfigError';
}
