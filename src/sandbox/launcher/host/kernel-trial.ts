/** Tables of iptables that are tried. */
export type KernelTable = 'nat' | 'filter' | 'mangle';

/** A feature of the kernel that is tried before a sandbox starts. */
export interface KernelTrial {
  readonly piece: string;
  /** A shell command, an iptables rule or an ipset that the kernel refuses where the piece is missing. */
  readonly attempt:
    | { readonly command: string }
    | { readonly table: KernelTable; readonly rule: string }
    | { readonly set: string };
  /** Kernel modules that provide it, where they are not built in. */
  readonly modules?: string;
}
