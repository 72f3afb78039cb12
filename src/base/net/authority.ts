import { canonicalIp, ipFamilyOf } from './address.js';

export interface HostPort {
  /** A name or an address, without brackets. */
  readonly host: string;
  readonly port: number;
}

/** Splits `name:port`, `1.2.3.4:port` or `[v6]:port`; addresses come in their canonical form. Undefined for anything else. */
export function parseAuthority(text: string): HostPort | undefined {
  const [, v6, name, portText] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]\s/@]+)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(portText);
  if (!(port >= 1 && port <= 65_535)) return undefined;
  if (v6 === undefined) return { host: name ?? '', port };
  const host = ipFamilyOf(v6) === 'IPv6' ? canonicalIp(v6) : undefined;
  return host === undefined ? undefined : { host, port };
}

/** `host:port`, with brackets around IPv6. */
export function formatHostPort({ host, port }: HostPort): string {
  return `${urlHost(host)}:${port}`;
}

/** A host as it stands in a URL: IPv6 in brackets. */
export function urlHost(host: string): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
}
