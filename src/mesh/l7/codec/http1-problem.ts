import type { BrokenRequest } from '../message/exchange.js';

/** What Node's parser says about bytes it cannot read. */
export interface ParserError {
  /** `HPE_...`. */
  readonly code: string;
  readonly reason: string;
  /** The bytes it was at, and how many of them it had read; absent when the stream ended. */
  readonly rawPacket?: Buffer | undefined;
  readonly bytesParsed?: number | undefined;
}

const problem = (status: number, details: string): BrokenRequest => ({ status, details });

/** Codes whose answer does not depend on anything else. */
const byCode: ReadonlyMap<string, BrokenRequest> = new Map([
  ['HPE_CHUNK_EXTENSIONS_OVERFLOW', problem(413, 'http1.chunk_extensions_too_large')],
  ['HPE_PAUSED_H2_UPGRADE', problem(505, 'http1.http2_preface')],
  ['HPE_UNEXPECTED_CONTENT_LENGTH', problem(400, 'http1.content_length')],
]);

/**
 * How a request that the parser refuses is answered (RFC 9110 15.5 and 15.6, RFC 9112 3 and 6). `isRequestLine` says
 * whether the end of the request line was still awaited. Undefined: no request at all, but what follows the last one
 * of a connection that is about to end.
 */
export function parserProblem(error: ParserError, isRequestLine: boolean): BrokenRequest | undefined {
  const { code, reason } = error;
  if (code === 'HPE_CLOSED_CONNECTION') return undefined;
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return isRequestLine
        ? problem(414, 'http1.request_target_too_long')
        : problem(431, 'request_headers_too_large');
    case 'HPE_INVALID_TRANSFER_ENCODING':
    case 'HPE_INVALID_CONTENT_LENGTH':
      if (/can't be present with/i.test(reason))
        return problem(400, 'http1.content_length_and_chunked_not_allowed');
      return code === 'HPE_INVALID_TRANSFER_ENCODING'
        ? problem(501, 'http1.invalid_transfer_encoding')
        : problem(400, 'http1.content_length');
    case 'HPE_INVALID_METHOD':
      return isRequestLineText(lineOf(error)) ? problem(501, 'http1.unknown_method') : codecError;
    case 'HPE_INVALID_VERSION':
      return / HTTP\/\d\.\d\r$/.test(lineOf(error)) ? problem(505, 'http1.unsupported_version') : codecError;
    default:
      return byCode.get(code) ?? codecError;
  }
}

const codecError = problem(400, 'http1.codec_error');

/** A method that is a token, a target and a version: all is well with the line but that nobody knows the method. */
function isRequestLineText(line: string): boolean {
  return /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64} [^ ]+ HTTP\/1\.[01]\r$/.test(line);
}

/** The line the parser was in, as far as it is in the packet it was at, without its line feed. */
function lineOf({ rawPacket, bytesParsed }: ParserError): string {
  if (rawPacket === undefined || bytesParsed === undefined) return '';
  const start = bytesParsed === 0 ? 0 : rawPacket.lastIndexOf(0x0a, bytesParsed - 1) + 1;
  const end = rawPacket.indexOf(0x0a, start);
  return end < 0 ? '' : rawPacket.toString('latin1', start, end);
}
