import { connectionOptions } from '../message/connection-options.js';
import { headerBytesMax, headerLinesMax } from '../message/header-limits.js';
import type { HeaderList } from '../message/header-list.js';

/** Why a request is refused before anything looks at it. */
export interface Refusal {
  readonly status: number;
  /** For `response_code_details`. */
  readonly details: string;
}

/** What the guard looks at. `version` is of the hop the request came over. */
export interface GuardedRequest {
  readonly version: '1.0' | '1.1' | '2';
  readonly method: string;
  readonly authority: string | undefined;
  readonly headers: HeaderList;
}

/** Headers that frame or route a message: a client must not have them removed by naming them in Connection. */
const unnameable: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'transfer-encoding',
  'authorization',
  'cookie',
]);

/**
 * Refuses requests that two HTTP implementations may read differently: ambiguous length, repeated or
 * malformed Host, several content-lengths, unknown transfer codings. Node's parsers refuse most of it
 * first; this is what must hold whichever parser is below.
 */
export function guardRequest({ version, method, authority, headers }: GuardedRequest): Refusal | undefined {
  if (version === '1.0') return { status: 426, details: 'low_version' };
  if (headers.count > headerLinesMax || headers.sizeBytes > headerBytesMax)
    return { status: 431, details: 'request_headers_too_large' };
  const lengths = headers.all('content-length');
  const codings = headers.all('transfer-encoding');
  if (lengths.length > 1 || lengths.some((value) => !/^\d{1,19}$/.test(value)))
    return badRequest('content_length');
  if (codings.length > 0) {
    if (version === '2' || lengths.length > 0)
      return badRequest('http1.content_length_and_chunked_not_allowed');
    if (codings.length > 1 || codings[0]?.trim().toLowerCase() !== 'chunked') {
      return { status: 501, details: 'http1.invalid_transfer_encoding' };
    }
  }
  const hosts = headers.all('host');
  if (hosts.length > 1) return badRequest('duplicate_host');
  if (authority === undefined || authority === '') return badRequest('missing_host_header');
  // RFC 3986 authority without user information.
  if (!/^[A-Za-z0-9\-._~!$&'()*+,;=%:[\]]+$/.test(authority)) return badRequest('invalid_host');
  if (version === '2' && hosts[0] !== undefined && hosts[0] !== authority)
    return badRequest('host_differs_from_authority');
  if (method === 'CONNECT') return { status: 404, details: 'route_not_found' };
  for (const name of connectionOptions(headers)) {
    if (unnameable.has(name)) return badRequest('connection_header_names_protected_header');
  }
  for (const [name, value] of headers) {
    // RFC 9110 5.6.2: a name is a token. A blank before the colon is how two parsers come to differ.
    if (!/^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name)) return badRequest('invalid_header_name');
    // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
    if (/[\u0000\r\n]/.test(value)) return badRequest('invalid_header_value');
  }
  return undefined;
}

function badRequest(details: string): Refusal {
  return { status: 400, details };
}
