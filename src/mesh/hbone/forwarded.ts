import { formatHostPort, parseAuthority } from '#base/net/authority.js';

/** The `host=` of a `forwarded` header, quoted or not; undefined when absent or not ASCII. */
export function forwardedHost(header: string | string[] | undefined): string | undefined {
  const text = Array.isArray(header) ? header[0] : header;
  const match = /(?:^|[;,]\s*)host=(?:"([!-~ ]+?)"|([!-~]+?))(?:[;,]|$)/i.exec(text ?? '');
  return match?.[1] ?? match?.[2];
}

/** The `for=` of a `forwarded` header, as `ip:port`; undefined when absent or something else. */
export function forwardedClient(header: string | string[] | undefined): string | undefined {
  const text = Array.isArray(header) ? header[0] : header;
  const match = /(?:^|[;,]\s*)for="([!-~]{1,64}?)"/i.exec(text ?? '');
  const client = parseAuthority(match?.[1] ?? '');
  return client === undefined ? undefined : formatHostPort(client);
}
