import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import type { Writable } from 'node:stream';
import { gzip } from 'node:zlib';
import { stringify as toYaml } from 'yaml';
import type { UserInfo } from '../user.js';
import { isObject, type Json, stringOf } from '../../base/json.js';
import { encodeProtobufObject, hasProtobufForm } from '../protobuf/encode-object.js';
import { type Accepted, acceptedByDefault, protobufType } from './negotiation.js';
import type { OtherPath, ResourcePath } from './request-info.js';

/** A request of either protocol version. */
export type IncomingApiRequest = IncomingMessage | Http2ServerRequest;

/** What the server needs of a response, of either protocol version. Only Buffers may be written (HTTP/2, see hbone/byte-writes). */
export interface ApiResponse extends Writable {
  statusCode: number;
  readonly headersSent: boolean;
  setHeader(name: string, value: number | string | readonly string[]): unknown;
  flushHeaders(): void;
}

/** One authenticated request and the means to answer it. */
export interface ApiExchange {
  readonly request: IncomingApiRequest;
  readonly response: ApiResponse;
  readonly url: URL;
  readonly path: ResourcePath | OtherPath;
  readonly user: UserInfo;
  /** The form in which the client wants its answer. */
  readonly accepted: Accepted;
  /** Aborts when the client goes away or the server closes. */
  readonly signal: AbortSignal;
  readonly warnings: string[];
}

/** The part of an exchange that an answer needs; refusals may come before the rest is known. */
export type Answering = Pick<ApiExchange, 'request' | 'response' | 'warnings'> &
  Partial<Pick<ApiExchange, 'accepted' | 'url'>>;

/** Answers from this size on are compressed for clients that ask for it, as by Kubernetes. */
const gzipMinBytes = 128 * 1024;
const warningsMax = 20;
const warningMaxLength = 1000;

/** Browsers and command line tools get JSON that people can read unless they decide otherwise. */
function isPretty({ request, url }: Answering): boolean {
  const asked = url?.searchParams.get('pretty');
  if (asked !== null && asked !== undefined) return asked !== 'false' && asked !== '0';
  return /^(curl\/|Wget|Mozilla\/)/.test(request.headers['user-agent'] ?? '');
}

/** An object in protobuf, when the client prefers that and the kind has it. */
function protobufOf(exchange: Answering, body: Json): Buffer | undefined {
  if (exchange.accepted?.serializer !== 'protobuf' || !isObject(body)) return undefined;
  const isKnown = hasProtobufForm(stringOf(body.apiVersion), stringOf(body.kind));
  return isKnown ? encodeProtobufObject(body) : undefined;
}

/** Sends data in the serialization the client asked for: JSON, YAML or, for objects, protobuf. */
export function sendJson(exchange: Answering, status: number, body: Json): void {
  const { serializer } = exchange.accepted ?? acceptedByDefault;
  const protobuf = protobufOf(exchange, body);
  if (protobuf !== undefined) return sendText(exchange, status, protobufType, protobuf);
  if (serializer === 'yaml') {
    const text = toYaml(body, {
      // Quotes what older readers take for something else than text, such as times.
      version: '1.1',
      sortMapEntries: true,
      aliasDuplicateObjects: false,
      lineWidth: 0,
      indentSeq: false,
    });
    return sendText(exchange, status, 'application/yaml', text);
  }
  sendText(
    exchange,
    status,
    'application/json',
    `${JSON.stringify(body, null, isPretty(exchange) ? 2 : 0)}\n`,
  );
}

/** Sends an answer of any type. */
export function sendText(
  exchange: Answering,
  status: number,
  contentType: string,
  content: string | Uint8Array,
): void {
  const { response, request } = exchange;
  if (response.headersSent || response.destroyed) return;
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  response.statusCode = status;
  response.setHeader('Content-Type', contentType);
  response.setHeader('Cache-Control', 'no-cache, private');
  setWarnings(exchange);
  const isCompressed =
    bytes.length >= gzipMinBytes &&
    request.method === 'GET' &&
    /(^|,)\s*gzip\s*(,|;|$)/.test(String(request.headers['accept-encoding'] ?? ''));
  if (!isCompressed) {
    response.setHeader('Content-Length', bytes.length);
    response.end(bytes);
    return;
  }
  gzip(bytes, { level: 1 }, (error, packed) => {
    if (response.destroyed || response.headersSent) return;
    if (error === null) {
      response.setHeader('Content-Encoding', 'gzip');
      response.setHeader('Vary', 'Accept-Encoding');
    }
    const body = error === null ? packed : bytes;
    response.setHeader('Content-Length', body.length);
    response.end(body);
  });
}

/** Adds the Warning headers that kubectl prints. */
export function setWarnings(exchange: Pick<ApiExchange, 'response' | 'warnings'>): void {
  if (exchange.warnings.length === 0) return;
  exchange.response.setHeader(
    'Warning',
    [...new Set(exchange.warnings)]
      .slice(0, warningsMax)
      .map((w) => `299 - ${JSON.stringify(w.slice(0, warningMaxLength)).replace(/[^\x20-\x7e]/g, '?')}`),
  );
}
