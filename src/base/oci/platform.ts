/** The platform of a manifest (OCI image index). */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant: string;
}

/** Node's name of an architecture -> Go's, where they differ. */
const goNames: Readonly<Record<string, string>> = {
  x64: 'amd64',
  ia32: '386',
  ppc64: 'ppc64le',
  mipsel: 'mipsle',
};

/** The platform of this machine. */
export function machinePlatform(arch: string = process.arch): Platform {
  const architecture = goNames[arch] ?? arch;
  return { os: 'linux', architecture, variant: architecture === 'arm' ? 'v7' : '' };
}

/** Reads `platform` of a descriptor, or `os`, `architecture`, `variant` of a configuration. */
export function imagePlatformOf(value: Readonly<Record<string, unknown>>): Platform | undefined {
  const { os, architecture, variant } = value;
  if (typeof os !== 'string' || typeof architecture !== 'string' || os === '' || architecture === '')
    return undefined;
  return { os, architecture, variant: typeof variant === 'string' ? variant : '' };
}

export function formatPlatform({ os, architecture, variant }: Platform): string {
  return variant === '' ? `${os}/${architecture}` : `${os}/${architecture}/${variant}`;
}

/** Variants a machine runs, the best first; an absent variant fits always. */
const variantsOf: Readonly<Record<string, readonly string[]>> = {
  arm: ['v7', 'v6', 'v5'],
  arm64: ['v8'],
  amd64: ['v1'],
};

/**
 * How well a platform fits a machine: 0 is best, undefined is not at all. An x86-64
 * machine also runs 32-bit programs, though any 64-bit image is preferred.
 */
export function platformRank(platform: Platform, machine: Platform): number | undefined {
  const foreignRank = 100;
  if (platform.os !== machine.os) return undefined;
  if (platform.architecture !== machine.architecture)
    return machine.architecture === 'amd64' && platform.architecture === '386' ? foreignRank : undefined;
  if (platform.variant === '') return 0;
  const index = (variantsOf[machine.architecture] ?? []).indexOf(platform.variant);
  return index < 0 ? undefined : index;
}

/** `os/architecture[/variant]`, as on a command line; undefined when it is none. */
export function parsePlatform(text: string): Platform | undefined {
  const [os, architecture, variant = '', ...rest] = text.split('/');
  if (!os || !architecture || rest.length > 0) return undefined;
  return { os, architecture, variant };
}

/** The platform as a descriptor holds it. */
export function platformDocument({ os, architecture, variant }: Platform): Record<string, string> {
  return { architecture, os, ...(variant === '' ? {} : { variant }) };
}
