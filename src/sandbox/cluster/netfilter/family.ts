import type { IpFamily } from '#base/net/address.js';

/** The programs that read and write a family's tables. */
export function tablePrograms(family: IpFamily): { readonly save: string; readonly restore: string } {
  return family === 'IPv4'
    ? { save: 'iptables-save', restore: 'iptables-restore' }
    : { save: 'ip6tables-save', restore: 'ip6tables-restore' };
}

/** Prefix length of a single address. */
export function hostPrefix(family: IpFamily): number {
  return family === 'IPv4' ? 32 : 128;
}
