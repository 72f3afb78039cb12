import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';

/** Headers of one connection, which end where it ends. */
const hopByHop: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** The client's standing with the API server is none of the backend's business. */
function isSecret(name: string): boolean {
  return name === 'authorization' || name.startsWith('impersonate-');
}

function connectionNames(headers: IncomingHttpHeaders): Set<string> {
  const text = String(headers.connection ?? '');
  return new Set(text.split(',').map((n) => n.trim().toLowerCase()));
}

/** The headers a backend gets of a client's request. */
export function backendHeaders(
  headers: IncomingHttpHeaders,
  o: { readonly clientAddress: string | undefined; readonly uri: string; readonly host: string },
): OutgoingHttpHeaders {
  const named = connectionNames(headers);
  const out: OutgoingHttpHeaders = {};
  for (const [name, value] of Object.entries(headers)) {
    // HTTP/2 carries the request line as headers that begin with a colon.
    if (
      value === undefined ||
      name.startsWith(':') ||
      hopByHop.has(name) ||
      named.has(name) ||
      isSecret(name)
    )
      continue;
    out[name] = value;
  }
  out.host = o.host;
  const before = headers['x-forwarded-for'];
  const client = o.clientAddress ?? '';
  if (client !== '')
    out['x-forwarded-for'] = [...(before === undefined ? [] : [String(before)]), client].join(', ');
  out['x-forwarded-uri'] = o.uri;
  out['x-forwarded-host'] = headers.host ?? String(headers[':authority'] ?? '');
  out['x-forwarded-proto'] = 'https';
  return out;
}

/** What a redirect of a backend is relative to: where the client finds it, and its own host and path. */
export interface RedirectBase {
  readonly prefix: string;
  readonly host: string;
  readonly path: string;
}

/** The headers a client gets of a backend's answer; redirects within the backend stay behind the proxy. */
export function clientHeaders(headers: IncomingHttpHeaders, o: RedirectBase): [string, string | string[]][] {
  const named = connectionNames(headers);
  const out: [string, string | string[]][] = [];
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || hopByHop.has(name) || named.has(name)) continue;
    // Other sites must not be let in to the API server by one of its backends.
    if (name.startsWith('access-control-')) continue;
    out.push([name, name === 'location' && typeof value === 'string' ? behindProxy(value, o) : value]);
  }
  return out;
}

function behindProxy(location: string, o: RedirectBase): string {
  try {
    const url = new URL(location, `http://${o.host}${o.path}`);
    return url.host === o.host ? `${o.prefix}${url.pathname}${url.search}${url.hash}` : location;
  } catch {
    // Not a URL: the client may make of it what it can.
    return location;
  }
}
