import { isIp } from '#base/net/address.js';
import { formatHostPort, parseAuthority } from '#base/net/authority.js';

/** An address and port as a CONNECT names them. */
export interface AddressPort {
  /** In canonical text. */
  readonly ip: string;
  readonly port: number;
}

/** Parses `1.2.3.4:80` or `[fd00::1]:80`; undefined for anything else, names included. */
export function parseAddressPort(authority: string): AddressPort | undefined {
  const parsed = parseAuthority(authority);
  return parsed !== undefined && isIp(parsed.host) ? { ip: parsed.host, port: parsed.port } : undefined;
}

/** `ip:port`, with brackets around IPv6. */
export function formatAddress({ ip, port }: AddressPort): string {
  return formatHostPort({ host: ip, port });
}
