import { isIPv4 } from 'node:net';
import { bytesToIp, ipToBytes } from '../../xds/ip-bytes.js';

/** An address and port as a CONNECT names them. */
export interface AddressPort {
  /** In canonical text. */
  readonly ip: string;
  readonly port: number;
}

/** Parses `1.2.3.4:80` or `[fd00::1]:80`; undefined for anything else, names included. */
export function parseAuthority(authority: string): AddressPort | undefined {
  const [, v6, v4, portText] = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):(\d{1,5})$/.exec(authority) ?? [];
  const text = v6 ?? v4;
  const port = Number(portText);
  if (text === undefined || port < 1 || port > 65535 || (v6 !== undefined && isIPv4(v6))) return undefined;
  const bytes = ipToBytes(text);
  const ip = bytes === undefined ? undefined : bytesToIp(bytes);
  return ip === undefined ? undefined : { ip, port };
}

/** `ip:port`, with brackets around IPv6. */
export function formatAddress({ ip, port }: AddressPort): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}
