/** bubblewrap flags that make a file or folder visible, read-only. */
export function readOnly(source: string, target: string = source): string[] {
  return ['--ro-bind', source, target];
}

/** As {@link readOnly}, left out when the source does not exist. */
export function readOnlyIfPresent(source: string, target: string = source): string[] {
  return ['--ro-bind-try', source, target];
}

/** Fresh /proc, minimal /dev, and /sys as the machine has it. */
export const kernelFileSystems: readonly string[] = '--proc /proc --dev /dev --ro-bind /sys /sys'.split(' ');
