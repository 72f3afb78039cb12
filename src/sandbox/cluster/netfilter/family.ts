/** IP family; each has its own tables in netfilter. */
export type Family = 'v4' | 'v6';

/** The family of an address or of a network in CIDR notation. */
export function familyOf(address: string): Family {
  return address.includes(':') ? 'v6' : 'v4';
}

/** The programs that read and write a family's tables. */
export function tablePrograms(family: Family): { readonly save: string; readonly restore: string } {
  return family === 'v4'
    ? { save: 'iptables-save', restore: 'iptables-restore' }
    : { save: 'ip6tables-save', restore: 'ip6tables-restore' };
}

/** Prefix length of a single address. */
export function hostPrefix(family: Family): number {
  return family === 'v4' ? 32 : 128;
}
